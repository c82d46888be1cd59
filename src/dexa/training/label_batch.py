"""Batches of labels for the encoder stage, planned some dozens at a time on the device."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.encoders import TextEncoder
from dexa.negatives import Distinct, Pairs, pairs_within
from dexa.recipe import EncoderStage as Options
from dexa.training.corpus import Corpus
from dexa.training.planning import Planned
from dexa.training.tuning import Pieces, pieces_of


@dataclass(frozen=True, kw_only=True)
class LabelBatch:
    """Labels and the documents drawn for them, ready on the device.

    Attributes:
        texts: of the labels and documents, each once.
        which: int64 ``[S, B]``, the places among them of the B labels, of a document of each, and
            where documents are mixed of a second one of each.
        known: cells of all pairs of labels and first documents that are no negatives, for `mask`.
        true: cells of those that are positive; None where the loss asks for the drawn ones alone.
    """

    texts: Pieces
    which: torch.Tensor
    known: torch.Tensor
    true: torch.Tensor | None


class LabelBatchMaker:
    """Makes the batches of an epoch when their turn comes, some dozens at once.

    Args:
        corpus: to take texts and pairs from.
        encoder: that will see the texts.
        options: batch size, size of a piece, and the loss.
        budget: whether batches of like size are to have one shape.
    """

    def __init__(
        self, corpus: Corpus, encoder: TextEncoder, options: Options, *, budget: bool
    ) -> None:
        assert options.batch_size is not None
        self._corpus, self._encoder = corpus, encoder
        self._size, self._piece = options.batch_size, options.texts_at_once
        self._budget = budget
        device = corpus.texts.ids.device
        self._known = Pairs(corpus.known, device)
        self._truth = Pairs(corpus.labels, device) if options.loss == "likelihood" else None
        self._planned: Planned[list[LabelBatch]] = Planned(self._size, device)

    def of(self, epoch: int, step: int, drawn: NDArray[np.int64]) -> LabelBatch:
        """The batch of a step, given the labels of its epoch, with one or two documents of each."""
        batches, number = self._planned.of(epoch, step, drawn, self._make)
        return batches[number]

    def _make(self, _: int, drawn: torch.Tensor) -> list[LabelBatch]:
        labels, documents = drawn[:2]
        within = functools.partial(
            pairs_within,
            labels=labels,
            documents=documents,
            batch_size=self._size,
            budget=self._budget,
        )
        known = within(self._known)
        true = None if self._truth is None else within(self._truth)
        texts, which = self._texts(drawn)
        return [
            LabelBatch(
                texts=own,
                which=places,
                known=known.of(batch),
                true=None if true is None else true.of(batch),
            )
            for batch, (own, places) in enumerate(zip(texts, which, strict=True))
        ]

    def _texts(self, drawn: torch.Tensor) -> tuple[list[Pieces], tuple[torch.Tensor, ...]]:
        """The texts of each batch, and where those of its labels and documents are among them."""
        sides, count = drawn.shape
        rows = torch.cat([drawn[:1] + self._corpus.documents, drawn[1:]]).flatten()
        batches = torch.arange(count, device=rows.device).repeat(sides) // self._size
        distinct = Distinct(batches, rows, -(-count // self._size), budget=self._budget)
        places, _ = distinct.columns(batches, rows)
        texts = np.split(distinct.numbers.cpu().numpy(), distinct.edges[1:-1])
        pieces = pieces_of(
            self._encoder, self._corpus.texts, texts, size=self._piece, budget=self._budget
        )
        return pieces, places.view(sides, count).split(self._size, dim=1)
