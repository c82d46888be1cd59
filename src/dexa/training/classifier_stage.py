"""Modules II to IV: one classifier a label, on the frozen encoder's vectors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from dexa.batches import ClusteredSampler, ClusterSchedule, epoch_random
from dexa.losses import multi_positive_triplet
from dexa.negatives import Pairs
from dexa.optimisers import RowAdam, linear_schedule
from dexa.recipe import ClassifierStage as Options
from dexa.tokens import send
from dexa.training.corpus import Corpus


class ClassifierStage:
    """Trains classifiers so that a document is nearer to those of its labels than to others.

    Args:
        corpus: what to train on.
        documents: unit vectors of the training documents, ``[N, D]``.
        label_vectors: unit label embeddings, where classifiers start, ``[L, D]``.
        options: completed.
        seed: of the run.
    """

    name = "classifier_stage"

    def __init__(
        self,
        corpus: Corpus,
        documents: torch.Tensor,
        label_vectors: torch.Tensor,
        options: Options,
        seed: int,
    ) -> None:
        assert options.epochs is not None
        assert options.batch_size is not None
        assert options.curriculum is not None
        self.corpus, self.documents, self.options, self.seed = corpus, documents, options, seed
        self.epochs, self.batch_size = options.epochs, options.batch_size
        self.device = documents.device
        self.weights = label_vectors.clone()
        self.adam = RowAdam(self.weights)
        self.known = Pairs(corpus.known, self.device)
        self.truth = Pairs(corpus.labels, self.device)
        schedule = ClusterSchedule(
            size=options.cluster_size,
            start=0,
            every=options.cluster_every,
            doublings=options.curriculum,
        )
        self.sampler = ClusteredSampler(corpus.documents, schedule, seed)
        self.order = np.zeros(corpus.documents, np.int64)

    def steps(self) -> int:
        """Batches of an epoch; the last may be short."""
        return -(-self.corpus.documents // self.batch_size)

    def begin(self, epoch: int) -> None:
        """Draw the order of documents."""
        self.order = self.sampler.order(epoch, self.documents)

    def step(self, epoch: int, step: int) -> torch.Tensor:
        """Train the classifiers of the labels of one batch of documents."""
        rows = self.order[step * self.batch_size : (step + 1) * self.batch_size]
        labels = send(self._labels_of(rows), self.device)
        vectors = F.normalize(self._dropped(rows, epoch, step), dim=1)
        leaf = self.weights[labels].requires_grad_()
        loss = multi_positive_triplet(
            vectors @ F.normalize(leaf, dim=1).T,
            self.truth.mask(rows, labels),
            self.known.mask(rows, labels),
            margin=self.options.margin,
            positives=self.options.positives,
            negatives=self.options.negatives,
        )
        loss.backward()
        assert leaf.grad is not None
        schedule = linear_schedule(
            epoch * self.steps() + step,
            warmup=self.options.warmup_steps,
            total=self.epochs * self.steps(),
        )
        self.adam.update(labels, leaf.grad, self.options.learning_rate * schedule)
        return loss.detach()

    def figures(self, epoch: int) -> dict[str, float]:
        """None on the way; the fusion tells at the end."""
        return {}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Classifiers, their moments, clusters and order."""
        kept = {f"adam.{k}": v for k, v in self.adam.state().items()}
        kept["weights"], kept["order"] = self.weights, torch.from_numpy(self.order)
        if self.sampler.assignment is not None:
            kept["clusters"] = torch.from_numpy(self.sampler.assignment)
        return kept

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take up what `tensors` gave."""
        self.adam.load_state({k: tensors[f"adam.{k}"] for k in self.adam.state()})
        self.weights.copy_(tensors["weights"])
        self.order = tensors["order"].numpy()
        if "clusters" in tensors:
            self.sampler.assignment = tensors["clusters"].numpy()

    def _labels_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.unique(self.corpus.labels[rows].indices).astype(np.int64)

    def _dropped(self, rows: NDArray[np.int64], epoch: int, step: int) -> torch.Tensor:
        vectors = self.documents[send(rows, self.device)]
        generator = torch.Generator(self.device)
        random = epoch_random(self.seed, epoch, f"classifier dropout {step}")
        generator.manual_seed(int(random.integers(2**62)))
        keep = torch.rand(vectors.shape, generator=generator, device=self.device)
        return vectors * (keep >= self.options.dropout)
