"""Module IV of DeepXML and SiameseXML: classifiers that learn from shortlists, or from all labels.

Scores, their slopes and the gradients of classifiers are computed one after the other: autograd
would keep a copy of every classifier that a document of the batch is compared with. All labels are
taken part by part, on a CPU in parts whose scores stay in its cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from dexa.batches import epoch_random
from dexa.encoders import ClassifierHead, TextEncoder
from dexa.kernels import gather_rows
from dexa.losses import listed_cross_entropy, listed_likelihood
from dexa.negatives import Pairs
from dexa.optimisers import Rate, RowAdam, linear_schedule
from dexa.recipe import ClassifierStage as Options
from dexa.training.compared import Compared, Comparison, WithAll, WithShortlist
from dexa.training.corpus import Corpus
from dexa.training.devices import tensor_cores
from dexa.training.surrogate_stage import prior_logits
from dexa.training.tuning import TunedEncoder, below, seed_dropout

_SCORES_AT_ONCE = {"cpu": 1 << 18, "cuda": 1 << 26}
"""Of documents and labels, where these are all there are."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """What the stage starts from.

    Attributes:
        documents: unit vectors of the training documents, ``[N, D]``, of the encoder as it was.
        weights: classifiers, ``[L, D]``; None for zeros.
        lists: shortlists ``[N, S]`` of it; None to compare with all labels.
        renewed: makes shortlists of the encoder as it is by then.
        encoder: trained too; None where documents stay as they are.
        encoder_rate: highest rate of the encoder and of the block; 0 is that of the classifiers.
    """

    documents: torch.Tensor
    weights: torch.Tensor | None
    lists: torch.Tensor | None
    renewed: Callable[[], torch.Tensor]
    encoder: TextEncoder | None = None
    encoder_rate: float = 0.0


class ShortlistStage:
    """Trains classifiers, their block, and the encoder if it is not frozen.

    Args:
        corpus: what to train on.
        start: what to start from.
        options: completed.
        seed: of the run.
        device: where batches are computed.
        name: of the stage.
    """

    def __init__(
        self,
        corpus: Corpus,
        start: Start,
        options: Options,
        seed: int,
        device: torch.device,
        name: str = "classifier_stage",
    ) -> None:
        assert options.epochs is not None
        assert options.batch_size is not None
        self.corpus, self.options, self.seed, self.name = corpus, options, seed, name
        self.epochs, self.batch_size, self.device = options.epochs, options.batch_size, device
        self.documents, self._make_lists = start.documents, start.renewed
        self.cosine = options.loss == "prob"
        width = start.documents.shape[1]
        self.head = ClassifierHead(width, dropout=options.dropout, cosine=self.cosine).to(device)
        if start.weights is None:
            self.weights = torch.zeros(corpus.label_count, self.head.width, device=device)
            self.weights[:, -1] = self._biases(start.lists)
        else:
            self.weights = F.pad(start.weights.to(device), (0, self.head.width - width)).clone()
        moments = torch.bfloat16 if options.moments == "bfloat16" else torch.float32
        self.adam, self.rate = RowAdam(self.weights, moments=moments), Rate(device)
        self.tuned = TunedEncoder(
            start.encoder,
            device,
            highest=start.encoder_rate or options.learning_rate,
            beside=(self.head,),
        )
        self.comparison = self._comparison(start)
        self.order = np.zeros(corpus.documents, np.int64)

    def _biases(self, lists: torch.Tensor | None) -> torch.Tensor:
        """What is likely of a label before anything is learnt: its share of what is compared."""
        if lists is None:
            return prior_logits(self.corpus.frequency, self.corpus.documents).to(self.device)
        compared = lists.shape[1] + self.options.random_negatives
        return torch.full((self.corpus.label_count,), -math.log(max(1, compared)))

    def _comparison(self, start: Start) -> Comparison:
        truth, known = (
            Pairs(matrix, self.device) for matrix in (self.corpus.labels, self.corpus.known)
        )
        if start.lists is None:
            return WithAll(truth, known, cells=_SCORES_AT_ONCE[self.device.type])
        return WithShortlist(
            truth,
            known,
            start.lists,
            positives=self.options.positives,
            random=self.options.random_negatives,
            seed=self.seed,
        )

    def steps(self) -> int:
        """Batches of an epoch; the last may be short."""
        return -(-self.corpus.documents // self.batch_size)

    def begin(self, epoch: int) -> None:
        """Shuffle the documents, and make new shortlists if it is time."""
        random = epoch_random(self.seed, epoch, f"{self.name} order")
        self.order = random.permutation(self.corpus.documents)
        lists = self._renewable()
        if lists is not None and epoch and epoch % self.options.shortlist_every == 0:
            lists.lists = self._make_lists()

    def step(self, epoch: int, step: int) -> torch.Tensor:
        """Train on one batch of documents."""
        rows = self.order[step * self.batch_size : (step + 1) * self.batch_size]
        at, total = epoch * self.steps() + step, self.epochs * self.steps()
        schedule = linear_schedule(at, warmup=self.options.warmup_steps, total=total)
        self.rate.set(self.options.learning_rate * schedule)
        self.tuned.schedule(schedule)
        seed_dropout(self.seed, epoch, step)
        documents = torch.from_numpy(rows).to(self.device)
        compared = self.comparison.of(epoch, step, documents)
        with tensor_cores(self.device):
            if self.tuned.encoder is None:
                vectors = gather_rows(self.documents, documents)
            else:
                vectors = self.tuned.encode(self.corpus.texts, rows)
            return self._train(self.head(vectors), compared)

    def _train(self, queries: torch.Tensor, compared: Iterator[Compared]) -> torch.Tensor:
        """The step itself: what all that is trained is told by each part of the labels."""
        of_queries = torch.zeros_like(queries)
        loss = torch.zeros((), device=self.device)
        for part in compared:
            of_part, toward = self._train_part(queries.detach(), part)
            loss += of_part
            of_queries += toward
        queries.backward(of_queries)
        self.tuned.update()
        return loss

    def _train_part(
        self, queries: torch.Tensor, part: Compared
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Move the classifiers of a part; gives its loss and its gradient of queries."""
        scores = part.scores(queries, self.weights).requires_grad_()
        loss = self._loss(scores, part)
        (slopes,) = torch.autograd.grad(loss, scores)
        of_queries, labels, of_weights = part.gradients(queries, self.weights, slopes)
        if self.cosine:  # what lies along a unit vector does not turn it
            units = self.weights[labels]
            of_weights -= (of_weights * units).sum(dim=1, keepdim=True) * units
        self.adam.update(labels, of_weights, self.rate.value)
        if self.cosine:
            self.weights.index_copy_(0, labels, F.normalize(self.weights[labels], dim=1))
        return loss.detach(), of_queries

    def _loss(self, scores: torch.Tensor, compared: Compared) -> torch.Tensor:
        if self.options.loss == "bce":
            return listed_cross_entropy(scores, compared.positives, compared.there)
        return listed_likelihood(
            scores,
            compared.positives,
            compared.there,
            ceiling=self.options.ceiling,
            sharpness=self.options.sharpness,
        )

    def figures(self, epoch: int) -> dict[str, float]:
        """None on the way; the fusion tells at the end."""
        return {}

    def trained(self) -> torch.Tensor:
        """The classifiers ``[L, D]``, unit vectors where cosines count."""
        return self.weights

    def trained_head(self) -> ClassifierHead:
        """The block between encoder and classifiers."""
        return self.head.eval()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Classifiers, block, encoder, moments, order, and shortlists that are not the first."""
        kept = self.tuned.tensors() | {f"adam.{k}": v for k, v in self.adam.state().items()}
        kept["weights"], kept["order"] = self.weights, torch.from_numpy(self.order)
        if (lists := self._renewable()) is not None:
            kept["lists"] = lists.lists
        return kept

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take up what `tensors` gave."""
        self.tuned.load(tensors)
        self.adam.load_state(below(tensors, "adam."))
        self.weights.copy_(tensors["weights"])
        self.order = tensors["order"].numpy()
        if (lists := self._renewable()) is not None:
            lists.lists = tensors["lists"]

    def _renewable(self) -> WithShortlist | None:
        """The shortlists, where they are renewed on the way."""
        if not self.options.shortlist_every or not isinstance(self.comparison, WithShortlist):
            return None
        return self.comparison
