"""Coarse scores of all labels, in the fastest arithmetic of the device, with an error bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from dexa.index.best import Best
from dexa.kernels import FOLD, highest

_ALIGN = 8 * FOLD  # scores are made in rows of a multiple: a GPU is five times as slow on others
_CHUNK = 1 << 17  # labels scanned at a time, a multiple of _ALIGN

_SCAN_BYTES = {"cpu": 64 << 20, "cuda": 1 << 30}  # of coarse scores at a time


@dataclass(frozen=True, kw_only=True)
class CoarseScan:
    """All labels, to be scanned, and how far from the precise scores the coarse ones can be.

    Attributes:
        vectors: of the labels, in the type of the scan; rows of zeros may follow the last label.
        labels: L.
        longest: length of the longest vector.
        residue: length of the longest error made by rounding a vector to bfloat16.
    """

    vectors: torch.Tensor
    labels: int
    longest: torch.Tensor
    residue: torch.Tensor

    @classmethod
    def over(cls, vectors: torch.Tensor) -> CoarseScan:
        """A scan of float32 vectors ``[L, D]``.

        A float32 scan is allowed the errors of a bfloat16 one: the process may have let float32
        products be less precise than their type.
        """
        chunks = vectors.split(_CHUNK)
        coarse = vectors
        if _fast_bfloat16(vectors.device):
            rows = _aligned(len(vectors))
            coarse = vectors.new_zeros(rows, vectors.shape[1], dtype=torch.bfloat16)
            coarse[: len(vectors)] = vectors
        return cls(
            vectors=coarse,
            labels=len(vectors),
            longest=torch.stack([chunk.norm(dim=1).amax() for chunk in chunks]).amax(),
            residue=torch.stack([_rounding(chunk).amax() for chunk in chunks]).amax(),
        )

    def extended(self, new: torch.Tensor) -> CoarseScan:
        """A scan of new vectors ``[M, D]`` too, which follow those that are there."""
        more = CoarseScan.over(new)
        vectors = torch.cat([self.vectors[: self.labels], more.vectors[: more.labels]])
        labels = self.labels + more.labels
        if vectors.dtype == torch.bfloat16:
            vectors = F.pad(vectors, (0, 0, 0, _aligned(labels) - labels))
        return CoarseScan(
            vectors=vectors,
            labels=labels,
            longest=torch.maximum(self.longest, more.longest),
            residue=torch.maximum(self.residue, more.residue),
        )

    def highest(
        self, queries: torch.Tensor, k: int, allowed: torch.Tensor | None = None
    ) -> Iterator[tuple[slice, Best]]:
        """The k labels of highest coarse score, in no order, block by block of queries.

        Args:
            queries: float32 ``[B, D]``.
            k: at most as many as are allowed.
            allowed: bool ``[L]``, which labels count; None for all.
        """
        refused = None if allowed is None else ~allowed
        width = min(_CHUNK, _aligned(self.labels))
        step = max(1, _SCAN_BYTES[queries.device.type] // (width * self.vectors.element_size()))
        # one buffer for all blocks: on a CPU, fresh memory costs half as much as the products
        buffer = self.vectors.new_empty(min(step, len(queries)), width)
        for start in range(0, len(queries), step):
            block = slice(start, start + step)
            coarse = queries[block].to(self.vectors.dtype)
            yield block, self._highest_of_block(coarse, k, buffer[: len(coarse)], refused)

    def _highest_of_block(
        self, queries: torch.Tensor, k: int, buffer: torch.Tensor, refused: torch.Tensor | None
    ) -> Best:
        kept: Best | None = None
        for start in range(0, self.labels, _CHUNK):
            vectors = self.vectors[start : start + _CHUNK]
            torch.mm(queries, vectors.T, out=buffer[:, : len(vectors)])
            scores = buffer[:, : _aligned(len(vectors))]
            scores[:, self.labels - start :] = -torch.inf
            if refused is not None:
                few = refused[start : start + _CHUNK]
                scores[:, : len(few)].masked_fill_(few, -torch.inf)
            found = Best(*highest(scores, k))
            found.labels.add_(start)
            if kept is None:
                kept = found
            else:
                labels, scores = (torch.cat(pair, dim=1) for pair in zip(kept, found, strict=True))
                kept = Best(labels, scores).highest(k)
        assert kept is not None
        return kept

    def bound(self, queries: torch.Tensor, lowest: torch.Tensor) -> torch.Tensor:
        """What a label that was not kept can score at most, by the lowest kept score ``[B]``.

        With q = q̂ + δq and x = x̂ + δx, q̂ and x̂ being rounded, q·x differs from q̂·x̂ by at most
        |q||δx| + |δq||x̂|; adding up in float32 errs by at most D·2⁻²⁴|q||x|, in the scan and in the
        precise score; rounding the sum to bfloat16 errs by at most 2⁻⁸ of it.
        """
        adding = self.vectors.shape[1] * 2.0**-22
        error = queries.norm(dim=1) * (self.residue + adding * self.longest)
        error += _rounding(queries) * (self.longest + self.residue)
        return lowest + error + lowest.abs() * 2.0**-8


def _fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware, not by widening them."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def _rounding(vectors: torch.Tensor) -> torch.Tensor:
    """Length of the error of each vector when it is rounded to bfloat16."""
    return (vectors - vectors.bfloat16()).norm(dim=1)


def _aligned(labels: int) -> int:
    return -(-labels // _ALIGN) * _ALIGN
