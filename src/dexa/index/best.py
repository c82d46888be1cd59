"""The best labels of each query, on their way to an answer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from dexa.types import NO_LABEL, TopK


class Best(NamedTuple):
    """Labels (int64) and scores of each query, ``[B, K]`` both."""

    labels: torch.Tensor
    scores: torch.Tensor

    @staticmethod
    def none(queries: int) -> Best:
        """No answer to any of so many queries."""
        return Best(torch.empty(queries, 0, dtype=torch.int64), torch.empty(queries, 0))

    def highest(self, k: int) -> Best:
        """The k highest, or all, in no order."""
        found = self.scores.topk(min(k, self.scores.shape[1]), sorted=False)
        return Best(self.labels.gather(1, found.indices), found.values)

    def padded(self, k: int) -> TopK:
        """The answer of width k, of what is on the host."""
        labels, scores = self.labels.numpy(), self.scores.numpy()
        if (missing := k - labels.shape[1]) > 0:
            columns = ((0, 0), (0, missing))
            labels = np.pad(labels, columns, constant_values=NO_LABEL)
            scores = np.pad(scores, columns, constant_values=-np.inf)
        return TopK(labels=labels, scores=scores)
