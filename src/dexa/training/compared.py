"""The labels that documents are compared with: their shortlists, or all there are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import torch

from dexa.batches import epoch_random
from dexa.kernels import chosen_products, chosen_sums, sums_by_row
from dexa.negatives import PairList, Pairs


class Compared(NamedTuple):
    """Labels that the documents of a batch are compared with.

    Attributes:
        labels: int64 ``[B, S]``, -1 fills up; or a slice of all, S that every document has.
        positives: bool ``[B, S]``, the right ones among them.
        there: bool ``[B, S]``, false where a label fills up or is known to be no negative.
    """

    labels: torch.Tensor | slice
    positives: torch.Tensor
    there: torch.Tensor

    def scores(self, queries: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Inner products ``[B, S]`` of queries ``[B, D]`` with their classifiers."""
        if isinstance(self.labels, slice):
            return queries @ weights[self.labels].T
        return chosen_products(queries, weights, self.labels)

    def gradients(
        self, queries: torch.Tensor, weights: torch.Tensor, slopes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What the slopes of scores ``[B, S]`` mean for queries and classifiers.

        Returns:
            The gradient of the queries ``[B, D]``, the labels whose classifiers have one, int64
            ``[A]``, and theirs ``[A, D]``.
        """
        if isinstance(self.labels, slice):
            each = torch.arange(self.labels.start, self.labels.stop, device=weights.device)
            return slopes @ weights[self.labels], each, slopes.T @ queries
        rows, sums = sums_by_row(queries, self.labels, slopes)
        return chosen_sums(weights, self.labels, slopes), rows, sums


class Comparison(Protocol):
    """Gives the documents of a batch the labels they are compared with."""

    def of(self, epoch: int, step: int, documents: torch.Tensor) -> Iterator[Compared]:
        """For documents ``[B]``, part by part, a label in one part alone.

        Randomness depends on seed, epoch and step alone.
        """
        ...


class WithAll:
    """All labels: one versus all.

    Args:
        truth: positive pairs.
        known: pairs that are positive or filtered.
        cells: scores of a part, at most.
    """

    def __init__(self, truth: Pairs, known: Pairs, *, cells: int) -> None:
        self._truth, self._known, self._cells = truth, known, cells

    def of(self, epoch: int, step: int, documents: torch.Tensor) -> Iterator[Compared]:
        """As `Comparison.of`."""
        every = self._truth.label_count
        width = max(1, self._cells // len(documents))
        right, known = (
            _parts(pairs.of(documents), len(documents), every, width)
            for pairs in (self._truth, self._known)
        )
        for start, positives, no_negatives in zip(
            range(0, every, width), right, known, strict=True
        ):
            labels = slice(start, start + positives.shape[1])
            yield Compared(labels, positives, positives | ~no_negatives)


class WithShortlist:
    """Positives, a list of likely negatives made before, and labels drawn at random.

    Args:
        truth: positive pairs.
        known: pairs that are positive or filtered.
        lists: int ``[N, S]`` without known pairs, -1 fills up; in host memory or on the device.
        positives: of a document at most, drawn anew in each batch.
        random: labels drawn for a document.
        seed: of the draws.
    """

    def __init__(
        self,
        truth: Pairs,
        known: Pairs,
        lists: torch.Tensor,
        *,
        positives: int,
        random: int,
        seed: int,
    ) -> None:
        self._truth, self._known, self.lists = truth, known, lists
        self._positives, self._random, self._seed = positives, random, seed

    def of(self, epoch: int, step: int, documents: torch.Tensor) -> Iterator[Compared]:
        """As `Comparison.of`; one part."""
        device = documents.device
        random = epoch_random(self._seed, epoch, f"list {step}")
        right = some_positives(self._truth, documents, self._positives, random)
        listed = self.lists[documents.to(self.lists.device)].to(device, torch.int64)
        shape = (len(documents), self._random)
        drawn = torch.from_numpy(random.integers(self._truth.label_count, size=shape)).to(device)
        drawn = drawn.masked_fill(are_known(self._known, documents, drawn), -1)
        labels = torch.cat([right, listed, drawn], dim=1)
        positives = torch.zeros_like(labels, dtype=torch.bool)
        positives[:, : right.shape[1]] = right >= 0
        yield Compared(labels, positives, labels >= 0)


def some_positives(
    truth: Pairs, documents: torch.Tensor, most: int, random: np.random.Generator
) -> torch.Tensor:
    """Up to `most` positives of each document, drawn at random where it has more.

    Returns:
        int64 ``[B, P]``, -1 fills up; P is the most that any has.
    """
    found = truth.of(documents)
    draws = torch.from_numpy(random.random(len(found.labels))).to(documents.device)
    order = draws.argsort(stable=True)
    order = order[found.places[order].argsort(stable=True)]
    places, labels = found.places[order], found.labels[order]
    counts = torch.bincount(places, minlength=len(documents))
    ranks = torch.arange(len(places), device=places.device) - (counts.cumsum(0) - counts)[places]
    kept = ranks < most
    width = min(most, int(counts.max())) if len(counts) else 0
    chosen = torch.full((len(documents), width), -1, device=documents.device)
    chosen[places[kept], ranks[kept]] = labels[kept]
    return chosen


def are_known(known: Pairs, documents: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Whether labels ``[B, R]`` are in known pairs of their documents ``[B]``, bool ``[B, R]``."""
    found = known.of(documents)
    keys = (found.places * known.label_count + found.labels).sort().values
    rows = torch.arange(len(documents), device=labels.device)[:, None]
    asked = rows * known.label_count + labels
    if not len(keys):
        return torch.zeros_like(labels, dtype=torch.bool)
    places = torch.searchsorted(keys, asked).clamp_(max=len(keys) - 1)
    return keys[places] == asked


def _parts(found: PairList, documents: int, labels: int, width: int) -> Iterator[torch.Tensor]:
    """Which cells are pairs, bool ``[documents, width]`` for each run of `width` labels."""
    order = found.labels.argsort()
    places, names = found.places[order], found.labels[order]
    starts = torch.arange(0, labels + width, width, device=names.device)
    edges = torch.searchsorted(names, starts).tolist()
    for start, (first, last) in zip(range(0, labels, width), pairwise(edges), strict=True):
        shape = (documents, min(width, labels - start))
        cells = torch.zeros(shape, dtype=torch.bool, device=names.device)
        cells[places[first:last], names[first:last] - start] = True
        yield cells
