"""Search over labels in half a byte for one to three dimensions: product quantisation of faiss."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.index.approximate import ApproximateIndex, faiss_package
from dexa.types import NO_LABEL

_IN_PAIRS = 256
"""From so many dimensions on, a third is left out and two share a code; fewer need them all."""

_CENTROIDS = 16
_SAMPLE = 1 << 16  # vectors that tell in which directions there is little


@final
class PqIndex(ApproximateIndex):
    """Search that looks at all labels, in codes of half a byte for three dimensions.

    Of 256 dimensions and more, those two thirds are kept in which vectors are longest, and turned
    at random, so that each has its share. Two of them, or one of less than 256, are replaced by
    the nearest of 16 centroids (product quantisation, Jégou et al., 2011), so that a score is a sum
    of numbers from a table that fits into registers (André et al., 2015). The time of a query is in
    proportion to the labels. The index is built in seconds and takes in new labels at once; when it
    has grown to more than twice the labels that its centroids were learnt from, it learns anew.
    """

    kind = "pq"
    file = "codes.faiss"
    usual_effort = 300
    numbers = ("effort", "learnt_from")
    learnt_from: int

    def _built(self, vectors: torch.Tensor) -> Any:
        faiss, array = faiss_package(), vectors.cpu().numpy()
        turned = _turn(vectors.cpu())
        kept, dimension = turned.shape
        turn = faiss.LinearTransform(dimension, kept, False)
        faiss.copy_array_to_vector(turned.flatten().numpy(), turn.A)
        turn.is_trained = True
        parts = kept if dimension < _IN_PAIRS else kept // 2
        codes = faiss.IndexPQFastScan(kept, parts, 4, faiss.METRIC_INNER_PRODUCT)
        codes.pq.cp.min_points_per_centroid = 1  # few labels are scanned precisely, and need none
        index = faiss.IndexPreTransform(turn, codes)
        enough = np.resize(array, (_CENTROIDS, dimension))
        index.train(array if len(array) >= _CENTROIDS else enough)
        index.add(array)
        self.learnt_from = len(array)
        return index

    def _likely(
        self, queries: torch.Tensor, effort: int, living: torch.Tensor | None
    ) -> NDArray[np.int64]:
        _, labels = self._faiss.search(queries.cpu().numpy(), min(effort, len(self)))
        labels.sort(axis=1)
        if living is not None:
            labels[~living.numpy()[np.maximum(labels, 0)]] = NO_LABEL
        return labels

    def _take_in(self, new: torch.Tensor) -> None:
        if len(self) + len(new) > 2 * self.learnt_from:
            self._faiss = self._built(torch.cat([self._vectors, new]))
            self._is_mapped = False
        else:
            super()._take_in(new)


def _turn(vectors: torch.Tensor) -> torch.Tensor:
    """The map ``[K, D]`` to the directions kept: principal ones in a random basis."""
    dimension = vectors.shape[1]
    kept = dimension if dimension < _IN_PAIRS else 2 * (dimension // 3)
    random = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(kept, kept, generator=random)).Q
    some = vectors
    if len(vectors) > _SAMPLE:
        some = vectors[torch.randperm(len(vectors), generator=random)[:_SAMPLE]]
    principal = torch.linalg.eigh((some.T @ some).double()).eigenvectors[:, -kept:]
    return basis @ principal.float().T
