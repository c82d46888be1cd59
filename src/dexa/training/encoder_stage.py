"""Module I: the siamese encoder and the auxiliary vectors, on clustered batches."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from dexa.auxiliary import AuxiliaryBank
from dexa.batches import ClusteredSampler, ClusterSchedule
from dexa.encoders import TextEncoder
from dexa.losses import decoupled_softmax, hard_negative_triplet
from dexa.negatives import mask
from dexa.optimisers import Rate, RowAdam, linear_schedule
from dexa.recipe import Recipe
from dexa.training.batch import Batch, BatchMaker
from dexa.training.corpus import Corpus
from dexa.training.devices import tensor_cores
from dexa.training.recording import Recorded
from dexa.training.tuning import TunedEncoder, below, seed_dropout
from dexa.training.validation import label_search_on_the_way


class EncoderStage:
    """Trains encoder and auxiliary vectors so that a document is near its labels.

    Args:
        corpus: what to train on.
        encoder: changed in place.
        bank: changed in place.
        recipe: completed.
        seed: of the run.
    """

    name = "encoder_stage"

    def __init__(
        self, corpus: Corpus, encoder: TextEncoder, bank: AuxiliaryBank, recipe: Recipe, seed: int
    ) -> None:
        self.options = recipe.encoder_stage
        self.corpus, self.encoder, self.bank, self.seed = corpus, encoder, bank, seed
        assert self.options.epochs is not None
        assert self.options.batch_size is not None
        assert self.options.learning_rate is not None
        assert self.options.temperature is not None
        assert self.options.warmup_steps is not None
        self.temperature, self.warmup = self.options.temperature, self.options.warmup_steps
        self.epochs, self.batch_size = self.options.epochs, self.options.batch_size
        assert recipe.auxiliary.learning_rate is not None
        self.learning_rates = (self.options.learning_rate, recipe.auxiliary.learning_rate)
        self.has_dropout = recipe.encoder.dropout > 0
        device = corpus.texts.ids.device
        self.device = device
        self.memory = torch.zeros(
            corpus.documents, encoder.dimension, dtype=torch.float16, device=device
        )
        self.sampler = ClusteredSampler(corpus.documents, _schedule(recipe), seed)
        self.tuned = TunedEncoder(
            encoder,
            device,
            highest=self.options.learning_rate,
            weight_decay=self.options.weight_decay,
        )
        self.bank_adam = RowAdam(bank.vectors)
        self.rates = (self.tuned.rate, Rate(device))
        self.order = np.zeros(corpus.documents, np.int64)
        # what is encoded in pieces is bound by arithmetic, not by launches
        records = encoder.has_budgets and self.options.texts_at_once == 0
        self.recorded = Recorded(device, enabled=records)
        self.batches = BatchMaker(
            corpus, encoder, bank, self.options, budget=self.recorded.enabled, seed=seed
        )

    def steps(self) -> int:
        """Batches of an epoch; the last may be short."""
        return -(-self.corpus.documents // self.batch_size)

    def begin(self, epoch: int) -> None:
        """Draw the order of documents."""
        self.order = self.sampler.order(epoch, self.memory)

    def step(self, epoch: int, step: int) -> torch.Tensor:
        """Train on one batch of documents and the labels drawn for them."""
        batch = self.batches.of(epoch, step, self.order)
        at, total = epoch * self.steps() + step, self.epochs * self.steps()
        schedule = linear_schedule(at, warmup=self.warmup, total=total)
        for rate, highest in zip(self.rates, self.learning_rates, strict=True):
            rate.set(highest * schedule)
        if self.has_dropout:  # which draws from the global generator
            seed_dropout(self.seed, epoch, step)
        with tensor_cores(self.device):
            return self.recorded(self._train, batch)

    def _train(self, batch: Batch) -> torch.Tensor:
        """The step itself, as a function of a batch."""
        vectors, give_gradient = self.tuned.encode_pieces(batch.texts, draws=self.has_dropout)
        count = len(batch.documents)
        document_vectors, label_vectors = vectors[:count], vectors[count:]
        self.memory.index_copy_(0, batch.documents, document_vectors.detach().half())
        leaf = None
        if batch.vectors is not None and batch.which is not None:
            leaf = self.bank_adam.rows(batch.vectors).requires_grad_()
            # index_select, whose gradient adds up in one order; that of [] races on a CPU
            own = leaf.index_select(0, batch.which)
            label_vectors = F.normalize(label_vectors + own, dim=1)
        loss = self._loss(document_vectors @ label_vectors.T, batch)
        loss.backward()
        give_gradient()
        self._update(batch, leaf)
        return loss.detach()

    def _loss(self, similarity: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The loss of the similarities ``[B, U]`` of a batch."""
        count, columns = similarity.shape
        positives = batch.chosen[:count] % columns
        known = mask(batch.known, count, columns) | (batch.labels < 0)
        if self.options.loss == "softmax":
            return decoupled_softmax(similarity, positives, known, temperature=self.temperature)
        return hard_negative_triplet(
            similarity,
            positives,
            known,
            margin=self.options.margin,
            negatives=self.options.negatives,
            labels=(batch.labels >= 0).sum(),
            temperature=self.temperature,
        )

    def _update(self, batch: Batch, leaf: torch.Tensor | None) -> None:
        self.tuned.update()
        if leaf is not None:
            assert leaf.grad is not None
            assert batch.vectors is not None
            self.bank_adam.update(batch.vectors, leaf.grad, self.rates[1].value)

    def figures(self, epoch: int) -> dict[str, float]:
        """Label search on the held-out documents, now and then."""
        return label_search_on_the_way(
            epoch, self.epochs, self.options.validations, self.corpus, self.encoder, self.bank
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        """Encoder, bank, moments, memory, clusters and order."""
        kept = self.tuned.tensors()
        kept |= {f"bank_adam.{k}": v for k, v in self.bank_adam.state().items()}
        kept["bank"], kept["memory"] = self.bank.vectors, self.memory
        kept["order"] = torch.from_numpy(self.order)
        if self.sampler.assignment is not None:
            kept["clusters"] = torch.from_numpy(self.sampler.assignment)
        return kept

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take up what `tensors` gave."""
        self.tuned.load(tensors)
        self.bank_adam.load_state(below(tensors, "bank_adam."))
        self.bank.vectors.copy_(tensors["bank"])
        self.memory.copy_(tensors["memory"])
        self.order = tensors["order"].numpy()
        if "clusters" in tensors:
            self.sampler.assignment = tensors["clusters"].numpy()


def _schedule(recipe: Recipe) -> ClusterSchedule:
    stage = recipe.encoder_stage
    assert stage.cluster_from is not None
    assert stage.curriculum is not None
    return ClusterSchedule(
        size=stage.cluster_size,
        start=stage.cluster_from,
        every=stage.cluster_every,
        doublings=stage.curriculum,
    )
