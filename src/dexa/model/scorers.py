"""The scorers of a model: whatever gives a text its best labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from torch.nn import functional as F

from dexa import metrics
from dexa.encoders import ClassifierHead, TextEncoder
from dexa.errors import InputError
from dexa.fusion import Candidates, union
from dexa.index import ExactIndex, chosen_kind, reindexed
from dexa.lexical import (
    FrequentLabels,
    LabelSearch,
    Mentions,
    SparseLinear,
    TextFeatures,
    WordIndex,
)
from dexa.neighbours import NeighbourVotes
from dexa.shortlists import Shortlist
from dexa.threads import side_by_side
from dexa.types import (
    CLASSIFIERS,
    LABEL_SEARCH,
    LABEL_WORDS,
    LINEAR,
    MENTIONS,
    NEIGHBOURS,
    RERANKER,
    SCORERS,
    SHORTLIST,
    WORD_NEIGHBOURS,
    Allowed,
    Index,
    Progress,
    TopK,
)

_AT_ONCE = 128  # texts whose words a thread reads


class WordScorer(Protocol):
    """What has an opinion on texts by their words."""

    def opinions(self, features: csr_array, /) -> csr_array:
        """Positive scores, float32 ``[B, L]``, for features ``[B, V]`` of texts."""
        ...


def _opinions(
    scorer: WordScorer | FrequentLabels, features: csr_array, texts: Sequence[str]
) -> csr_array:
    """What a scorer says of texts and their features, a block of them at a time.

    The first block is asked alone: what a scorer makes when it is first asked is made once.
    """

    def block(start: int) -> csr_array:
        rows = features
        if len(texts) > _AT_ONCE:
            rows = csr_array(features[start : start + _AT_ONCE])
        if isinstance(scorer, FrequentLabels):
            return scorer.opinions(rows, texts[start : start + _AT_ONCE])
        return scorer.opinions(rows)

    first, others = block(0), range(_AT_ONCE, len(texts), _AT_ONCE)
    if not others:
        return first
    return csr_array(vstack([first, *side_by_side(block, others)], format="csr"))


@dataclass(frozen=True, kw_only=True)
class WordScorers:
    """The scorers that read words.

    Attributes:
        features: of texts.
        by_name: the scorers, over these features.
        mentions: titles that stand in a text; None where the recipe does not look for them.
    """

    features: TextFeatures
    by_name: Mapping[str, WordScorer | FrequentLabels]
    mentions: Mentions | None = None

    @property
    def label_words(self) -> LabelSearch | None:
        """Label texts that share words with a text, where this is one of the scorers."""
        return cast("LabelSearch | None", self.by_name.get(LABEL_WORDS))

    @property
    def linear(self) -> SparseLinear | None:
        """Weights of words for labels, where this is one of the scorers."""
        return cast("SparseLinear | None", self.by_name.get(LINEAR))

    def opinions(self, texts: Sequence[str]) -> dict[str, csr_array]:
        """What each says of texts, ``[B, L]``."""
        features = self.features.transform(texts)
        said = {name: _opinions(scorer, features, texts) for name, scorer in self.by_name.items()}
        if self.mentions is not None:
            said[MENTIONS] = self.mentions.opinions(texts, self.features)
        return {name: said[name] for name in SCORERS if name in said}

    @property
    def neighbours(self) -> NeighbourVotes[WordIndex] | None:
        """Votes of training documents by their words, where this is one of the scorers."""
        return cast("NeighbourVotes[WordIndex] | None", self.by_name.get(WORD_NEIGHBOURS))


@dataclass(frozen=True, kw_only=True)
class Scorers:
    """All scorers of a model, ready to search.

    Attributes:
        dense: `LABEL_SEARCH`, cosine with unit label embeddings ``[L, D]``, and `CLASSIFIERS`,
            cosine with unit classifiers ``[L, D]``; neither where there is no encoder. With a
            block that wants it so, classifiers are of any length. `RERANKER`, where the recipe has
            one: the classifiers of a second encoder.
        heads: the blocks between encoders and classifiers, by the name of the scorer.
        second: the encoder of the re-ranker, which reads the same tokens as the first.
        shortlist: labels by their nearest vectors and by votes; None where the recipe has none.
        neighbours: votes of training documents by their vectors; None where the recipe has none.
        words: scorers that read words; None where the recipe has none.
    """

    dense: Mapping[str, Index] = field(default_factory=dict)
    heads: Mapping[str, ClassifierHead] = field(default_factory=dict)
    second: TextEncoder | None = None
    shortlist: Shortlist | None = None
    neighbours: NeighbourVotes[Index] | None = None
    words: WordScorers | None = None

    @staticmethod
    def over(
        label_vectors: torch.Tensor, weights: torch.Tensor, head: ClassifierHead | None = None
    ) -> Scorers:
        """Scorers of label embeddings and classifiers.

        Args:
            label_vectors: of any length, ``[L, D]``.
            weights: of classifiers; of any length where cosines count.
            head: between encoder and classifiers.
        """
        cosine = head is None or head.cosine
        return Scorers(
            dense={
                LABEL_SEARCH: ExactIndex(F.normalize(label_vectors, dim=1)),
                CLASSIFIERS: ExactIndex(F.normalize(weights, dim=1) if cosine else weights),
            },
            heads={} if head is None else {CLASSIFIERS: head},
        )

    @property
    def label_search(self) -> Index:
        """Search of label embeddings; only where there is an encoder."""
        return self.dense[LABEL_SEARCH]

    @property
    def classifiers(self) -> Index:
        """Search of classifiers; only where there is an encoder."""
        return self.dense[CLASSIFIERS]

    @property
    def device(self) -> torch.device:
        """Where vectors are searched; words are read by the CPU."""
        return next((i.vectors.device for i in self.dense.values()), torch.device("cpu"))

    @torch.no_grad()
    def seen(self, name: str, vectors: torch.Tensor) -> torch.Tensor:
        """What a dense scorer sees of the unit vectors of its encoder."""
        head = self.heads.get(name)
        return vectors if head is None else head(vectors)

    def indexes(self) -> dict[str, Index]:
        """The indexes by the name of their scorer."""
        votes = {} if self.neighbours is None else {NEIGHBOURS: self.neighbours.index}
        return {**self.dense, **votes}

    def searched_by(self, kind: str, progress: Progress) -> Scorers:
        """The same scorers on indexes of another kind; words are searched as they are.

        Args:
            kind: ``exact``, ``pq``, ``faiss``, or ``auto`` for what fits the number of labels.
            progress: told what is chosen and built.

        Raises:
            InputError: there is no such kind, or its package is not installed.
        """
        if not self.dense:
            return self
        vectors = self.label_search.vectors
        kind = chosen_kind(kind, len(vectors), vectors.device, progress)
        others = {name: reindexed(index, kind, progress) for name, index in self.indexes().items()}
        votes = self.neighbours and replace(self.neighbours, index=others[NEIGHBOURS])
        return replace(self, dense={name: others[name] for name in self.dense}, neighbours=votes)

    def ask(
        self,
        vectors: torch.Tensor,
        texts: Sequence[str] | None = None,
        allowed: Allowed | None = None,
        second: torch.Tensor | None = None,
    ) -> Asked:
        """Put some texts to all scorers.

        Args:
            vectors: their unit vectors ``[B, D]``.
            texts: themselves; only scorers that read words need them.
            allowed: bool ``[L]``, the labels that may be answered; None for all.
            second: their unit vectors by the re-ranker's encoder, where there is one.

        Raises:
            InputError: there are no texts for the scorers that read words.
        """
        if self.words is not None and texts is None:
            raise InputError(
                "token files alone",
                expected="texts: this model has scorers that read words",
                do="give texts, or a data set that has them",
            )
        return Asked(self, vectors, texts, allowed, second)


class Asked:
    """Some texts, and what the scorers say of them.

    Args:
        scorers: who was asked.
        vectors: unit vectors of the texts, ``[B, D]``.
        texts: themselves.
        allowed: bool ``[L]``, the labels that may be answered; None for all.
        second: unit vectors of the texts by the re-ranker's encoder, where there is one.
    """

    def __init__(
        self,
        scorers: Scorers,
        vectors: torch.Tensor,
        texts: Sequence[str] | None,
        allowed: Allowed | None = None,
        second: torch.Tensor | None = None,
    ) -> None:
        self._scorers, self._vectors, self._texts = scorers, vectors, texts
        self._allowed = allowed
        assert second is not None or RERANKER not in scorers.dense
        self._queries = {
            name: scorers.seen(name, second if second is not None and name == RERANKER else vectors)
            for name in scorers.dense
        }

    def best(self, k: int) -> dict[str, TopK]:
        """The k best labels of each scorer."""
        dense = self._scorers.dense
        found = {n: index.search(self._queries[n], k, self._allowed) for n, index in dense.items()}
        sparse = {name: metrics.top_k(said, k) for name, said in self._opinions.items()}
        return found | sparse

    def candidates(self, found: dict[str, TopK]) -> Candidates:
        """What any of the scorers found, with the scores of all."""
        return self.scored(union([top.labels for top in found.values()]))

    def scored(self, labels: torch.Tensor) -> Candidates:
        """Some labels of each text, int64 ``[B, C]``, with the scores of all scorers."""
        dense, device = self._scorers.dense, self._scorers.device
        labels = labels.to(device)
        scores = {name: index.score(self._queries[name], labels) for name, index in dense.items()}
        on_host = labels.cpu().numpy()
        for name, said in self._opinions.items():
            scores[name] = torch.from_numpy(metrics.chosen(said, on_host)).to(device)
        return Candidates(labels=labels, scores=scores)

    @cached_property
    def _opinions(self) -> dict[str, csr_array]:
        """What the sparse scorers say, ``[B, L]`` each."""
        said: dict[str, csr_array] = {}
        if self._scorers.shortlist is not None:
            said[SHORTLIST] = self._scorers.shortlist.opinions(self._vectors)
        if self._scorers.neighbours is not None:
            said[NEIGHBOURS] = self._scorers.neighbours.opinions(self._vectors)
        if self._scorers.words is not None and self._texts is not None:
            said |= self._scorers.words.opinions(self._texts)
        return {name: self._of_allowed(opinions) for name, opinions in said.items()}

    def _of_allowed(self, opinions: csr_array) -> csr_array:
        """Opinions of labels that may be answered."""
        refused = self._refused
        if refused is None:
            return opinions
        _, count = cast("tuple[int, int]", opinions.shape)
        if len(refused) != count:
            raise InputError(f"a choice of {len(refused)} labels", expected=f"of {count}")
        kept = ~refused[opinions.indices]
        ends = np.concatenate([[0], np.cumsum(kept)])[opinions.indptr]
        return csr_array((opinions.data[kept], opinions.indices[kept], ends), shape=opinions.shape)

    @cached_property
    def _refused(self) -> NDArray[np.bool_] | None:
        """Bool ``[L]``, the labels that may not be answered; None where all may be."""
        refused = [index.removed for index in self._scorers.dense.values()]
        if self._allowed is not None:
            refused.append(~torch.as_tensor(self._allowed).cpu())
        if not any(bool(those.any()) for those in refused):
            return None
        return torch.stack(refused).any(dim=0).numpy()
