"""Module I of DeepXML: the encoder learns to tell the clusters of a document's labels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from dexa.batches import epoch_random
from dexa.clustering import balanced_kmeans_sparse
from dexa.encoders import TextEncoder
from dexa.graph import normalized_rows, random_walk_graph
from dexa.losses import listed_cross_entropy
from dexa.negatives import Pairs
from dexa.optimisers import linear_schedule
from dexa.recipe import Recipe
from dexa.tokens import TokenArray
from dexa.training.corpus import Corpus
from dexa.training.devices import tensor_cores
from dexa.training.tuning import TunedEncoder, seed_dropout


class SurrogateStage:
    """Trains the encoder, and a linear layer that is dropped afterwards, on clusters of labels.

    Clusters are of the sums of the sparse features of labels' documents, smoothed over the label
    graph (Astec, section 3). They are few enough to compare each document with all.

    Args:
        corpus: what to train on.
        encoder: changed in place.
        recipe: completed.
        seed: of the run.
    """

    name = "encoder_stage"

    def __init__(self, corpus: Corpus, encoder: TextEncoder, recipe: Recipe, seed: int) -> None:
        self.options = options = recipe.encoder_stage
        assert options.epochs is not None
        assert options.batch_size is not None
        assert options.learning_rate is not None
        assert options.warmup_steps is not None
        self.warmup = options.warmup_steps
        self.corpus, self.encoder, self.seed = corpus, encoder, seed
        self.epochs, self.batch_size = options.epochs, options.batch_size
        self.device = corpus.texts.ids.device
        clusters = document_clusters(corpus, recipe, seed)
        self.targets = Pairs(clusters, self.device)
        self.layer = torch.nn.Linear(encoder.dimension, self.targets.label_count)
        torch.nn.init.zeros_(self.layer.weight)
        share = np.bincount(clusters.indices, minlength=self.targets.label_count)
        with torch.no_grad():
            self.layer.bias.copy_(prior_logits(share, corpus.documents))
        self.layer.to(self.device)
        self.tuned = TunedEncoder(
            encoder,
            self.device,
            highest=options.learning_rate,
            weight_decay=options.weight_decay,
            beside=(self.layer,),
        )
        self.order = np.zeros(corpus.documents, np.int64)

    def steps(self) -> int:
        """Batches of an epoch; the last may be short."""
        return -(-self.corpus.documents // self.batch_size)

    def begin(self, epoch: int) -> None:
        """Shuffle the documents."""
        self.order = epoch_random(self.seed, epoch, "order").permutation(self.corpus.documents)

    def step(self, epoch: int, step: int) -> torch.Tensor:
        """Train on one batch of documents."""
        rows = self.order[step * self.batch_size : (step + 1) * self.batch_size]
        at, total = epoch * self.steps() + step, self.epochs * self.steps()
        schedule = linear_schedule(at, warmup=self.warmup, total=total)
        self.tuned.schedule(schedule)
        seed_dropout(self.seed, epoch, step)
        with tensor_cores(self.device):
            vectors = self.tuned.encode(self.corpus.texts, rows)
            logits = self.layer(vectors)
            right = self.targets.of(torch.from_numpy(rows).to(self.device))
            positives = torch.zeros_like(logits, dtype=torch.bool)
            positives[right.places, right.labels] = True
            loss = listed_cross_entropy(logits, positives, None)
            loss.backward()
        self.tuned.update()
        return loss.detach()

    def figures(self, epoch: int) -> dict[str, float]:
        """None: clusters are no labels."""
        return {}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Encoder, layer, moments and order."""
        return self.tuned.tensors() | {"order": torch.from_numpy(self.order)}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take up what `tensors` gave."""
        self.tuned.load(tensors)
        self.order = tensors["order"].numpy()


def prior_logits(counts: NDArray[np.int64], documents: int) -> torch.Tensor:
    """Biases to start from: the logits of how many of the documents have a label or a cluster."""
    share = np.clip(counts, 0.5, documents - 0.5) / documents
    return torch.from_numpy(np.log(share / (1 - share)).astype(np.float32))


def document_clusters(corpus: Corpus, recipe: Recipe, seed: int) -> csr_array:
    """Which clusters the labels of each document are in, ones ``[N, clusters]``."""
    choice, graph = recipe.label_clusters, recipe.label_graph
    assert choice.clusters is not None
    points = csr_array(corpus.labels.T @ _unit_features(corpus.document_tokens()))
    if choice.smoothed:
        walks = random_walk_graph(
            corpus.labels,
            steps=graph.steps,
            restart=graph.restart,
            top_k=graph.neighbours,
            max_documents=graph.most_documents,
            seed=seed,
        )
        points = csr_array(normalized_rows(walks) @ points)
    assignment = balanced_kmeans_sparse(points, choice.clusters, seed=seed)
    count = int(assignment.max()) + 1
    of_label = csr_array(
        (np.ones(len(assignment), np.float32), (np.arange(len(assignment)), assignment)),
        shape=(len(assignment), count),
    )
    clusters = csr_array(corpus.labels @ of_label)
    clusters.data[:] = 1
    return clusters


def _unit_features(tokens: TokenArray) -> csr_array:
    """Documents as sparse vectors of length 1: of their features, or of their tokens' counts."""
    ids, ones = tokens.ids.cpu().numpy(), np.ones(len(tokens.ids), np.float32)
    values = ones if tokens.weights is None else tokens.weights.cpu().numpy()
    width = int(ids.max(initial=0)) + 1
    counts = csr_array((values, ids, tokens.offsets), shape=(len(tokens), width))
    counts.sum_duplicates()
    lengths = np.sqrt(counts.multiply(counts).sum(axis=1))
    return csr_array(diags_array(1 / np.maximum(lengths, 1e-12)) @ counts)
