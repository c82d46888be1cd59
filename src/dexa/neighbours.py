"""Labels of the nearest training documents vote (the ViXML paper, AAAI 2026, appendix E)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar, cast, final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.errors import RecipeError
from dexa.types import TopK


class Search(Protocol):
    """Finds the documents nearest to some texts, by their vectors or by their words."""

    def search(self, queries: Any, k: int, /) -> TopK:
        """The K nearest documents of each text, and their cosines."""
        ...


SearchT = TypeVar("SearchT", bound=Search)

NOT_IN_DATA = -1
"""Stands in `NeighbourVotes.rows` for a document that came after training."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class NeighbourVotes(Generic[SearchT]):
    """The training documents nearest to a text vote for their labels.

    A document's voice is ``softmax(cosine / temperature)`` over the neighbours of the text; each
    of its labels gets it whole.

    Attributes:
        index: over N training documents.
        labels: their labels, ``[N, L]``; every entry counts as 1.
        neighbours: documents that vote.
        temperature: the smaller, the more the nearest count.
        rows: int64 ``[N]``, where each document stands in the data set; `NOT_IN_DATA` for one that
            came with a later label. None where nobody knows.

    Raises:
        RecipeError: no neighbours, or a temperature that is not positive.
    """

    index: SearchT
    labels: csr_array
    neighbours: int = 50
    temperature: float = 0.05
    rows: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise RecipeError(f"{self.neighbours} neighbours", expected="at least 1")
        if not 0 < self.temperature < np.inf:
            raise RecipeError(f"a temperature of {self.temperature}", expected="a positive number")

    def opinions(self, queries: Any) -> csr_array:
        """Votes for labels, float32 ``[B, L]``, each above 0 and at most 1.

        `dexa.metrics.top_k` gives the best of them, `dexa.metrics.chosen` those of some labels.

        Args:
            queries: of B texts that are not themselves in the index, as the index reads them: unit
                vectors ``[B, D]``, or features ``[B, V]``.
        """
        nearest, voices = self.voices(queries)
        heard = voices > 0  # places without a document hold none, and far ones underflow
        ends = np.concatenate([[0], np.cumsum(np.count_nonzero(heard, axis=1))])
        shape = (len(nearest), self.labels.indptr.size - 1)
        heard_of = csr_array((voices[heard], nearest.labels[heard], ends), shape=shape)
        votes = csr_array(heard_of @ self._ones)
        votes.sort_indices()
        votes.data = np.minimum(votes.data, 1)  # a sum of voices may round to more
        return votes

    @cached_property
    def _ones(self) -> csr_array:
        """The labels ``[N, L]``, a one for each."""
        ones = np.ones(self.labels.nnz, np.float32)
        return csr_array((ones, self.labels.indices, self.labels.indptr), shape=self.labels.shape)

    def voices(self, queries: Any) -> tuple[TopK, NDArray[np.float32]]:
        """The nearest documents of each text, and how much each has to say, ``[B, K]``."""
        nearest = self.index.search(queries, self.neighbours)
        # a text that shares no word is near to none
        closest = np.maximum(nearest.scores[:, :1], -1)
        voices = np.exp((nearest.scores - closest) / self.temperature)
        sums = np.maximum(voices.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return nearest, voices / sums

    @property
    def n_labels(self) -> int:
        """How many labels there are, L."""
        return cast("tuple[int, int]", self.labels.shape)[1]

    def of_labels(self, n_labels: int) -> NeighbourVotes[SearchT]:
        """The same votes among more labels; no document has any of the new ones."""
        labels = self.labels
        parts = (labels.data, labels.indices, labels.indptr)
        return replace(self, labels=csr_array(parts, shape=(labels.indptr.size - 1, n_labels)))

    def joined_by(self, index: SearchT, labels: csr_array) -> NeighbourVotes[SearchT]:
        """The same with more documents.

        Args:
            index: over the documents up to now, and M ≥ 1 more behind them.
            labels: of these, ``[M, L]``, of the same labels.
        """
        before, after = self.labels, labels.indptr.size - 1
        entries = np.concatenate([before.indices, labels.indices])
        ends = np.concatenate([before.indptr, before.indptr[-1] + labels.indptr[1:]])
        shape = (len(ends) - 1, self.n_labels)
        every = csr_array((np.ones(len(entries), np.float32), entries, ends), shape=shape)
        rows = self.rows
        if rows is not None:
            rows = np.append(rows, np.full(after, NOT_IN_DATA))
        return replace(self, index=index, labels=every, rows=rows)
