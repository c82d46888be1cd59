"""Shortlists: the labels that are likely for a document before its classifiers are asked.

A label is found by several vectors: its embedding, the centroid of its documents, several centroids
where it has very many; the nearest of them counts. The labels of the nearest training documents add
their votes (Astec, section 3, "shortlisting"; SiameseXML, section 3).
"""

from __future__ import annotations

from typing import Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch.nn import functional as F

from dexa import metrics
from dexa.clustering import balanced_kmeans
from dexa.kernels import chosen_products
from dexa.types import NO_LABEL, TopK

_CLUSTER = 256
_QUERIES_AT_ONCE = 8_192
_LEAST = 1e-6  # opinions are positive


@final
class ClusterSearch:
    """Search for the unit vectors nearest to queries among those of the nearest clusters.

    Args:
        vectors: unit vectors ``[M, D]``.
        clusters: int64 ``[M]``, the cluster of each vector, from 0.
        probes: clusters a query looks into; 0 looks into all.
    """

    def __init__(self, vectors: torch.Tensor, clusters: torch.Tensor, probes: int) -> None:
        self.vectors, self.clusters = vectors, clusters
        count = int(clusters.max()) + 1
        self.probes = min(probes or count, count)
        self._order = clusters.argsort(stable=True)
        sizes = torch.bincount(clusters, minlength=count)
        self._edges = [0, *sizes.cumsum(0).tolist()]
        self._width = int(sizes.max())
        sums = vectors.new_zeros(count, vectors.shape[1]).index_add_(0, clusters, vectors)
        self._centres = F.normalize(sums, dim=1)
        self._ordered = vectors[self._order]

    @staticmethod
    def over(vectors: torch.Tensor, probes: int, seed: int) -> ClusterSearch:
        """Cluster unit vectors ``[M, D]`` and search them."""
        count = max(1, len(vectors) // _CLUSTER)
        return ClusterSearch(vectors, balanced_kmeans(vectors, count, seed=seed), probes)

    @torch.no_grad()
    def search(self, queries: torch.Tensor, k: int) -> TopK:
        """The vectors nearest to unit queries ``[B, D]``, as `Index.search`, but not all of them.

        A vector in none of the clusters that a query looks into is not found.
        """
        parts = [self._block(block, k) for block in queries.split(_QUERIES_AT_ONCE)]
        places, cosines = zip(*parts, strict=True)
        return TopK(labels=torch.cat(places).cpu().numpy(), scores=torch.cat(cosines).cpu().numpy())

    def score(self, queries: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cosines of chosen vectors, as `Index.score`."""
        products = chosen_products(queries, self.vectors, labels)
        return products.masked_fill_(labels == NO_LABEL, -torch.inf)

    def _block(self, queries: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
        near = (queries @ self._centres.T).topk(self.probes, dim=1).indices
        cells = near.flatten().argsort(stable=True)  # of query and probe, cluster by cluster
        counts = torch.bincount(near.flatten(), minlength=len(self._centres)).cumsum(0).tolist()
        cosines = queries.new_full((len(queries) * self.probes, self._width), -torch.inf)
        for cluster, (begin, end) in enumerate(zip([0, *counts[:-1]], counts, strict=True)):
            if begin < end:
                some = cells[begin:end]
                own = self._ordered[self._edges[cluster] : self._edges[cluster + 1]]
                cosines[some, : len(own)] = queries[some // self.probes] @ own.T
        cosines = cosines.view(len(queries), -1)
        best, columns = cosines.topk(min(k, cosines.shape[1]), dim=1)
        starts = torch.tensor(self._edges[:-1], device=queries.device)
        inside = starts[near.gather(1, columns // self._width)] + columns % self._width
        places = self._order[inside.clamp(max=len(self._order) - 1)]
        places = torch.where(best == -torch.inf, -1, places)
        missing = (0, k - places.shape[1])
        return F.pad(places, missing, value=-1), F.pad(best, missing, value=-torch.inf)


class Votes(Protocol):
    """What training documents near to a text say."""

    def opinions(self, queries: torch.Tensor) -> csr_array:
        """Votes for labels ``[B, L]``."""
        ...


@final
class Shortlist:
    """Labels by their nearest vector and by the votes of training documents.

    Args:
        search: over unit vectors of labels ``[M, D]``.
        owners: int64 ``[M]``, the label of each vector.
        labels: L.
        length: of a list.
        votes: of training documents; None where they have no say.
        votes_weight: share of the votes in a score.
    """

    def __init__(
        self,
        search: ClusterSearch,
        owners: NDArray[np.int64],
        *,
        labels: int,
        length: int,
        votes: Votes | None,
        votes_weight: float,
    ) -> None:
        self.search, self.owners, self.labels, self.length = search, owners, labels, length
        self.votes, self.votes_weight = votes, votes_weight
        # as many vectors as hold `length` labels, if these have as many vectors as others
        self._depth = length * max(1, -(-len(owners) // labels))

    def opinions(self, vectors: torch.Tensor) -> csr_array:
        """Scores of the labels of the lists, float32 ``[B, L]``, each above 0.

        ``(1 − votes_weight) · cosine + votes_weight · votes``.

        Args:
            vectors: unit vectors ``[B, D]``.
        """
        near = self.search.search(vectors, self._depth)
        labels = np.where(near.labels == NO_LABEL, NO_LABEL, self.owners[near.labels])
        found = _first_of_each(labels, near.scores)
        scores = found.scores.clip(min=_LEAST) * np.float32(1 - self.votes_weight)
        scored = metrics.to_csr(TopK(labels=found.labels, scores=scores), self.labels)
        if self.votes is None:
            return scored
        return csr_array(scored + self.votes.opinions(vectors) * np.float32(self.votes_weight))

    def lists(self, vectors: torch.Tensor, known: csr_array) -> torch.Tensor:
        """The lists of documents without what is known of them: negatives to learn from.

        Args:
            vectors: unit vectors of N documents.
            known: positives and filtered pairs ``[N, L]``.

        Returns:
            int32 ``[N, length]``, best first; `NO_LABEL` fills up.
        """
        parts = [np.empty((0, self.length), np.int32)]
        for start in range(0, len(vectors), _QUERIES_AT_ONCE):
            some = vectors[start : start + _QUERIES_AT_ONCE].to(self.search.vectors.device)
            pairs = known[start : start + len(some)].tocoo()
            deep = self.length + int(np.diff(known.indptr).max(initial=0))
            found = metrics.top_k(self.opinions(some), deep)
            rest = metrics.drop_pairs(found, np.stack([pairs.row, pairs.col], axis=1))
            parts.append(rest.labels[:, : self.length].astype(np.int32))
        return torch.from_numpy(np.concatenate(parts))


def _first_of_each(labels: NDArray[np.int64], scores: NDArray[np.float32]) -> TopK:
    """Answers ``[B, K]``, best first, without the labels that have come before in their row."""
    order = labels.argsort(axis=1, kind="stable")
    ordered = np.take_along_axis(labels, order, axis=1)
    again = np.zeros(labels.shape, bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    repeated = np.empty_like(again)
    np.put_along_axis(repeated, order, again, axis=1)
    return TopK(labels=np.where(repeated, NO_LABEL, labels), scores=scores)


def centroids(vectors: torch.Tensor, labels: csr_array) -> torch.Tensor:
    """Unit means ``[L, D]`` of the vectors of each label's documents; zero where it has none.

    Args:
        vectors: unit vectors of documents ``[N, D]``.
        labels: of documents ``[N, L]``.
    """
    of_label = csr_array(labels.T)
    documents = torch.from_numpy(of_label.indices.astype(np.int64)).to(vectors.device)
    starts = torch.from_numpy(of_label.indptr[:-1].astype(np.int64)).to(vectors.device)
    return F.normalize(F.embedding_bag(documents, vectors, starts, mode="sum"), dim=1)


def head_centroids(
    vectors: torch.Tensor, labels: csr_array, *, count: int, head_from: int, seed: int
) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Several centroids of each label that has many documents.

    Args:
        vectors: unit vectors of documents ``[N, D]``.
        labels: of documents ``[N, L]``.
        count: centroids of a head label.
        head_from: documents from which on a label is one.
        seed: of the clusters of its documents.

    Returns:
        Unit vectors ``[M, D]`` and the label of each.
    """
    of_label = csr_array(labels.T)
    frequency = np.diff(of_label.indptr)
    head = np.flatnonzero(frequency >= head_from) if count > 1 else np.empty(0, np.int64)
    parts, owners = [vectors.new_empty(0, vectors.shape[1])], [np.empty(0, np.int64)]
    for label in head:  # few labels are head labels
        own = of_label.indices[of_label.indptr[label] : of_label.indptr[label + 1]]
        rows = vectors[torch.from_numpy(own.astype(np.int64)).to(vectors.device)]
        clusters = balanced_kmeans(rows, min(count, len(rows)), seed=seed)
        sums = rows.new_zeros(min(count, len(rows)), rows.shape[1]).index_add_(0, clusters, rows)
        parts.append(F.normalize(sums, dim=1))
        owners.append(np.full(len(sums), label))
    return torch.cat(parts), np.concatenate(owners)
