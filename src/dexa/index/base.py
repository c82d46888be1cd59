"""What every index does alike: checks, scores of chosen labels, tombstones."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.errors import DataError, InputError, ModelFolderError
from dexa.index.precise import inner_products
from dexa.storage import read_json, write_json
from dexa.types import NO_LABEL, Allowed, TopK

INDEX_FILE = "index.json"


class VectorIndex(abc.ABC):
    """Search over label vectors by inner product.

    Args:
        vectors: floating point ``[L, D]``, L ≥ 1. Where cosine is wanted, these and the queries
            are to be normalised.

    Raises:
        DataError: the vectors are not an ``[L, D]`` array of finite numbers.
    """

    kind: str
    """The name by which recipes and folders know the index."""

    def __init__(self, vectors: torch.Tensor) -> None:
        self._vectors = checked_vectors(vectors)
        self._removed = torch.zeros(len(vectors), dtype=torch.bool)
        self._forgets = False  # whether any is removed: asking the tensor takes too long for a text

    @property
    def vectors(self) -> torch.Tensor:
        """Float32 ``[L, D]``, the removed ones included; not to be changed."""
        return self._vectors

    @property
    def removed(self) -> torch.Tensor:
        """Bool ``[L]`` on the host: which labels are never answered."""
        return self._removed

    def __len__(self) -> int:
        return len(self._vectors)

    @torch.inference_mode()
    def search(self, queries: torch.Tensor, k: int, allowed: Allowed | None = None) -> TopK:
        """The k labels of highest inner product with each query.

        Args:
            queries: floating point ``[B, D]`` on any device.
            k: at least 1; places beyond the labels that may be answered hold `NO_LABEL`.
            allowed: bool ``[L]``, the labels that may be answered; None for all.

        Returns:
            Labels and scores ``[B, k]``, best first; equal scores go to the smaller label id.

        Raises:
            DataError: the queries are not finite.
            InputError: they are not ``[B, D]``, k is below 1, or `allowed` is not bool ``[L]``.
        """
        if k < 1:
            raise InputError(f"k = {k}", expected="at least one answer a text")
        return self._search(self._checked(queries), k, self._living(allowed))

    @abc.abstractmethod
    def _search(self, queries: torch.Tensor, k: int, living: torch.Tensor | None) -> TopK:
        """`search` of what was checked; `living` is on the host, None where all may answer."""

    @torch.inference_mode()
    def score(self, queries: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Inner products of each query with labels chosen for it.

        Args:
            queries: floating point ``[B, D]`` on any device.
            labels: whole numbers ``[B, K]`` on any device; `NO_LABEL` and removed ones score -inf.

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
        labels = labels.to(self._vectors.device, torch.int64)
        self._check_labels(labels, lowest=NO_LABEL)
        known = labels.clamp(min=0)
        silent = labels == NO_LABEL
        if self._forgets:
            silent |= self._removed.to(labels.device)[known]
        return self._products(queries, known).masked_fill(silent, -torch.inf)

    def _products(self, queries: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Inner products float32 ``[B, K]`` of queries with labels of this index."""
        return inner_products(queries, self._vectors, labels)

    @torch.no_grad()
    def add(self, vectors: torch.Tensor) -> None:
        """Take in vectors ``[M, D]``, in place; their labels follow those that are there.

        Raises:
            DataError: the vectors are not an ``[M, D]`` array of finite numbers.
        """
        new = checked_vectors(vectors, self._vectors.shape[1]).to(self._vectors.device)
        self._take_in(new)
        self._vectors = torch.cat([self._vectors, new])
        self._removed = torch.cat([self._removed, torch.zeros(len(new), dtype=torch.bool)])

    @abc.abstractmethod
    def _take_in(self, new: torch.Tensor) -> None:
        """Let searches find new vectors, which follow those of `vectors`."""

    def remove(self, labels: Sequence[int] | NDArray[np.integer] | torch.Tensor) -> None:
        """Never answer some labels again, in place; the others keep their ids.

        Raises:
            InputError: there is no such label.
        """
        gone = torch.as_tensor(labels, dtype=torch.int64).cpu()
        self._check_labels(gone, lowest=0)
        removed = self._removed.clone()  # a search that goes on keeps the old one
        removed[gone] = True
        self._removed = removed
        self._forgets = bool(removed.any())

    def changed(self, labels: NDArray[np.int64], vectors: torch.Tensor) -> Self:
        """A new index where some labels have other vectors; this one stays.

        Raises:
            DataError: the vectors are not an ``[n, D]`` array of finite numbers.
            InputError: there is no such label.
        """
        places = torch.as_tensor(labels, dtype=torch.int64)
        self._check_labels(places, lowest=0)
        new = checked_vectors(vectors, self._vectors.shape[1]).to(self._vectors.device)
        changed = self._vectors.clone()
        changed[places.to(changed.device)] = new
        index = self._over(changed)
        index.remove(self._removed.nonzero()[:, 0])
        return index

    @abc.abstractmethod
    def _over(self, vectors: torch.Tensor) -> Self:
        """An index of the same kind and arguments over other vectors."""

    def save(self, folder: Path) -> None:
        """Write all but the vectors, which the model keeps, into a folder."""
        arguments: dict[str, Any] = {"kind": self.kind, **self._arguments()}
        if self._forgets:
            arguments["removed"] = self._removed.nonzero()[:, 0].tolist()
        write_json(folder / INDEX_FILE, arguments)

    def _arguments(self) -> dict[str, Any]:
        """What else belongs into the index's file, as JSON values."""
        return {}

    def _checked(self, queries: torch.Tensor) -> torch.Tensor:
        """Queries as float32 on the device of the vectors."""
        dimension = self._vectors.shape[1]
        if queries.ndim != 2 or queries.shape[1] != dimension or not queries.is_floating_point():
            raise InputError(
                f"queries of shape {tuple(queries.shape)} and type {queries.dtype}",
                expected=f"floating-point vectors [B, {dimension}], as those of the labels",
            )
        return _finite(queries.detach().to(self._vectors.device, torch.float32), "queries")

    def _check_labels(self, labels: torch.Tensor, *, lowest: int) -> None:
        low, high = labels.aminmax() if labels.numel() else (0, 0)
        if not lowest <= int(low) <= int(high) < len(self):
            none = f", or {NO_LABEL} for none" if lowest < 0 else ""
            raise InputError(
                f"label ids from {int(low)} to {int(high)}",
                expected=f"0 to {len(self) - 1}{none}",
            )

    def _living(self, allowed: Allowed | None) -> torch.Tensor | None:
        """Which labels may be answered, bool ``[L]`` on the host; None for all."""
        if allowed is None:
            return ~self._removed if self._forgets else None
        chosen = torch.as_tensor(allowed).cpu()
        if chosen.shape != (len(self),) or chosen.dtype != torch.bool:
            raise InputError(
                f"allowed labels of shape {tuple(chosen.shape)} and type {chosen.dtype}",
                expected=f"bool [{len(self)}], whether each label may be answered",
            )
        return chosen & ~self._removed


def saved_index(folder: Path) -> dict[str, Any]:
    """The kind and arguments of the index that was saved into a folder.

    Raises:
        MissingFileError: there is no index in the folder.
        ModelFolderError: what is there describes none.
    """
    arguments = read_json(folder / INDEX_FILE)
    if not isinstance(arguments, dict) or not isinstance(arguments.get("kind"), str):
        raise ModelFolderError(
            f"an index of {arguments}", expected="an object with a kind", path=folder / INDEX_FILE
        )
    return arguments


def saved_arguments(folder: Path, kind: str, numbers: Sequence[str] = ()) -> dict[str, Any]:
    """The arguments of the index of one kind that was saved into a folder.

    Args:
        folder: where it was saved.
        kind: of the index.
        numbers: names of arguments that are whole numbers.

    Raises:
        MissingFileError: there is no index in the folder.
        ModelFolderError: there is one of another kind, or without these numbers.
    """
    arguments = saved_index(folder)
    if arguments["kind"] != kind:
        raise ModelFolderError(
            f"an index of kind {arguments['kind']!r}", expected=repr(kind), path=folder / INDEX_FILE
        )
    for name in numbers:
        if not isinstance(arguments.get(name), int):
            raise ModelFolderError(
                f"{name!r} is {arguments.get(name)!r}",
                expected="a whole number",
                path=folder / INDEX_FILE,
            )
    return arguments


def checked_vectors(vectors: torch.Tensor, dimension: int | None = None) -> torch.Tensor:
    """Label vectors as float32, detached and contiguous.

    Raises:
        DataError: they are not an ``[L, D]`` array of finite numbers.
    """
    fits = vectors.ndim == 2 and dimension in (None, vectors.shape[-1])
    if not fits or not vectors.is_floating_point() or vectors.numel() == 0:
        raise DataError(
            f"label vectors of shape {tuple(vectors.shape)} and type {vectors.dtype}",
            expected=f"a floating-point array [L, {dimension or 'D'}] with at least one label",
        )
    return _finite(vectors.detach().float().contiguous(), "label vectors")


def _finite(vectors: torch.Tensor, what: str) -> torch.Tensor:
    """The vectors, float32, where all numbers are finite."""
    # the sum tells in one pass, but that of large numbers may overflow
    if math.isfinite(vectors.sum()) or vectors.isfinite().all():
        return vectors
    raise DataError(
        f"{what} with values that are not finite",
        expected="numbers only",
        do="find what made the NaN or the infinity, such as a diverged encoder",
    )
