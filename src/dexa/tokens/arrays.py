"""Token ids of many texts, end to end, and the batches taken from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.kernels import send
from dexa.types import TokenBatch


@dataclass(frozen=True)
class TokenArray:
    """Token ids of many texts, end to end.

    Attributes:
        ids: int32 ``[T]``, on any device.
        offsets: int64 ``[N + 1]``, on the host; text n is ``ids[offsets[n]:offsets[n + 1]]``.
        weights: float32 ``[T]`` beside the ids, of sparse features; None where all count the same.
    """

    ids: torch.Tensor
    offsets: NDArray[np.int64]
    weights: torch.Tensor | None = None

    @staticmethod
    def of_matrix(features: csr_array) -> TokenArray:
        """Sparse features of texts ``[N, V]`` as tokens with weights."""
        return TokenArray(
            torch.from_numpy(features.indices.astype(np.int32)),
            features.indptr.astype(np.int64),
            torch.from_numpy(features.data.astype(np.float32)),
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, ``[N]``."""
        return np.diff(self.offsets)

    def to(self, device: torch.device) -> TokenArray:
        """The same texts with their ids on a device."""
        if self.ids.device == device:
            return self
        weights = None if self.weights is None else self.weights.to(device)
        return TokenArray(self.ids.to(device), self.offsets, weights)

    def rows(self, rows: NDArray[np.int64]) -> TokenArray:
        """Some of the texts, in the order of `rows`."""
        batch = self.batch(rows)
        return TokenArray(batch.ids.int(), offsets_of(batch.lengths), batch.weights)

    def whole(self) -> TokenBatch:
        """All texts as one batch."""
        return TokenBatch(
            ids=self.ids.long(),
            offsets=send(self.offsets, self.ids.device),
            lengths=self.lengths,
            weights=self.weights,
        )

    def batch(self, rows: NDArray[np.int64]) -> TokenBatch:
        """Texts `rows`, gathered on the device without asking it for any shape."""
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        # where token t of the batch lies: t, moved by its text's shift
        plan = send(np.stack([starts - offsets[:-1], lengths]), self.ids.device)
        total = int(offsets[-1])
        places = torch.arange(total, device=self.ids.device)
        places += torch.repeat_interleave(plan[0], plan[1], output_size=total)
        return TokenBatch(
            ids=self.ids[places].long(),
            offsets=send(offsets, self.ids.device),
            lengths=lengths,
            weights=None if self.weights is None else self.weights[places],
        )


def joined(arrays: Iterable[TokenArray]) -> TokenArray:
    """Several token arrays as one, in order; all have weights, or none has."""
    arrays = list(arrays)
    lengths = np.concatenate([array.lengths for array in arrays])
    weights = [array.weights for array in arrays if array.weights is not None]
    assert len(weights) in (0, len(arrays))
    return TokenArray(
        torch.cat([array.ids for array in arrays]),
        offsets_of(lengths),
        torch.cat(weights) if weights else None,
    )


def no_tokens(count: int) -> TokenArray:
    """Texts without a token."""
    return TokenArray(torch.empty(0, dtype=torch.int32), np.zeros(count + 1, np.int64))


def offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each text starts, and where the last ends, ``[N + 1]``."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
