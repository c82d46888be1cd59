"""Module I: the siamese encoder and the auxiliary vectors, on clustered batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from dexa.auxiliary import AuxiliaryBank
from dexa.batches import ClusteredSampler, ClusterSchedule, epoch_random, sample_positives
from dexa.encoders import TextEncoder, encode
from dexa.losses import hard_negative_triplet
from dexa.negatives import Pairs
from dexa.optimisers import RowAdam, linear_schedule
from dexa.recipe import Recipe
from dexa.tokens import send
from dexa.training.corpus import Corpus
from dexa.training.devices import precision
from dexa.training.validation import label_search_figures


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
        self.epochs, self.batch_size = self.options.epochs, self.options.batch_size
        self.learning_rate = self.options.learning_rate
        assert recipe.auxiliary.learning_rate is not None
        self.bank_rate = recipe.auxiliary.learning_rate
        self.has_dropout = recipe.encoder.dropout > 0
        device = corpus.texts.ids.device
        self.device = device
        self.known = Pairs(corpus.known, device)
        self.memory = torch.zeros(
            corpus.documents, encoder.dimension, dtype=torch.float16, device=device
        )
        self.sampler = ClusteredSampler(corpus.documents, _schedule(recipe), seed)
        self.dense = _adamw(encoder, self.options.weight_decay, device)
        self.tables = [(table, RowAdam(table)) for table in encoder.sparse_parameters()]
        self.bank_adam = RowAdam(bank.vectors)
        self.order = np.zeros(corpus.documents, np.int64)
        self._positives = (-1, self.order)

    def steps(self) -> int:
        """Batches of an epoch; the last may be short."""
        return -(-self.corpus.documents // self.batch_size)

    def begin(self, epoch: int) -> None:
        """Draw the order of documents."""
        self.order = self.sampler.order(epoch, self.memory)

    def step(self, epoch: int, step: int) -> torch.Tensor:
        """Train on one batch of documents and the labels drawn for them."""
        documents = self.order[step * self.batch_size : (step + 1) * self.batch_size]
        labels, columns = np.unique(self._drawn(epoch)[documents], return_inverse=True)
        self.encoder.train()
        if self.has_dropout:  # which draws from the global generator
            random = epoch_random(self.seed, epoch, f"dropout {step}")
            torch.manual_seed(int(random.integers(2**62)))
        rows = np.concatenate([documents, self.corpus.documents + labels])
        with precision(self.device):
            vectors = self.encoder(self.corpus.texts.batch(rows))
        vectors = vectors.float()
        document_vectors, label_vectors = vectors[: len(documents)], vectors[len(documents) :]
        self.memory[send(documents, self.device)] = document_vectors.detach().half()
        added = None if self.bank.empty else _Added.of(self.bank, labels)
        if added is not None:
            # index_select, whose gradient adds up in one order; that of [] races on a CPU
            own = added.leaf.index_select(0, added.which)
            label_vectors = F.normalize(label_vectors + own, dim=1)
        on_device = send(labels, self.device)
        loss = hard_negative_triplet(
            document_vectors @ label_vectors.T,
            send(columns, self.device),
            self.known.mask(documents, on_device),
            margin=self.options.margin,
            negatives=self.options.negatives,
            temperature=self.options.temperature,
        )
        loss.backward()
        self._update(epoch * self.steps() + step, added)
        return loss.detach()

    def _update(self, step: int, added: _Added | None) -> None:
        schedule = linear_schedule(
            step, warmup=self.options.warmup_steps, total=self.epochs * self.steps()
        )
        rate = self.learning_rate * schedule
        for group in self.dense.param_groups:
            group["lr"] = rate
        self.dense.step()
        self.dense.zero_grad(set_to_none=True)
        for table, adam in self.tables:
            assert table.grad is not None
            gradient = table.grad.coalesce()
            adam.update(gradient.indices()[0], gradient.values(), rate)
            table.grad = None
        if added is not None:
            assert added.leaf.grad is not None
            self.bank_adam.update(added.rows, added.leaf.grad, self.bank_rate * schedule)

    def figures(self, epoch: int) -> dict[str, float]:
        """Label search on the held-out documents, now and then."""
        times = self.options.validations
        if not times or (epoch + 1) % max(1, self.epochs // times) or not len(self.corpus.held_out):
            return {}
        with precision(self.device):
            labels = encode(self.encoder, self.corpus.label_tokens())
            documents = encode(self.encoder, self.corpus.held_out)
        return label_search_figures(self.corpus, documents, self.bank.added_to(labels))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Encoder, bank, moments, memory, clusters and order."""
        kept = {f"encoder.{k}": v for k, v in self.encoder.state_dict().items()}
        for index, (_, adam) in enumerate(self.tables):
            kept |= {f"table.{index}.{k}": v for k, v in adam.state().items()}
        kept |= {f"bank_adam.{k}": v for k, v in self.bank_adam.state().items()}
        for index, parameter in enumerate(self._dense_parameters()):
            kept |= {f"dense.{index}.{k}": v for k, v in self.dense.state[parameter].items()}
        kept["bank"], kept["memory"] = self.bank.vectors, self.memory
        kept["order"] = torch.from_numpy(self.order)
        if self.sampler.assignment is not None:
            kept["clusters"] = torch.from_numpy(self.sampler.assignment)
        return kept

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take up what `tensors` gave."""
        self.encoder.load_state_dict(_below(tensors, "encoder."))
        for index, (_, adam) in enumerate(self.tables):
            adam.load_state(_below(tensors, f"table.{index}."))
        self.bank_adam.load_state(_below(tensors, "bank_adam."))
        for index, parameter in enumerate(self._dense_parameters()):
            state = _below(tensors, f"dense.{index}.")
            if state:
                # The count of steps stays where AdamW put it: on the host unless it is fused.
                self.dense.state[parameter] = {k: v.to(self.device) for k, v in state.items()}
        self.bank.vectors.copy_(tensors["bank"])
        self.memory.copy_(tensors["memory"])
        self.order = tensors["order"].numpy()
        if "clusters" in tensors:
            self.sampler.assignment = tensors["clusters"].numpy()

    def _drawn(self, epoch: int) -> NDArray[np.int64]:
        """The positive of each document in an epoch, a function of seed and epoch alone."""
        if self._positives[0] != epoch:
            random = epoch_random(self.seed, epoch, "positives")
            self._positives = (epoch, sample_positives(self.corpus.labels, random))
        return self._positives[1]

    def _dense_parameters(self) -> list[torch.nn.Parameter]:
        return [p for group in self.dense.param_groups for p in group["params"]]


@dataclass(frozen=True)
class _Added:
    """The auxiliary vectors of a batch of labels.

    Attributes:
        leaf: ``[V, D]``, which takes the gradient.
        rows: int64 ``[V]``, where they lie in the bank.
        which: int64 ``[U]``, the one that each label has.
    """

    leaf: torch.Tensor
    rows: torch.Tensor
    which: torch.Tensor

    @staticmethod
    def of(bank: AuxiliaryBank, labels: NDArray[np.int64]) -> _Added:
        device = bank.vectors.device
        rows, which = np.unique(bank.vector_of_label[labels], return_inverse=True)
        on_device = send(rows, device)
        return _Added(bank.vectors[on_device].requires_grad_(), on_device, send(which, device))


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


def _adamw(encoder: TextEncoder, weight_decay: float, device: torch.device) -> torch.optim.AdamW:
    """AdamW over the dense weights; vectors (biases, norms) are not decayed."""
    sparse = {id(table) for table in encoder.sparse_parameters()}
    dense = [p for p in encoder.parameters() if id(p) not in sparse]
    groups = [
        {"params": [p for p in dense if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in dense if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, eps=1e-6, fused=device.type == "cuda")


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
