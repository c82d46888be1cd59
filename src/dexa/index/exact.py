"""Exact maximum-inner-product search in two steps: a coarse scan, then precise scores.

The scan keeps somewhat more than the K best labels of each query and bounds what all others can
score. The kept ones are scored again precisely. Where the K-th of these beats the bound, the answer
is proved exact; the few queries for which it does not (ties, near-duplicates) are searched again,
scoring all labels precisely.
"""

from __future__ import annotations

from pathlib import Path
from typing import final

import torch

from dexa.errors import DataError, InputError, ModelFolderError
from dexa.index.best import Best
from dexa.index.coarse import CoarseScan
from dexa.index.precise import exhaustive, first, inner_products
from dexa.storage import read_json, write_json
from dexa.types import NO_LABEL, TopK

_FILE = "index.json"
_ARGUMENTS = {"kind": "exact"}

_PINNED_BYTES = 1 << 30
"""Answers up to this size come from a GPU into pinned memory, forty times as fast as into other;
it is kept for the next answers and never given back, so larger ones go elsewhere."""


@final
class ExactIndex:
    """Exact search over label vectors by inner product.

    Args:
        vectors: floating point ``[L, D]`` on any device, L ≥ 1. Where cosine is wanted, these and
            the queries are to be normalised.

    Attributes:
        vectors: the same as float32.

    Raises:
        DataError: the vectors are not an ``[L, D]`` array of finite numbers.
    """

    def __init__(self, vectors: torch.Tensor) -> None:
        if vectors.ndim != 2 or not vectors.is_floating_point() or vectors.numel() == 0:
            raise DataError(
                f"label vectors of shape {tuple(vectors.shape)} and type {vectors.dtype}",
                expected="a floating-point array [L, D] with at least one label",
            )
        _check_finite(vectors, "label vectors")
        self.vectors = vectors.detach().float().contiguous()
        self._scan = CoarseScan.over(self.vectors)

    def __len__(self) -> int:
        return len(self.vectors)

    @torch.inference_mode()
    def search(self, queries: torch.Tensor, k: int) -> TopK:
        """The k labels of highest inner product with each query.

        Args:
            queries: floating point ``[B, D]`` on any device.
            k: at least 1; places beyond L hold `NO_LABEL`.

        Returns:
            Labels and scores ``[B, k]``, best first; equal scores go to the smaller label id.

        Raises:
            DataError: the queries are not finite.
            InputError: they are not ``[B, D]``, or k is below 1.
        """
        if k < 1:
            raise InputError(f"k = {k}", expected="at least one answer a text")
        queries, found = self._checked(queries), min(k, len(self))
        pinned = queries.is_cuda and len(queries) * found * 12 <= _PINNED_BYTES
        answers = Best(
            torch.empty(len(queries), found, dtype=torch.int64, pin_memory=pinned),
            torch.empty(len(queries), found, pin_memory=pinned),
        )
        proofs = [queries.new_empty(0, dtype=torch.bool)]
        # so many more than asked for that the proof rarely fails: for 3 of 34,397 queries near
        # sentence embeddings at k = 100, for 2 % on a dense mixture of Gaussians at k = 300
        enough = min(len(self), found + found // 4 + 32)
        for block, kept in self._scan.highest(queries, enough):
            best, proved = self._settle(queries[block], kept, found)
            answers.labels[block].copy_(best.labels, non_blocking=True)
            answers.scores[block].copy_(best.scores, non_blocking=True)
            proofs.append(proved)
        # a list on the host comes after the copies in the device's queue, so they are over as well
        doubtful = (~torch.cat(proofs)).nonzero()[:, 0].tolist()
        for rows, best in exhaustive(queries, doubtful, self.vectors, found):
            answers.labels[rows], answers.scores[rows] = best.labels.cpu(), best.scores.cpu()
        return answers.padded(k)

    @torch.inference_mode()
    def score(self, queries: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Inner products of each query with labels chosen for it.

        Args:
            queries: floating point ``[B, D]`` on any device.
            labels: int64 ``[B, K]`` on any device; `NO_LABEL` scores -inf.

        Returns:
            Scores float32 ``[B, K]``, as `search` gives them, on the device of the vectors.

        Raises:
            DataError: the queries are not finite.
            InputError: they are not ``[B, D]``, or `labels` are not ``[B, K]`` ids of this index.
        """
        queries = self._checked(queries)
        if labels.ndim != 2 or len(labels) != len(queries):
            raise InputError(
                f"labels of shape {tuple(labels.shape)}",
                expected=f"[{len(queries)}, K], a row a query",
            )
        labels = labels.to(self.vectors.device)
        low, high = labels.aminmax() if labels.numel() else (0, 0)
        if not NO_LABEL <= int(low) <= int(high) < len(self):
            raise InputError(
                f"label ids from {int(low)} to {int(high)}",
                expected=f"0 to {len(self) - 1}, or {NO_LABEL} for none",
            )
        scores = inner_products(queries, self.vectors, labels.clamp(min=0))
        return scores.masked_fill(labels == NO_LABEL, -torch.inf)

    def save(self, folder: Path) -> None:
        """Write the arguments of the index into a folder; its vectors are kept by the model."""
        write_json(folder / _FILE, _ARGUMENTS)

    @classmethod
    def load(cls, folder: Path, vectors: torch.Tensor) -> ExactIndex:
        """The index that `save` described, over the model's vectors.

        Raises:
            MissingFileError: there is no index in the folder.
            ModelFolderError: there is one of another kind.
        """
        arguments = read_json(folder / _FILE)
        if arguments != _ARGUMENTS:
            raise ModelFolderError(
                f"an index of {arguments}", expected=str(_ARGUMENTS), path=folder / _FILE
            )
        return cls(vectors)

    def _checked(self, queries: torch.Tensor) -> torch.Tensor:
        """Queries as float32 on the device of the vectors."""
        dimension = self.vectors.shape[1]
        if queries.ndim != 2 or queries.shape[1] != dimension or not queries.is_floating_point():
            raise InputError(
                f"queries of shape {tuple(queries.shape)} and type {queries.dtype}",
                expected=f"floating-point vectors [B, {dimension}], as those of the labels",
            )
        if len(queries):
            _check_finite(queries, "queries")
        return queries.detach().to(self.vectors.device, torch.float32)

    def _settle(self, queries: torch.Tensor, kept: Best, k: int) -> tuple[Best, torch.Tensor]:
        """The k best of the labels that the scan kept, and for which queries this is proved."""
        labels = kept.labels.sort(dim=1).values
        best = first(inner_products(queries, self.vectors, labels), labels, k)
        if labels.shape[1] == len(self):
            return best, torch.ones_like(best.labels[:, 0], dtype=torch.bool)
        bound = self._scan.bound(queries, kept.scores.amin(dim=1).float())
        return best, bound < best.scores[:, -1]


def _check_finite(vectors: torch.Tensor, what: str) -> None:
    if not all(bound.float().isfinite() for bound in vectors.aminmax()):
        raise DataError(
            f"{what} with values that are not finite",
            expected="numbers only",
            do="find what made the NaN or the infinity, such as a diverged encoder",
        )
