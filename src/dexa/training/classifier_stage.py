"""Modules II to IV: one classifier a label, on the frozen encoder's vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from dexa.batches import ClusteredSampler, ClusterSchedule, epoch_random
from dexa.encoders import ClassifierHead
from dexa.kernels import gather_rows, put_rows
from dexa.losses import multi_positive_triplet
from dexa.negatives import BatchPlan, Pairs, mask
from dexa.optimisers import HostRowAdam, Rate, RowAdam, linear_schedule
from dexa.recipe import ClassifierStage as Options
from dexa.training.corpus import Corpus
from dexa.training.devices import tensor_cores
from dexa.training.planning import Planned
from dexa.training.recording import Recorded
from dexa.training.tuning import TunedEncoder, below, seed_dropout


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """A batch of the stage, ready on the device.

    Attributes:
        vectors: of the B documents, ``[B, D]``.
        draws: uniform in [0, 1), of which dropout leaves the higher ones, ``[B, D]``.
        labels: int64 ``[U]``, each once; -1 fills up.
        true: cells of the positive pairs, for `mask`.
        known: cells of all pairs that are no negatives.
    """

    vectors: torch.Tensor
    draws: torch.Tensor
    labels: torch.Tensor
    true: torch.Tensor
    known: torch.Tensor


class ClassifierStage:
    """Trains classifiers so that a document is nearer to those of its labels than to others.

    Args:
        corpus: what to train on.
        documents: unit vectors of the training documents, ``[N, D]``, on the device or in host
            memory (pinned where the device is a GPU), from where a batch is fetched.
        label_vectors: unit label embeddings, where classifiers start, ``[L, D]``; in host memory
            they stay there, and rows are moved by batch.
        options: completed.
        seed: of the run.
        device: where batches are computed.
        tuned: the encoder, trained together with the classifiers (NGAME++, DEXA++); None where it
            is frozen.
    """

    name = "classifier_stage"

    def __init__(
        self,
        corpus: Corpus,
        documents: torch.Tensor,
        label_vectors: torch.Tensor,
        options: Options,
        seed: int,
        device: torch.device,
        tuned: TunedEncoder | None = None,
    ) -> None:
        assert options.epochs is not None
        assert options.batch_size is not None
        assert options.curriculum is not None
        self.corpus, self.documents, self.options, self.seed = corpus, documents, options, seed
        self.epochs, self.batch_size = options.epochs, options.batch_size
        self.device = device
        moments = torch.bfloat16 if options.moments == "bfloat16" else torch.float32
        on_host = label_vectors.device.type != device.type
        self.weights = label_vectors.clone()
        if on_host:
            self.weights = self.weights.pin_memory()
            self.adam = HostRowAdam(self.weights, device, moments=moments)
        else:
            self.adam = RowAdam(self.weights, moments=moments)
        self.rate = Rate(device)
        self.generator = torch.Generator(device)
        self.tuned = tuned
        self.recorded = Recorded(device, enabled=not on_host and tuned is None)
        self.truth, self.known = Pairs(corpus.labels, device), Pairs(corpus.known, device)
        self.planned: Planned[BatchPlan] = Planned(self.batch_size, device)
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
        plan, number = self.planned.of(epoch, step, self.order, self._plan)
        at, total = epoch * self.steps() + step, self.epochs * self.steps()
        schedule = linear_schedule(at, warmup=self.options.warmup_steps, total=total)
        self.rate.set(self.options.learning_rate * schedule)
        vectors = self._vectors(plan.rows(number), epoch, step)
        random = epoch_random(self.seed, epoch, f"classifier dropout {step}")
        self.generator.manual_seed(int(random.integers(2**62)))
        batch = _Batch(
            vectors=vectors,
            draws=torch.rand(vectors.shape, generator=self.generator, device=self.device),
            labels=plan.labels(number),
            true=plan.chosen(number),
            known=plan.known(number),
        )
        following = plan.labels(number + 1) if number + 1 < plan.count else None
        self.adam.prepare(batch.labels, following)
        with tensor_cores(self.device):
            loss = self.recorded(self._train, batch)
        if self.tuned is not None:
            self.tuned.schedule(schedule)
            self.tuned.update()
        return loss

    def _plan(self, _: int, documents: torch.Tensor) -> BatchPlan:
        return BatchPlan(
            documents,
            self.truth.of(documents),
            self.known.of(documents),
            self.batch_size,
            budget=self.recorded.enabled,
        )

    def _vectors(self, rows: torch.Tensor, epoch: int, step: int) -> torch.Tensor:
        """Of some documents: as they are, or from the encoder that is being trained."""
        if self.tuned is None:
            return gather_rows(self.documents, rows)
        seed_dropout(self.seed, epoch, step)
        vectors = self.tuned.encode(self.corpus.texts, rows.cpu().numpy())
        put_rows(self.documents, rows, vectors.detach())
        return vectors

    def _train(self, batch: _Batch) -> torch.Tensor:
        """The step itself, as a function of a batch."""
        vectors = F.normalize(batch.vectors * (batch.draws >= self.options.dropout), dim=1)
        leaf = self.adam.rows(batch.labels).requires_grad_()
        rows, columns = len(vectors), len(batch.labels)
        loss = multi_positive_triplet(
            vectors @ F.normalize(leaf, dim=1).T,
            mask(batch.true, rows, columns),
            mask(batch.known, rows, columns) | (batch.labels < 0),
            margin=self.options.margin,
            positives=self.options.positives,
            negatives=self.options.negatives,
            labels=(batch.labels >= 0).sum(),
        )
        loss.backward()
        assert leaf.grad is not None
        self.adam.update(batch.labels, leaf.grad, self.rate.value)
        return loss.detach()

    def figures(self, epoch: int) -> dict[str, float]:
        """None on the way; the fusion tells at the end."""
        return {}

    def trained(self) -> torch.Tensor:
        """The classifiers ``[L, D]``, where they live."""
        self.adam.settle()
        return self.weights

    def trained_head(self) -> ClassifierHead | None:
        """None: classifiers see the encoder's vectors themselves."""
        return None

    def tensors(self) -> dict[str, torch.Tensor]:
        """Classifiers, their moments, clusters and order; the encoder if it is trained too."""
        kept = {f"adam.{k}": v for k, v in self.adam.state().items()}
        kept["weights"], kept["order"] = self.weights, torch.from_numpy(self.order)
        if self.sampler.assignment is not None:
            kept["clusters"] = torch.from_numpy(self.sampler.assignment)
        if self.tuned is not None:
            kept |= {f"tuned.{k}": v for k, v in self.tuned.tensors().items()}
            kept["documents"] = self.documents
        return kept

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take up what `tensors` gave."""
        self.adam.load_state({k: tensors[f"adam.{k}"] for k in self.adam.state()})
        self.weights.copy_(tensors["weights"])
        self.order = tensors["order"].numpy()
        if "clusters" in tensors:
            self.sampler.assignment = tensors["clusters"].numpy()
        if self.tuned is not None:
            self.tuned.load(below(tensors, "tuned."))
            self.documents.copy_(tensors["documents"])
