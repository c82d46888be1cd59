"""Module I of SiameseXML: the siamese encoder, on batches of labels."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch.nn import functional as F

from dexa.batches import draw_labels, epoch_random
from dexa.encoders import TextEncoder
from dexa.kernels import send
from dexa.losses import decoupled_softmax, hardest_likelihood
from dexa.negatives import Pairs
from dexa.optimisers import linear_schedule
from dexa.recipe import Recipe, label_draws
from dexa.training.corpus import Corpus
from dexa.training.devices import tensor_cores
from dexa.training.surrogate_stage import seed_dropout
from dexa.training.tuning import TunedEncoder, encode_in_pieces
from dexa.training.validation import label_search_on_the_way


class LabelStage:
    """Trains the encoder so that a label is near its documents.

    An epoch draws as many labels as there are labels or documents, see `dexa.recipe.label_draws`;
    frequent ones more often, but every label that has a document about as often as any: in batches
    of documents a label whose documents have many others waits for its turn.

    Args:
        corpus: what to train on.
        encoder: changed in place.
        recipe: completed.
        seed: of the run.
    """

    name = "encoder_stage"

    def __init__(self, corpus: Corpus, encoder: TextEncoder, recipe: Recipe, seed: int) -> None:
        self.options, self.batches = recipe.encoder_stage, recipe.label_batches
        assert self.options.epochs is not None
        assert self.options.batch_size is not None
        assert self.options.learning_rate is not None
        assert self.options.warmup_steps is not None
        self.warmup = self.options.warmup_steps
        self.corpus, self.encoder, self.seed = corpus, encoder, seed
        self.epochs, self.batch_size = self.options.epochs, self.options.batch_size
        self.device = corpus.texts.ids.device
        self.tuned = TunedEncoder(
            encoder,
            self.device,
            highest=self.options.learning_rate,
            weight_decay=self.options.weight_decay,
        )
        self.truth, self.known = (
            Pairs(matrix, self.device) for matrix in (corpus.labels, corpus.known)
        )
        self.of_label = csr_array(corpus.labels.T)
        self.has_dropout = recipe.encoder.dropout > 0
        count = label_draws(corpus.documents, corpus.label_count, corpus.labels.nnz)
        self.drawn = np.zeros((3, count), np.int64)

    def steps(self) -> int:
        """Batches of an epoch; the last may be short."""
        return -(-self.drawn.shape[1] // self.batch_size)

    def begin(self, epoch: int) -> None:
        """Draw labels, and two documents of each."""
        random = epoch_random(self.seed, epoch, "labels")
        power, count = self.batches.frequency_power, self.drawn.shape[1]
        self.drawn = draw_labels(self.of_label, count, power, random)

    def step(self, epoch: int, step: int) -> torch.Tensor:
        """Train on one batch of labels and their documents."""
        some = slice(step * self.batch_size, (step + 1) * self.batch_size)
        at, total = epoch * self.steps() + step, self.epochs * self.steps()
        schedule = linear_schedule(at, warmup=self.warmup, total=total)
        self.tuned.schedule(schedule)
        seed_dropout(self.seed, epoch, step)
        with tensor_cores(self.device):
            loss, give_gradient = self._loss(*self.drawn[:, some])
            loss.backward()
            give_gradient()
        self.tuned.update()
        return loss.detach()

    def _loss(
        self, labels: NDArray[np.int64], first: NDArray[np.int64], second: NDArray[np.int64]
    ) -> tuple[torch.Tensor, Callable[[], None]]:
        """The loss of a batch, and what takes the gradient of its vectors into the encoder."""
        mixed = self.batches.mixed
        sides = [self.corpus.documents + labels, first, second][: 3 if mixed else 2]
        vectors, give_gradient = self._encode(np.concatenate(sides))
        texts, documents, *others = vectors.chunk(len(sides))
        loss_of = self._loss_of(send(labels, self.device), send(first, self.device))
        loss = loss_of(texts @ documents.T)
        for other in others:
            sums = F.normalize(documents + other, dim=1)
            loss = (1 - mixed) * loss + mixed * loss_of(sums @ documents.T)
        return loss, give_gradient

    def _encode(self, rows: NDArray[np.int64]) -> tuple[torch.Tensor, Callable[[], None]]:
        """Vectors of some texts, and what takes their gradient into the encoder."""
        size = self.options.texts_at_once
        if not size or len(rows) <= size:
            return self.tuned.encode(self.corpus.texts, rows), lambda: None  # it flows by itself
        pieces = np.split(rows, range(size, len(rows), size))
        encode = functools.partial(self.tuned.encode, self.corpus.texts)
        return encode_in_pieces(encode, pieces, draws=self.has_dropout)

    def _loss_of(
        self, labels: torch.Tensor, documents: torch.Tensor
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """The loss as a function of the similarities ``[B, B]`` of labels and documents drawn."""
        known = are_pairs(self.known, labels, documents)
        if self.options.loss == "softmax":
            assert self.options.temperature is not None
            drawn = torch.arange(len(labels), device=labels.device)
            return functools.partial(
                decoupled_softmax,
                positives=drawn,
                known=known,
                temperature=self.options.temperature,
            )
        return functools.partial(
            hardest_likelihood,
            positives=are_pairs(self.truth, labels, documents),
            known=known,
            ceiling=self.batches.ceiling,
            sharpness=self.batches.sharpness,
            negatives=self.batches.negatives,
        )

    def figures(self, epoch: int) -> dict[str, float]:
        """Label search on the held-out documents, now and then."""
        return label_search_on_the_way(
            epoch, self.epochs, self.options.validations, self.corpus, self.encoder, None
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        """Encoder, moments and what was drawn."""
        return self.tuned.tensors() | {"drawn": torch.from_numpy(self.drawn)}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take up what `tensors` gave."""
        self.tuned.load(tensors)
        self.drawn = tensors["drawn"].numpy()


def are_pairs(pairs: Pairs, labels: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
    """Whether each of some labels is one of each of some documents.

    Args:
        pairs: of documents and labels.
        labels: int64 ``[R]``, a label may come more than once.
        documents: int64 ``[C]``, likewise.

    Returns:
        bool ``[R, C]``.
    """
    distinct, which = labels.unique(return_inverse=True)
    found = pairs.of(documents)
    places = torch.searchsorted(distinct, found.labels).clamp_(max=len(distinct) - 1)
    there = distinct[places] == found.labels
    cells = torch.zeros(len(distinct), len(documents), dtype=torch.bool, device=labels.device)
    cells[places[there], found.places[there]] = True
    return cells[which]
