"""Which labels a batch is compared with, and which of its pairs are known and so no negatives."""

from __future__ import annotations

import functools
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.kernels import send
from dexa.tokens import round_number


class PairList(NamedTuple):
    """Pairs, an entry each: the place of the document among some, and the label; int64 both."""

    places: torch.Tensor
    labels: torch.Tensor


class Cells(NamedTuple):
    """Cells of the masks of consecutive batches, int64, and where each batch starts."""

    cells: torch.Tensor
    edges: list[int]

    def of(self, batch: int) -> torch.Tensor:
        """Those of a batch, for `mask`."""
        return self.cells[self.edges[batch] : self.edges[batch + 1]]


class Pairs:
    """Pairs of documents and labels on a device.

    Args:
        matrix: ``[N, L]``; an entry is a pair.
        device: where they are looked up.
    """

    def __init__(self, matrix: csr_array, device: torch.device) -> None:
        _, self.label_count = cast("tuple[int, int]", matrix.shape)
        self._starts = torch.from_numpy(matrix.indptr).to(device, torch.int64)
        self._labels = torch.from_numpy(matrix.indices).to(device)

    def of(self, documents: torch.Tensor) -> PairList:
        """The pairs of documents ``[n]``, in their order; a document may come more than once."""
        starts = self._starts[documents]
        places, entries = _ranges(starts, self._starts[documents + 1] - starts)
        return PairList(places, self._labels[entries].long())


class Distinct:
    """The distinct numbers of each of some batches, ascending, found for all batches at once.

    Args:
        batches: int64 ``[n]``, the batch of each number.
        numbers: int64 ``[n]``, from 0.
        count: of batches.
        budget: whether each batch is filled up with -1 to a round number of numbers.
    """

    def __init__(
        self, batches: torch.Tensor, numbers: torch.Tensor, count: int, *, budget: bool
    ) -> None:
        self._factor = int(numbers.max()) + 1 if len(numbers) else 1
        self._keys = (batches * self._factor + numbers).unique()
        owners = self._keys // self._factor
        none = torch.full((count,), -1, device=numbers.device)
        self.numbers, self.edges = _by_batch(self._keys % self._factor, owners, none, budget=budget)
        self._first = torch.searchsorted(owners, torch.arange(count, device=numbers.device))

    def of(self, batch: int) -> torch.Tensor:
        """The numbers of a batch, int64 ``[U]``."""
        return self.part(self.numbers, batch)

    def part(self, values: torch.Tensor, batch: int) -> torch.Tensor:
        """Those of a batch, of values that stand beside all numbers."""
        return values[self.edges[batch] : self.edges[batch + 1]]

    def batches(self) -> torch.Tensor:
        """The batch of each number, those that fill up included."""
        sizes = send(np.diff(self.edges).astype(np.int64), self.numbers.device)
        return torch.arange(len(sizes), device=sizes.device).repeat_interleave(sizes)

    def columns(
        self, batches: torch.Tensor, numbers: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The place of numbers in their batches, and whether they are there, both ``[n]``."""
        if not len(self._keys):
            return torch.zeros_like(numbers), torch.zeros_like(numbers, dtype=torch.bool)
        keys = batches * self._factor + numbers
        places = torch.searchsorted(self._keys, keys).clamp_(max=len(self._keys) - 1)
        there = (self._keys[places] == keys) & (numbers >= 0) & (numbers < self._factor)
        return places - self._first[batches], there


class BatchPlan:
    """The labels of some consecutive batches and their pairs, found for all of them at once.

    The labels of a batch are those that are chosen for any of its documents: its columns. What a
    step then needs is a slice of what lies on the device.

    Args:
        documents: int64 ``[n]``, in the order in which they are cut into batches.
        chosen: pairs whose labels become columns, in the order of the documents.
        known: all pairs that are no negatives, the chosen ones among them.
        batch_size: documents of a batch; the last may have fewer.
        budget: whether columns and pairs are filled up to round numbers, with labels of -1.
    """

    def __init__(
        self,
        documents: torch.Tensor,
        chosen: PairList,
        known: PairList,
        batch_size: int,
        *,
        budget: bool,
    ) -> None:
        self.documents, self.batch_size = documents, batch_size
        self.count = -(-len(documents) // batch_size)
        batches = chosen.places // batch_size
        self.distinct = Distinct(batches, chosen.labels, self.count, budget=budget)
        self._chosen, self._known = self._cells(chosen, budget), self._cells(known, budget)

    def rows(self, batch: int) -> torch.Tensor:
        """The documents of a batch, int64 ``[B]``."""
        return self.documents[batch * self.batch_size : (batch + 1) * self.batch_size]

    def labels(self, batch: int) -> torch.Tensor:
        """The labels of a batch, int64 ``[U]``, ascending; -1 fills up."""
        return self.distinct.of(batch)

    @functools.cached_property
    def host_labels(self) -> list[NDArray[np.int64]]:
        """The labels of every batch, on the host."""
        return np.split(self.distinct.numbers.cpu().numpy(), self.distinct.edges[1:-1])

    def chosen(self, batch: int) -> torch.Tensor:
        """Cells of the chosen pairs of a batch, for `mask`, in the order of its documents."""
        return self._chosen.of(batch)

    def known(self, batch: int) -> torch.Tensor:
        """Cells of the known pairs of a batch, for `mask`."""
        return self._known.of(batch)

    def _cells(self, pairs: PairList, budget: bool) -> Cells:
        """Where pairs lie in the ``[B · U]`` of their batches."""
        batches = pairs.places // self.batch_size
        columns, there = self.distinct.columns(batches, pairs.labels)
        batches, places, columns = batches[there], pairs.places[there], columns[there]
        device = batches.device
        widths = send(np.diff(self.distinct.edges).astype(np.int64), device)
        cells = places % self.batch_size * widths[batches] + columns
        sizes = _sizes(len(self.documents), self.batch_size, device)
        return _cells_by_batch(cells, batches, sizes * widths, budget=budget)


def pairs_within(
    pairs: Pairs,
    labels: torch.Tensor,
    documents: torch.Tensor,
    batch_size: int,
    *,
    budget: bool,
) -> Cells:
    """Which labels of a batch are labels of which of its documents.

    Args:
        pairs: of documents and labels.
        labels: int64 ``[n]``, the rows of batches, in the order in which they are cut into batches.
        documents: int64 ``[n]``, their columns. Labels and documents may come more than once.
        batch_size: rows and columns of a batch; the last may have fewer.
        budget: whether the cells of a batch are filled up to a round number.
    """
    sizes = _sizes(len(labels), batch_size, labels.device)
    batches = torch.arange(len(labels), device=labels.device) // batch_size
    keys, order = (batches * pairs.label_count + labels).sort(stable=True)
    found = pairs.of(documents)
    asked = batches[found.places] * pairs.label_count + found.labels
    first = torch.searchsorted(keys, asked)
    which, entries = _ranges(first, torch.searchsorted(keys, asked, right=True) - first)
    places = found.places[which]
    cells = order[entries] % batch_size * sizes[batches[places]] + places % batch_size
    return _cells_by_batch(cells, batches[places], sizes**2, budget=budget)


def _ranges(starts: torch.Tensor, counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The numbers from some starts on, so many of each, and before them which start each is of."""
    which = torch.arange(len(starts), device=starts.device).repeat_interleave(counts)
    shift = starts - (counts.cumsum(0) - counts)
    return which, torch.arange(len(which), device=starts.device) + shift[which]


def _sizes(count: int, batch_size: int, device: torch.device) -> torch.Tensor:
    """How many of some rows each batch has."""
    edges = torch.arange(0, count + batch_size, batch_size, device=device).clamp(max=count)
    return edges.diff()


def _cells_by_batch(
    cells: torch.Tensor, batches: torch.Tensor, ends: torch.Tensor, *, budget: bool
) -> Cells:
    """Cells of batches, filled up with the one behind the last of each."""
    # cells that fill up cost next to nothing, and each number of them one more recording
    return Cells(*_by_batch(cells, batches, ends, budget=budget, alike=True))


def _by_batch(
    values: torch.Tensor,
    batches: torch.Tensor,
    fill: torch.Tensor,
    *,
    budget: bool,
    alike: bool = False,
) -> tuple[torch.Tensor, list[int]]:
    """Values, whose batches ascend, and where each batch starts.

    With a budget each batch is filled up to a round number of values, with its own of `fill`: to
    the same power of two if they are to be `alike`.
    """
    counts = torch.bincount(batches, minlength=len(fill))
    edges = np.append(0, counts.cumsum(0).cpu().numpy())
    if not budget:
        return values, edges.tolist()
    rounded = [round_number(int(count), 256) for count in np.diff(edges)]
    if alike:
        # as good as always the same from epoch to epoch, too
        rounded = [1 << (max(rounded, default=1) - 1).bit_length()] * len(rounded)
    filled = np.append(0, np.cumsum(rounded))
    shift = send(filled[:-1] - edges[:-1], values.device)
    out = fill.repeat_interleave(send(np.array(rounded), values.device))
    out[torch.arange(len(values), device=values.device) + shift[batches]] = values
    return out, filled.tolist()


def mask(cells: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Whether row i and column j are one of some cells, bool ``[rows, columns]``.

    A cell behind the last, which fills up, is none of them.
    """
    flat = torch.zeros(rows * columns + 1, dtype=torch.bool, device=cells.device)
    return flat.index_fill_(0, cells, True)[:-1].view(rows, columns)
