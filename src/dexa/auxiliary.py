"""The auxiliary bank: free vectors that are added to label embeddings (DEXA, section 3)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from dexa.clustering import balanced_kmeans

NO_VECTOR = -1
"""Stands in `AuxiliaryBank.vector_of_label` for a label that has no auxiliary vector."""


class AuxiliaryBank:
    """Label → the vector of its cluster, or its own for head labels.

    Attributes:
        vectors: float32 ``[A, D]``.
        vector_of_label: int64 ``[L]``, on the host; `NO_VECTOR` for a label without one.
    """

    def __init__(self, vectors: torch.Tensor, vector_of_label: NDArray[np.int64]) -> None:
        self.vectors, self.vector_of_label = vectors, vector_of_label

    @property
    def empty(self) -> bool:
        """Whether there is no vector, so that a label is the encoding of its text."""
        return len(self.vectors) == 0

    def of_labels(self) -> torch.Tensor:
        """The vector of each label, ``[L, D]``; zeros where it has none."""
        return self.some(self.vector_of_label)

    def some(self, chosen: NDArray[np.int64]) -> torch.Tensor:
        """Vectors by number ``[n]``, as `vector_of_label` has them, ``[n, D]``."""
        if self.empty:
            return self.vectors.new_zeros(len(chosen), self.vectors.shape[1])
        places = torch.from_numpy(chosen).to(self.vectors.device)
        vectors = self.vectors[places.clamp(min=0)]
        return vectors.masked_fill((places == NO_VECTOR)[:, None], 0.0)

    def nearest(
        self, texts: torch.Tensor, label_embeddings: torch.Tensor, *, own: int
    ) -> NDArray[np.int64]:
        """The cluster whose labels are nearest in the mean to each of some texts, int64 ``[n]``.

        Args:
            texts: encodings of the texts, ``[n, D]``.
            label_embeddings: of the labels that have vectors, ``[L, D]``.
            own: how many of the first vectors belong to one label each and are no clusters.

        Returns:
            Numbers of vectors; `NO_VECTOR` where there is no cluster.
        """
        shared = self.vector_of_label >= own
        if self.empty or not shared.any():
            return np.full(len(texts), NO_VECTOR)
        places = torch.from_numpy(self.vector_of_label[shared]).to(label_embeddings.device)
        rows = torch.from_numpy(np.flatnonzero(shared)).to(label_embeddings.device)
        sums = torch.zeros_like(self.vectors).index_add_(0, places, label_embeddings[rows])
        centroids = F.normalize(sums[own:], dim=1)
        return own + (texts @ centroids.T).argmax(dim=1).cpu().numpy()

    def added_to(self, label_texts: torch.Tensor) -> torch.Tensor:
        """Label embeddings: encodings of all label texts ``[L, D]`` plus their vectors."""
        return label_texts if self.empty else label_texts + self.of_labels().to(label_texts.device)


def no_vectors(dimension: int, labels: int, device: torch.device) -> AuxiliaryBank:
    """A bank without vectors: NGAME."""
    return AuxiliaryBank(torch.zeros(0, dimension, device=device), np.zeros(labels, np.int64))


def initial_bank(
    label_texts: torch.Tensor,
    frequency: NDArray[np.int64],
    *,
    shared_vectors: int,
    head_labels: int,
    norm: float,
    seed: int,
) -> AuxiliaryBank:
    """A bank to start training from.

    The `head_labels` most frequent labels get a vector each; the others share one in each of
    `shared_vectors` clusters of like size.

    Args:
        label_texts: encodings of all label texts before training, ``[L, D]``.
        frequency: training documents of each label, ``[L]``.
        shared_vectors: any number; more than labels is one a label, 0 is no bank.
        head_labels: at most L are used.
        norm: expected length of a vector.
        seed: of the clusters and the vectors.
    """
    n_labels, dimension = label_texts.shape
    if shared_vectors == 0:
        return no_vectors(dimension, n_labels, label_texts.device)
    by_frequency = np.argsort(-frequency, kind="stable")
    head, tail = by_frequency[:head_labels], by_frequency[head_labels:]
    vector_of_label = np.zeros(n_labels, np.int64)
    vector_of_label[head] = np.arange(len(head))
    shared = min(shared_vectors, len(tail))
    if len(tail):
        rows = torch.from_numpy(tail).to(label_texts.device)
        clusters = balanced_kmeans(label_texts[rows], shared, seed=seed)
        vector_of_label[tail] = len(head) + clusters.cpu().numpy()
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.rand(len(head) + shared, dimension, generator=generator) * 2 - 1
    vectors *= norm * (3 / dimension) ** 0.5
    return AuxiliaryBank(vectors.to(label_texts.device), vector_of_label)
