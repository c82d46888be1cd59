"""The label correlation graph: which labels random walks over documents lead to from each label.

Labels and documents form a bipartite graph. A walk of a label goes from it to one of its
documents, on to one of that document's labels, and so forth; now and then it starts anew at its own
label. How often it comes by a label is the weight of an edge (SiameseXML, ECLARE: W_{lm} = visits
of m by the walk of l).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array

from dexa.errors import DataError, InputError

_BLOCK_VISITS = {"cpu": 1 << 22, "cuda": 1 << 26}
"""Visits that are counted at once: on a CPU in the cache, on a GPU enough to keep it busy."""


@torch.no_grad()
def random_walk_graph(
    labels: csr_array,
    *,
    steps: int = 400,
    restart: float = 0.8,
    top_k: int = 10,
    max_documents: int | None = None,
    seed: int,
    device: str | torch.device = "cpu",
) -> csr_array:
    """Walk from every label, and count where the walk comes by.

    A step goes to a random document of the current label, then to a random label of this document,
    which is counted. Before each step, the walk goes back to its own label with probability
    `restart`, and before the first it is there.

    Args:
        labels: the labels of documents ``[N, L]``; entries of value 0 are no labels.
        steps: length of each walk.
        restart: probability of going back, from 0 to 1.
        top_k: the labels with the most visits that are kept in a row, the smaller id first among
            equals.
        max_documents: labels with more documents take no part: no walk passes them, and they are
            connected to themselves alone. None lets all take part.
        seed: of the draws; the same seed gives the same graph on the same kind of device.
        device: where to walk.

    Returns:
        Visits, float32 ``[L, L]``, indices sorted. The diagonal is 1 at least, also where the label
        itself is not among the `top_k`, or has no documents.

    Raises:
        InputError: a number is out of range.
        DataError: the labels are no matrix.
    """
    if steps < 1 or top_k < 1 or not 0 <= restart <= 1:
        raise InputError(
            f"steps {steps}, top_k {top_k}, restart {restart:g}",
            expected="at least 1, at least 1, from 0 to 1",
        )
    taking_part = _taking_part(labels, max_documents)
    n_labels = _shape(taking_part)[1]
    starts = np.flatnonzero(np.bincount(taking_part.indices, minlength=n_labels))
    place = torch.device(device)
    graph = _Bipartite(taking_part, place)
    draws = torch.Generator(place).manual_seed(seed)
    block_visits = _BLOCK_VISITS["cuda" if place.type == "cuda" else "cpu"]
    n_blocks = max(1, -(-len(starts) * steps // block_visits))
    loops = np.arange(n_labels)
    edges = [(loops, loops, np.ones(n_labels, np.int64))]
    for block in np.array_split(starts, n_blocks):
        own = torch.from_numpy(block).to(place)
        passed = graph.walk(own, steps, restart, draws)
        sources, targets, visits = _most_visited(own, passed, top_k)
        edges.append((sources.cpu().numpy(), targets.cpu().numpy(), visits.cpu().numpy()))
    return _graph(edges, n_labels)


def _taking_part(labels: csr_array, max_documents: int | None) -> csr_array:
    """The label matrix without zeros and without the columns of labels that are too frequent."""
    if labels.ndim != 2:
        raise DataError(f"labels of {labels.ndim} axes", expected="a sparse matrix [N, L]")
    matrix = csr_array(labels, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    if max_documents is not None:
        frequency = np.bincount(matrix.indices, minlength=_shape(matrix)[1])
        matrix.data[frequency[matrix.indices] > max_documents] = 0
        matrix.eliminate_zeros()
    return matrix


class _Bipartite:
    """Documents of labels and labels of documents, as lists end to end on a device."""

    def __init__(self, labels: csr_array, device: torch.device) -> None:
        def on_device(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array.astype(np.int64)).to(device)

        documents = labels.tocsc()
        self._documents = on_device(documents.indices)
        self._document_starts = on_device(documents.indptr)
        self._labels = on_device(labels.indices)
        self._label_starts = on_device(labels.indptr)

    def walk(
        self, own: torch.Tensor, steps: int, restart: float, draws: torch.Generator
    ) -> torch.Tensor:
        """All walks from the labels `own` ``[W]`` at once: the labels passed, ``[W, steps]``."""
        passed = own.new_empty(steps, len(own))
        current = own
        for step in range(steps):
            back, to_document, to_label = torch.rand(
                3, len(own), generator=draws, device=own.device
            )
            current = torch.where(back < restart, own, current)
            document = _any_of(self._documents, self._document_starts, current, to_document)
            current = _any_of(self._labels, self._label_starts, document, to_label)
            passed[step] = current
        return passed.T.contiguous()


def _any_of(
    lists: torch.Tensor, starts: torch.Tensor, which: torch.Tensor, draw: torch.Tensor
) -> torch.Tensor:
    """An item of each list in question, by a number from 0 to below 1; no list is empty."""
    first, end = starts.index_select(0, which), starts.index_select(0, which + 1)
    lengths = end - first
    # Rounding up to float32 could reach the length itself.
    return lists.index_select(0, first + torch.minimum((draw * lengths).long(), lengths - 1))


def _most_visited(
    own: torch.Tensor, passed: torch.Tensor, top_k: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Sources, targets and visits of the edges from `own` ``[W]`` to the labels passed most.

    In a sorted row, the visits of a label are a run. A run's key orders runs by their length, then
    by their place, which is the order of label ids; keys of all other places are 0.
    """
    n_walks, steps = passed.shape
    ordered = passed.sort(dim=1).values
    begins = torch.ones_like(ordered, dtype=torch.bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    places = begins.view(-1).nonzero()[:, 0]
    lengths = places.diff(append=places.new_tensor([n_walks * steps]))
    keys = torch.zeros_like(ordered)
    keys.view(-1)[places] = lengths * steps + steps - 1 - places % steps
    best, chosen = keys.topk(min(top_k, steps), dim=1)
    edges = best > 0
    sources, targets = own[:, None].expand_as(best), ordered.gather(1, chosen)
    return sources[edges], targets[edges], (best // steps)[edges]


def _graph(edges: list[tuple[np.ndarray, np.ndarray, np.ndarray]], n_labels: int) -> csr_array:
    """The edges as a matrix; of an edge that is given twice, as self loops are, the larger."""
    sources, targets, visits = (np.concatenate(column) for column in zip(*edges, strict=True))
    order = np.lexsort((-visits, targets, sources))
    sources, targets, visits = sources[order], targets[order], visits[order]
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(sources) != 0) | (np.diff(targets) != 0)
    pointers = np.searchsorted(sources[first], np.arange(n_labels + 1))
    graph = csr_array(
        (visits[first].astype(np.float32), targets[first], pointers), shape=(n_labels, n_labels)
    )
    graph.has_canonical_format = True
    return graph


def normalized_symmetric(graph: csr_array) -> csr_array:
    """``D^-½ A D^-½``, as ECLARE smooths labels; symmetric if the graph is.

    D holds the sums of rows on the left and those of columns on the right, which are the same of a
    symmetric graph. Empty rows and columns stay empty.

    Args:
        graph: weights of edges ``[L, L]``, none negative.

    Returns:
        float32 ``[L, L]``.

    Raises:
        DataError: a weight is negative or not finite, or the graph is not square.
    """
    checked = _checked(graph)
    rows, columns = (_inverse(np.sqrt(checked.sum(axis=axis))) for axis in (1, 0))
    return _scaled(rows, checked, columns)


def normalized_rows(graph: csr_array) -> csr_array:
    """``D^-1 A``, rows that add up to 1, as Astec smooths label centroids; empty rows stay empty.

    Args:
        graph: weights of edges ``[L, L]``, none negative.

    Returns:
        float32 ``[L, L]``.

    Raises:
        DataError: a weight is negative or not finite, or the graph is not square.
    """
    checked = _checked(graph)
    return _scaled(_inverse(checked.sum(axis=1)), checked, np.ones(_shape(checked)[1]))


def _shape(matrix: csr_array) -> tuple[int, int]:
    return matrix.shape  # pyright: ignore[reportReturnType] - SciPy has no types


def _checked(graph: csr_array) -> csr_array:
    if graph.ndim != 2 or len(set(_shape(graph))) > 1:
        raise DataError(f"a graph of shape {graph.shape}", expected="a square matrix [L, L]")
    checked = csr_array(graph, dtype=np.float64, copy=True)
    if not (checked.data >= 0).all() or not np.isfinite(checked.data).all():
        raise DataError("a graph with negative or infinite weights", expected="weights from 0")
    return checked


def _inverse(sums: np.ndarray) -> np.ndarray:
    return np.divide(1, sums, out=np.zeros_like(sums), where=sums > 0)


def _scaled(rows: np.ndarray, graph: csr_array, columns: np.ndarray) -> csr_array:
    return csr_array(diags_array(rows) @ graph @ diags_array(columns), dtype=np.float32)
