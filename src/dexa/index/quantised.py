"""Search over labels in half a byte for one or two dimensions: product quantisation of faiss."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.index.approximate import ApproximateIndex, faiss_package
from dexa.types import NO_LABEL

_IN_PAIRS = 256
"""From so many dimensions on, two share a code: fewer codes would be too coarse."""

_CENTROIDS = 16


@final
class PqIndex(ApproximateIndex):
    """Search that looks at all labels, in codes of half a byte for two dimensions.

    Two dimensions, or one where a vector has less than 256, are replaced by the nearest of 16
    centroids (product quantisation, Jégou et al., 2011), so that a score is a sum of numbers from a
    table that fits into registers (André et al., 2015). The time of a query is in proportion to the
    labels. The index is built in seconds and takes in new labels at once; when it has grown to more
    than twice the labels that its centroids were learnt from, it learns them anew.
    """

    kind = "pq"
    file = "codes.faiss"
    usual_effort = 300
    numbers = ("effort", "learnt_from")
    learnt_from: int

    def _built(self, vectors: torch.Tensor) -> Any:
        faiss, array = faiss_package(), self._shaped(vectors)
        parts = array.shape[1] // _together(vectors)
        codes = faiss.IndexPQFastScan(array.shape[1], parts, 4, faiss.METRIC_INNER_PRODUCT)
        codes.pq.cp.min_points_per_centroid = 1  # few labels are scanned precisely, and need none
        enough = np.resize(array, (_CENTROIDS, array.shape[1]))
        codes.train(array if len(array) >= _CENTROIDS else enough)
        codes.add(array)
        self.learnt_from = len(array)
        return codes

    def _shaped(self, vectors: torch.Tensor) -> NDArray[np.float32]:
        missing = -vectors.shape[1] % _together(vectors)
        return torch.nn.functional.pad(vectors, (0, missing)).cpu().numpy()

    def _likely(
        self, queries: torch.Tensor, effort: int, living: torch.Tensor | None
    ) -> torch.Tensor:
        _, found = self._faiss.search(self._shaped(queries), min(effort, len(self)))
        labels = torch.from_numpy(found)
        if living is None:
            return labels
        return labels.masked_fill(~living[labels.clamp(min=0)], NO_LABEL)

    def _take_in(self, new: torch.Tensor) -> None:
        if len(self) + len(new) > 2 * self.learnt_from:
            self._faiss = self._built(torch.cat([self._vectors, new]))
            self._is_mapped = False
        else:
            super()._take_in(new)


def _together(vectors: torch.Tensor) -> int:
    """How many dimensions share a code."""
    return 1 if vectors.shape[1] < _IN_PAIRS else 2
