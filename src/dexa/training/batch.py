"""Batches of documents for the encoder stage, planned some dozens at a time on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.auxiliary import AuxiliaryBank
from dexa.batches import epoch_random, sample_positives
from dexa.encoders import TextEncoder
from dexa.kernels import send
from dexa.negatives import BatchPlan, Distinct, PairList, Pairs
from dexa.recipe import EncoderStage as Options
from dexa.training.corpus import Corpus
from dexa.training.planning import Planned
from dexa.training.tuning import Pieces, pieces_of


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Documents and the labels drawn for them, ready on the device.

    Attributes:
        texts: of the B documents, then of the U labels; several pieces where they are many.
        documents: int64 ``[B]``.
        labels: int64 ``[U]``, each once; -1 fills up.
        chosen: cells of the pairs that were drawn, in the order of the documents, for `mask`.
        known: cells of all pairs that are no negatives.
        vectors: int64 ``[A]``, auxiliary vectors of the labels, each once; -1 fills up.
        which: int64 ``[U]``, the place of each label's vector among these.
    """

    texts: Pieces
    documents: torch.Tensor
    labels: torch.Tensor
    chosen: torch.Tensor
    known: torch.Tensor
    vectors: torch.Tensor | None
    which: torch.Tensor | None


class BatchMaker:
    """Makes the batches of an epoch when their turn comes, some dozens at once.

    Args:
        corpus: to take texts and pairs from.
        encoder: that will see the texts.
        bank: of the auxiliary vectors.
        options: batch size and size of a piece.
        budget: whether batches of like size are to have one shape.
        seed: of the labels that are drawn.
    """

    def __init__(
        self,
        corpus: Corpus,
        encoder: TextEncoder,
        bank: AuxiliaryBank,
        options: Options,
        *,
        budget: bool,
        seed: int,
    ) -> None:
        assert options.batch_size is not None
        self._corpus, self._encoder = corpus, encoder
        self._size, self._piece = options.batch_size, options.texts_at_once
        self._budget = budget
        device = corpus.texts.ids.device
        self._known = Pairs(corpus.known, device)
        self._seed, self._weights = seed, _weights(corpus, options.rarity)
        self._planned: Planned[list[Batch]] = Planned(self._size, device)
        self._vector_of_label = None
        if not bank.empty:
            self._vector_of_label = torch.from_numpy(bank.vector_of_label).to(device)

    def of(self, epoch: int, step: int, order: NDArray[np.int64]) -> Batch:
        """The batch of a step, given the order of documents in its epoch."""
        batches, number = self._planned.of(epoch, step, order, self._make)
        return batches[number]

    def _make(self, epoch: int, documents: torch.Tensor) -> list[Batch]:
        plan = BatchPlan(
            documents,
            drawn(self._corpus.labels, self._weights, self._seed, epoch, documents),
            self._known.of(documents),
            self._size,
            budget=self._budget,
        )
        texts = self._texts(plan)
        vectors, which = self._vectors(plan)
        return [
            Batch(
                texts=texts[batch],
                documents=plan.rows(batch),
                labels=plan.labels(batch),
                chosen=plan.chosen(batch),
                known=plan.known(batch),
                vectors=None if vectors is None else vectors.of(batch),
                which=None if which is None else plan.distinct.part(which, batch),
            )
            for batch in range(plan.count)
        ]

    def _texts(self, plan: BatchPlan) -> list[Pieces]:
        """The texts of each batch: of its documents, then of its labels."""
        cuts = range(self._size, len(plan.documents), self._size)
        documents = np.split(plan.documents.cpu().numpy(), cuts)
        count = self._corpus.documents
        rows = [
            np.concatenate([some, np.where(labels < 0, -1, count + labels)])
            for some, labels in zip(documents, plan.host_labels, strict=True)
        ]
        return pieces_of(
            self._encoder, self._corpus.texts, rows, size=self._piece, budget=self._budget
        )

    def _vectors(self, plan: BatchPlan) -> tuple[Distinct | None, torch.Tensor | None]:
        """The auxiliary vectors of each batch, and the place of every label's vector there."""
        if self._vector_of_label is None:
            return None, None
        labels = plan.distinct.numbers
        batches = plan.distinct.batches()
        vectors = self._vector_of_label[labels.clamp(min=0)]
        real = labels >= 0
        distinct = Distinct(batches[real], vectors[real], plan.count, budget=self._budget)
        which, _ = distinct.columns(batches, vectors)
        return distinct, torch.where(real, which, 0)


def drawn(
    labels: csr_array,
    weights: NDArray[np.float64] | None,
    seed: int,
    epoch: int,
    documents: torch.Tensor,
) -> PairList:
    """One label of each document, a function of seed and epoch alone."""
    random = epoch_random(seed, epoch, "positives")
    chosen = send(sample_positives(labels, random, weights), documents.device)
    return PairList(torch.arange(len(documents), device=documents.device), chosen[documents])


def _weights(corpus: Corpus, rarity: float) -> NDArray[np.float64] | None:
    """How readily each label is drawn, ``[L]``."""
    if rarity == 0:
        return None
    return corpus.frequency.clip(min=1).astype(np.float64) ** -rarity
