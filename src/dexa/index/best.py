"""The best labels of each query, while they are on the device."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray


class Best(NamedTuple):
    """Labels (int64) and scores of each query, ``[B, K]`` both."""

    labels: torch.Tensor
    scores: torch.Tensor

    def highest(self, k: int) -> Best:
        """The k highest, or all, in no order."""
        found = self.scores.topk(min(k, self.scores.shape[1]), sorted=False)
        return Best(self.labels.gather(1, found.indices), found.values)

    def numpy(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Both on the host."""
        return self.labels.cpu().numpy(), self.scores.cpu().numpy()
