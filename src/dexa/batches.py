"""The order of documents in an epoch, and the labels they are paired with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.clustering import balanced_kmeans


@dataclass(frozen=True, kw_only=True)
class ClusterSchedule:
    """When documents are clustered, and into clusters of which size.

    Attributes:
        size: documents of a cluster at the start.
        start: first epoch with clusters.
        every: epochs between two clusterings.
        doublings: epochs from which on the size is twice that of before.
    """

    size: int
    start: int
    every: int
    doublings: tuple[int, ...]

    def clusters(self, epoch: int, documents: int) -> int:
        """How many clusters there are in an epoch."""
        size = self.size * 2 ** sum(epoch >= e for e in self.doublings)
        return max(1, documents // size)

    def is_due(self, epoch: int) -> bool:
        """Whether the documents are clustered anew in an epoch."""
        return epoch >= self.start and (epoch - self.start) % self.every == 0


class ClusteredSampler:
    """Negative-mining-aware batches (NGAME, section 4): like documents share a batch.

    Labels of like documents are hard negatives for each other. Clusters are shuffled as wholes
    and cut into batches, so that a batch holds many clusters.

    Args:
        documents: how many there are.
        schedule: of the clusters.
        seed: of every shuffle and clustering.
    """

    def __init__(self, documents: int, schedule: ClusterSchedule, seed: int) -> None:
        self.documents, self.schedule, self.seed = documents, schedule, seed
        self.assignment: NDArray[np.int64] | None = None

    def order(self, epoch: int, memory: torch.Tensor) -> NDArray[np.int64]:
        """Documents of an epoch in order, to be cut into batches.

        Args:
            epoch: counted from 0.
            memory: the latest vector of every document, ``[N, D]``.
        """
        random = epoch_random(self.seed, epoch, "order")
        if epoch < self.schedule.start:
            return random.permutation(self.documents)
        count = self.schedule.clusters(epoch, self.documents)
        if self.assignment is None or self.schedule.is_due(epoch):
            clusters = balanced_kmeans(memory, count, seed=int(random.integers(2**31)))
            self.assignment = clusters.cpu().numpy()
        # Neighbours in the tree of clusters have neighbouring numbers, so that fewer and larger
        # clusters come from merging runs of them.
        finest = int(self.assignment.max()) + 1
        merged = self.assignment * min(count, finest) // finest
        shuffled = random.permutation(min(count, finest))
        return np.argsort(shuffled[merged], kind="stable")


def epoch_random(seed: int, epoch: int, purpose: str) -> np.random.Generator:
    """A generator of its own for each purpose in each epoch.

    Randomness that depends on the place in the run alone needs no state to be resumed.
    """
    return np.random.default_rng([seed, epoch, *purpose.encode()])


def sample_positives(
    labels: csr_array, random: np.random.Generator, weights: NDArray[np.float64] | None = None
) -> NDArray[np.int64]:
    """One label of each document, ``[N]``; every document has one at least.

    Args:
        labels: positives, ``[N, L]``.
        random: draws them.
        weights: float64 ``[L]``, above 0, in proportion to which a document's labels are drawn;
            None for uniformly.
    """
    counts = np.diff(labels.indptr)
    assert counts.min(initial=1) > 0
    draws = random.random(len(counts))
    if weights is None:
        picks = labels.indptr[:-1] + (draws * counts).astype(np.int64)
    else:
        sums = np.concatenate([[0], np.cumsum(weights[labels.indices])])
        starts, stops = labels.indptr[:-1], labels.indptr[1:]
        aims = sums[starts] + draws * (sums[stops] - sums[starts])
        # a sum may round to its neighbour's
        picks = (np.searchsorted(sums, aims, side="right") - 1).clip(starts, stops - 1)
    return labels.indices[picks].astype(np.int64)


def draw_labels(
    of_label: csr_array, count: int, power: float, random: np.random.Generator
) -> NDArray[np.int64]:
    """Labels for an epoch of label batches, and two documents of each (SiameseXML, section 3).

    Labels are drawn with replacement, each in proportion to a power of its frequency; both
    documents of one are drawn uniformly and may be the same.

    Args:
        of_label: documents of labels ``[L, N]``.
        count: labels to draw.
        power: of the frequency; 1 draws pairs uniformly, 0 the labels that have documents.
        random: draws.

    Returns:
        int64 ``[3, count]``: labels, first documents, second documents.
    """
    counts = np.diff(of_label.indptr)
    weights = np.where(counts > 0, np.maximum(counts, 1).astype(np.float64) ** power, 0.0)
    labels = random.choice(len(counts), size=count, p=weights / weights.sum())
    places = (random.random((2, len(labels))) * counts[labels]).astype(np.int64)
    documents = of_label.indices[of_label.indptr[labels] + places]
    return np.concatenate([labels[None], documents]).astype(np.int64)
