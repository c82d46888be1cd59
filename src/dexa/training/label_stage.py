"""Module I of SiameseXML: the siamese encoder, on batches of labels."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from scipy.sparse import csr_array
from torch.nn import functional as F

from dexa.batches import draw_labels, epoch_random
from dexa.encoders import TextEncoder
from dexa.losses import decoupled_softmax, hardest_likelihood
from dexa.negatives import mask
from dexa.optimisers import linear_schedule
from dexa.recipe import Recipe, label_draws
from dexa.training.corpus import Corpus
from dexa.training.devices import tensor_cores
from dexa.training.label_batch import LabelBatch, LabelBatchMaker
from dexa.training.recording import Recorded
from dexa.training.tuning import TunedEncoder, seed_dropout
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
        self.options, self.choice = recipe.encoder_stage, recipe.label_batches
        self.mixed = self.choice.mixed
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
        # what is encoded in pieces is bound by arithmetic, not by launches
        records = encoder.has_budgets and self.options.texts_at_once == 0
        self.recorded = Recorded(self.device, enabled=records)
        self.batches = LabelBatchMaker(corpus, encoder, self.options, budget=self.recorded.enabled)
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
        power, count = self.choice.frequency_power, self.drawn.shape[1]
        self.drawn = draw_labels(self.of_label, count, power, random)

    def step(self, epoch: int, step: int) -> torch.Tensor:
        """Train on one batch of labels and their documents."""
        batch = self.batches.of(epoch, step, self.drawn if self.mixed else self.drawn[:2])
        at, total = epoch * self.steps() + step, self.epochs * self.steps()
        self.tuned.schedule(linear_schedule(at, warmup=self.warmup, total=total))
        if self.has_dropout:  # which draws from the global generator
            seed_dropout(self.seed, epoch, step)
        with tensor_cores(self.device):
            return self.recorded(self._train, batch)

    def _train(self, batch: LabelBatch) -> torch.Tensor:
        """The step itself, as a function of a batch."""
        vectors, give_gradient = self.tuned.encode_pieces(batch.texts, draws=self.has_dropout)
        # index_select, whose gradient adds up in one order; that of [] races on a CPU
        drawn = vectors.index_select(0, batch.which.flatten()).view(*batch.which.shape, -1)
        labels, documents, *others = drawn.unbind()
        loss_of = self._loss_of(batch)
        loss = loss_of(labels @ documents.T)
        for other in others:
            sums = F.normalize(documents + other, dim=1)
            loss = (1 - self.mixed) * loss + self.mixed * loss_of(sums @ documents.T)
        loss.backward()
        give_gradient()
        self.tuned.update()
        return loss.detach()

    def _loss_of(self, batch: LabelBatch) -> Callable[[torch.Tensor], torch.Tensor]:
        """The loss as a function of the similarities ``[B, B]`` of labels and documents drawn."""
        size = batch.which.shape[1]
        known = mask(batch.known, size, size)
        if batch.true is None:
            assert self.options.temperature is not None
            return functools.partial(
                decoupled_softmax,
                positives=torch.arange(size, device=self.device),
                known=known,
                temperature=self.options.temperature,
            )
        return functools.partial(
            hardest_likelihood,
            positives=mask(batch.true, size, size),
            known=known,
            ceiling=self.choice.ceiling,
            sharpness=self.choice.sharpness,
            negatives=self.choice.negatives,
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
