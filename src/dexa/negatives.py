"""Which pairs of a batch are known, and so are no negatives."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.tokens import send


class Pairs:
    """Pairs of documents and labels, to be looked up for the rows and columns of a batch.

    Args:
        matrix: ``[N, L]``; an entry is a pair.
        device: where the masks are made.
    """

    def __init__(self, matrix: csr_array, device: torch.device) -> None:
        _, n_labels = cast("tuple[int, int]", matrix.shape)
        self._starts = matrix.indptr.astype(np.int64)
        self._labels = torch.from_numpy(matrix.indices.astype(np.int64)).to(device)
        self._column = torch.full((n_labels,), -1, dtype=torch.int64, device=device)

    def mask(self, documents: NDArray[np.int64], labels: torch.Tensor) -> torch.Tensor:
        """Whether document i and label j are a pair, bool ``[B, U]``.

        Args:
            documents: ``[B]``, on the host.
            labels: int64 ``[U]`` on the device, each at most once.
        """
        device = labels.device
        starts = self._starts[documents]
        counts = self._starts[documents + 1] - starts
        firsts = np.cumsum(counts) - counts
        total = int(counts.sum())
        plan = send(np.stack([starts - firsts, counts]), device)
        rows = torch.repeat_interleave(
            torch.arange(len(documents), device=device), plan[1], output_size=total
        )
        entries = torch.arange(total, device=device) + plan[0][rows]
        # One spare column takes the pairs whose label is not in the batch.
        width = len(labels) + 1
        self._column[labels] = torch.arange(len(labels), device=device)
        columns = self._column[self._labels[entries]]
        self._column[labels] = -1
        mask = torch.zeros(len(documents) * width, dtype=torch.bool, device=device)
        mask[rows * width + columns % width] = True
        return mask.view(-1, width)[:, :-1]
