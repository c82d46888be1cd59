"""Which labels a batch is compared with, and which of its pairs are known and so no negatives."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.kernels import send
from dexa.tokens import round_number

_BATCHES_AT_ONCE = 64


class PairList(NamedTuple):
    """Pairs, an entry each: the place of the document among some, and the label; int64 both."""

    places: torch.Tensor
    labels: torch.Tensor


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
        counts = self._starts[documents + 1] - starts
        places = torch.arange(len(documents), device=documents.device).repeat_interleave(counts)
        shift = starts - (counts.cumsum(0) - counts)
        entries = torch.arange(len(places), device=documents.device) + shift[places]
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
        self._chosen, self._chosen_edges = self._cells(chosen, budget)
        self._known, self._known_edges = self._cells(known, budget)

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
        return self._chosen[self._chosen_edges[batch] : self._chosen_edges[batch + 1]]

    def known(self, batch: int) -> torch.Tensor:
        """Cells of the known pairs of a batch, for `mask`."""
        return self._known[self._known_edges[batch] : self._known_edges[batch + 1]]

    def _cells(self, pairs: PairList, budget: bool) -> tuple[torch.Tensor, list[int]]:
        """Where pairs lie in the ``[B · U]`` of their batches, and where batches start."""
        batches = pairs.places // self.batch_size
        columns, there = self.distinct.columns(batches, pairs.labels)
        batches, places, columns = batches[there], pairs.places[there], columns[there]
        device = batches.device
        widths = send(np.diff(self.distinct.edges).astype(np.int64), device)
        cells = places % self.batch_size * widths[batches] + columns
        sizes = torch.full((self.count,), self.batch_size, device=device)
        sizes[-1:] = len(self.documents) - (self.count - 1) * self.batch_size
        # cells that fill up cost next to nothing, and each number of them one more recording
        return _by_batch(cells, batches, sizes * widths, budget=budget, alike=True)


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
    """Whether row i and column j are one of some cells of a `BatchPlan`, bool ``[rows, columns]``.

    A cell behind the last, which fills up, is none of them.
    """
    flat = torch.zeros(rows * columns + 1, dtype=torch.bool, device=cells.device)
    return flat.index_fill_(0, cells, True)[:-1].view(rows, columns)


class Plans:
    """The plans of an epoch's batches, some dozens of batches at a time.

    Args:
        known: all pairs that are no negatives.
        batch_size: documents of a batch.
        choose: gives documents their chosen pairs; takes the epoch and documents on the device.
        budget: as for `BatchPlan`.
    """

    def __init__(
        self,
        known: Pairs,
        batch_size: int,
        choose: Callable[[int, torch.Tensor], PairList],
        *,
        budget: bool,
    ) -> None:
        self._known, self._batch_size, self._choose = known, batch_size, choose
        self._budget = budget
        self._made: tuple[int, int, BatchPlan] | None = None

    def of(
        self, epoch: int, step: int, order: NDArray[np.int64], device: torch.device
    ) -> tuple[BatchPlan, int]:
        """The plan in which a step of an epoch lies, and its number there.

        Args:
            epoch: of which `order` is.
            step: of the epoch.
            order: all documents of the epoch.
            device: of the plan.
        """
        block, batch = divmod(step, _BATCHES_AT_ONCE)
        if self._made is None or self._made[:2] != (epoch, block):
            size = _BATCHES_AT_ONCE * self._batch_size
            documents = send(order[block * size : (block + 1) * size], device)
            plan = BatchPlan(
                documents,
                self._choose(epoch, documents),
                self._known.of(documents),
                self._batch_size,
                budget=self._budget,
            )
            self._made = (epoch, block, plan)
        return self._made[2], batch
