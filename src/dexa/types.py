"""The words every part speaks: axes, small value classes, protocols.

Axes: ``N`` documents, ``L`` labels, ``B`` texts of a batch, ``T`` tokens of a batch, ``D``
dimensions of an embedding, ``A`` auxiliary vectors, ``K`` answers a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.errors import InputError

NO_LABEL = -1
"""Fills `TopK.labels` where a text has fewer than K answers; its score is -inf."""

LABEL_SEARCH, CLASSIFIERS = "label_search", "classifiers"
NEIGHBOURS, LABEL_WORDS, LINEAR = "neighbours", "label_words", "linear"
FREQUENT, WORD_NEIGHBOURS, MENTIONS = "frequent", "word_neighbours", "mentions"
BM25, CENTROIDS = "bm25", "centroids"
SHORTLIST, RERANKER = "shortlist", "reranker"
SCORERS = (
    LABEL_SEARCH,
    CLASSIFIERS,
    NEIGHBOURS,
    LABEL_WORDS,
    LINEAR,
    FREQUENT,
    WORD_NEIGHBOURS,
    MENTIONS,
    BM25,
    CENTROIDS,
    SHORTLIST,
    RERANKER,
)
"""Names of the scorers, in the order in which they are shown."""

Allowed: TypeAlias = "torch.Tensor | NDArray[np.bool_]"
"""Which of L labels may be answered, bool ``[L]``."""


@dataclass(frozen=True, kw_only=True)
class TopK:
    """The best labels of each text, best first.

    Attributes:
        labels: int64 ``[B, K]``; `NO_LABEL` where there are fewer than K answers.
        scores: float32 ``[B, K]``, descending in each row; higher is better.
        label_texts: the text of every label, when the model knows them.
        probabilities: float32 ``[B, K]``, that each answer is right; None where no one knows.
    """

    labels: NDArray[np.int64]
    scores: NDArray[np.float32]
    label_texts: Sequence[str] | None = field(default=None, repr=False)
    probabilities: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def above(self, threshold: float) -> TopK:
        """Only the answers that are right with this probability at least.

        The others become `NO_LABEL`, so that no label can be the answer.

        Raises:
            InputError: there are no probabilities.
        """
        if self.probabilities is None:
            raise InputError(
                "a threshold, but answers without probabilities",
                expected="a model that was trained with held-out documents",
                do="train it again with this version, or leave the threshold out",
            )
        kept = self.probabilities >= threshold
        return replace(
            self,
            labels=np.where(kept, self.labels, NO_LABEL),
            scores=np.where(kept, self.scores, np.float32(-np.inf)),
            probabilities=np.where(kept, self.probabilities, np.float32(0)),
        )

    def named(self) -> list[list[tuple[str, float]]]:
        """Answers as ``(label text, score)`` pairs, one list a text.

        Label ids stand in for texts where the model knows none.
        """
        names = self.label_texts
        return [
            [
                (str(label if names is None else names[label]), float(score))
                for label, score in zip(labels, scores, strict=True)
                if label != NO_LABEL
            ]
            for labels, scores in zip(self.labels.tolist(), self.scores.tolist(), strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """Token ids of B texts, end to end, without padding.

    Attributes:
        ids: int64 ``[T]`` on the device.
        offsets: int64 ``[B + 1]`` on the device; text b is ``ids[offsets[b]:offsets[b + 1]]``.
        lengths: int64 ``[B]`` on the host, so that shapes are known without asking the device.
        weights: float32 ``[T]`` on the device, of sparse features; None where all count the same.
    """

    ids: torch.Tensor
    offsets: torch.Tensor
    lengths: NDArray[np.int64]
    weights: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.lengths)


class Encoder(Protocol):
    """Texts as token batches in, vectors out."""

    dimension: int

    def __call__(self, batch: TokenBatch) -> torch.Tensor:
        """Unit-norm vectors ``[B, D]``, differentiable in the encoder's parameters."""
        ...


class Index(Protocol):
    """Maximum-inner-product search over L vectors; higher scores are better.

    Vectors can be added and removed. A removed one keeps its place, so that the labels of the
    others do not move; it is counted by ``len`` but never answered again.
    """

    @property
    def vectors(self) -> torch.Tensor:
        """Float32 ``[L, D]``, the removed ones included; not to be changed."""
        ...

    @property
    def removed(self) -> torch.Tensor:
        """Bool ``[L]`` on the host: which labels are never answered."""
        ...

    def __len__(self) -> int:
        """L, the removed ones included."""
        ...

    def search(self, queries: torch.Tensor, k: int, allowed: Allowed | None = None) -> TopK:
        """The K best of L for queries ``[B, D]``; equal scores go to the smaller label id.

        Args:
            queries: floating point ``[B, D]`` on any device.
            k: at least 1; places beyond the labels that may be answered hold `NO_LABEL`.
            allowed: bool ``[L]``, the labels that may be answered; None for all.
        """
        ...

    def score(self, queries: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Inner products ``[B, K]`` of queries ``[B, D]`` with chosen labels ``[B, K]``.

        `NO_LABEL` and removed labels score -inf.
        """
        ...

    def add(self, vectors: torch.Tensor) -> None:
        """Take in vectors ``[M, D]``, in place; their labels follow those that are there."""
        ...

    def remove(self, labels: Sequence[int] | NDArray[np.integer] | torch.Tensor) -> None:
        """Never answer some labels again, in place."""
        ...

    def changed(self, labels: NDArray[np.int64], vectors: torch.Tensor) -> Index:
        """A new index where some labels ``[n]`` have other vectors ``[n, D]``; this one stays."""
        ...

    def save(self, folder: Path) -> None:
        """Write all but the vectors into a folder."""
        ...


class BatchSampler(Protocol):
    """The order of documents in an epoch."""

    def order(self, epoch: int, memory: torch.Tensor) -> NDArray[np.int64]:
        """Document ids of the epoch, to be cut into batches, given the embedding memory."""
        ...


class Progress(Protocol):
    """Whoever wants to hear how long work goes on; the command line draws bars."""

    def note(self, text: str) -> None:
        """One line worth reading: a default that was chosen, rows that were skipped."""
        ...

    def begin(self, task: str, total: int) -> None:
        """A task starts, of `total` steps."""
        ...

    def advance(self, done: int, detail: str = "") -> None:
        """`done` steps of the task are behind us, counted from its start."""
        ...

    def end(self) -> None:
        """The task is over."""
        ...


class Silence:
    """Progress that nobody listens to."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def begin(self, task: str, total: int) -> None:
        """Say nothing."""

    def advance(self, done: int, detail: str = "") -> None:
        """Say nothing."""

    def end(self) -> None:
        """Say nothing."""
