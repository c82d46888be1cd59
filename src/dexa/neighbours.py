"""Labels of the nearest training documents vote (the ViXML paper, AAAI 2026, appendix E)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from scipy.sparse import csr_array

from dexa.errors import RecipeError
from dexa.types import Index


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class NeighbourVotes:
    """The training documents nearest to a text vote for their labels.

    A document's voice is ``softmax(cosine / temperature)`` over the neighbours of the text; each
    of its labels gets it whole.

    Attributes:
        index: over the unit vectors of N training documents.
        labels: their labels, ``[N, L]``; every entry counts as 1.
        neighbours: documents that vote.
        temperature: the smaller, the more the nearest count.

    Raises:
        RecipeError: no neighbours, or a temperature that is not positive.
    """

    index: Index
    labels: csr_array
    neighbours: int = 50
    temperature: float = 0.05

    def __post_init__(self) -> None:
        if self.neighbours < 1:
            raise RecipeError(f"{self.neighbours} neighbours", expected="at least 1")
        if not 0 < self.temperature < np.inf:
            raise RecipeError(f"a temperature of {self.temperature}", expected="a positive number")

    def opinions(self, vectors: torch.Tensor) -> csr_array:
        """Votes for labels, float32 ``[B, L]``, each above 0 and at most 1.

        `dexa.metrics.top_k` gives the best of them, `dexa.metrics.chosen` those of some labels.

        Args:
            vectors: unit vectors ``[B, D]`` of texts that are not themselves in the index.
        """
        nearest = self.index.search(vectors, self.neighbours)
        voices = np.exp((nearest.scores - nearest.scores[:, :1]) / self.temperature)
        voices /= voices.sum(axis=1, keepdims=True)
        heard = voices > 0  # places beyond the N documents hold none, and far ones underflow
        ends = np.concatenate([[0], np.cumsum(np.count_nonzero(heard, axis=1))])
        ones = np.ones(self.labels.nnz, np.float32)
        labels = csr_array((ones, self.labels.indices, self.labels.indptr), shape=self.labels.shape)
        shape = (len(nearest), labels.indptr.size - 1)
        votes = csr_array(
            csr_array((voices[heard], nearest.labels[heard], ends), shape=shape) @ labels
        )
        votes.sort_indices()
        votes.data = np.minimum(votes.data, 1)  # a sum of voices may round to more
        return votes
