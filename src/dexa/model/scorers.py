"""The scorers of a model: whatever gives a text its best labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_array
from torch.nn import functional as F

from dexa import metrics
from dexa.errors import InputError
from dexa.fusion import Candidates, union
from dexa.index import ExactIndex, chosen_kind, reindexed
from dexa.lexical import LabelSearch, SparseLinear, TextFeatures
from dexa.neighbours import NeighbourVotes
from dexa.types import (
    CLASSIFIERS,
    LABEL_SEARCH,
    LABEL_WORDS,
    LINEAR,
    NEIGHBOURS,
    Allowed,
    Index,
    Progress,
    TopK,
)


@dataclass(frozen=True, kw_only=True)
class WordScorers:
    """The scorers that read words.

    Attributes:
        features: of texts.
        label_words: label texts that share words with a text.
        linear: weights of words for labels.
    """

    features: TextFeatures
    label_words: LabelSearch
    linear: SparseLinear


@dataclass(frozen=True, kw_only=True)
class Scorers:
    """All scorers of a model, ready to search.

    Attributes:
        label_search: cosine with unit label embeddings ``[L, D]``.
        classifiers: cosine with unit classifiers ``[L, D]``.
        neighbours: votes of training documents; None where the recipe has none.
        words: scorers that read words; None where the recipe has none.
    """

    label_search: Index
    classifiers: Index
    neighbours: NeighbourVotes | None = None
    words: WordScorers | None = None

    @staticmethod
    def over(label_vectors: torch.Tensor, weights: torch.Tensor) -> Scorers:
        """Scorers of label embeddings and classifiers, of any length, ``[L, D]``."""
        return Scorers(
            label_search=ExactIndex(F.normalize(label_vectors, dim=1)),
            classifiers=ExactIndex(F.normalize(weights, dim=1)),
        )

    def indexes(self) -> dict[str, Index]:
        """The indexes by the name of their scorer."""
        found = {LABEL_SEARCH: self.label_search, CLASSIFIERS: self.classifiers}
        return found if self.neighbours is None else {**found, NEIGHBOURS: self.neighbours.index}

    def searched_by(self, kind: str, progress: Progress) -> Scorers:
        """The same scorers on indexes of another kind.

        Args:
            kind: ``exact``, ``faiss``, or ``auto`` for what fits the number of labels.
            progress: told what is chosen and built.

        Raises:
            InputError: there is no such kind, or its package is not installed.
        """
        vectors = self.label_search.vectors
        kind = chosen_kind(kind, len(vectors), vectors.device, progress)
        others = {name: reindexed(index, kind, progress) for name, index in self.indexes().items()}
        votes = self.neighbours and replace(self.neighbours, index=others[NEIGHBOURS])
        return replace(
            self,
            label_search=others[LABEL_SEARCH],
            classifiers=others[CLASSIFIERS],
            neighbours=votes,
        )

    def ask(
        self,
        vectors: torch.Tensor,
        texts: Sequence[str] | None = None,
        allowed: Allowed | None = None,
    ) -> Asked:
        """Put some texts to all scorers.

        Args:
            vectors: their unit vectors ``[B, D]``.
            texts: themselves; only scorers that read words need them.
            allowed: bool ``[L]``, the labels that may be answered; None for all.

        Raises:
            InputError: there are no texts for the scorers that read words.
        """
        if self.words is not None and texts is None:
            raise InputError(
                "token files alone",
                expected="texts: this model has scorers that read words",
                do="give texts, or a data set that has them",
            )
        return Asked(self, vectors, texts, allowed)


class Asked:
    """Some texts, and what the scorers say of them.

    Args:
        scorers: who was asked.
        vectors: unit vectors of the texts, ``[B, D]``.
        texts: themselves.
        allowed: bool ``[L]``, the labels that may be answered; None for all.
    """

    def __init__(
        self,
        scorers: Scorers,
        vectors: torch.Tensor,
        texts: Sequence[str] | None,
        allowed: Allowed | None = None,
    ) -> None:
        self._scorers, self._vectors, self._texts = scorers, vectors, texts
        self._allowed = allowed
        self._dense = {
            LABEL_SEARCH: scorers.label_search,
            CLASSIFIERS: scorers.classifiers,
        }

    def best(self, k: int) -> dict[str, TopK]:
        """The k best labels of each scorer."""
        found = {
            name: index.search(self._vectors, k, self._allowed)
            for name, index in self._dense.items()
        }
        sparse = {name: metrics.top_k(said, k) for name, said in self._opinions.items()}
        return found | sparse

    def candidates(self, found: dict[str, TopK]) -> Candidates:
        """What any of the scorers found, with the scores of all."""
        return self.scored(union([torch.from_numpy(top.labels) for top in found.values()]))

    def scored(self, labels: torch.Tensor) -> Candidates:
        """Some labels of each text, int64 ``[B, C]``, with the scores of all scorers."""
        device = self._scorers.label_search.vectors.device
        labels = labels.to(device)
        scores = {name: index.score(self._vectors, labels) for name, index in self._dense.items()}
        on_host = labels.cpu().numpy()
        for name, said in self._opinions.items():
            scores[name] = torch.from_numpy(metrics.chosen(said, on_host)).to(device)
        return Candidates(labels=labels, scores=scores)

    @cached_property
    def _opinions(self) -> dict[str, csr_array]:
        """What the sparse scorers say, ``[B, L]`` each."""
        said: dict[str, csr_array] = {}
        if self._scorers.neighbours is not None:
            said[NEIGHBOURS] = self._scorers.neighbours.opinions(self._vectors)
        words = self._scorers.words
        if words is not None and self._texts is not None:
            features = words.features.transform(self._texts)
            said[LABEL_WORDS] = words.label_words.opinions(features)
            said[LINEAR] = words.linear.opinions(features)
        return {name: self._of_allowed(opinions) for name, opinions in said.items()}

    def _of_allowed(self, opinions: csr_array) -> csr_array:
        """Opinions of labels that may be answered."""
        index = self._scorers.label_search
        refused = index.removed if self._allowed is None else ~torch.as_tensor(self._allowed).cpu()
        refused = (refused | index.removed).numpy()
        if not refused.any():
            return opinions
        kept = ~refused[opinions.indices]
        ends = np.concatenate([[0], np.cumsum(kept)])[opinions.indptr]
        return csr_array((opinions.data[kept], opinions.indices[kept], ends), shape=opinions.shape)
