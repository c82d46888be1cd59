"""Points as clustering takes them, dense or sparse, and what is refused."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix, diags_array

from dexa.errors import DataError, InputError

_NOT_FINITE = "points with values that are not finite"


def refuse_dense(points: torch.Tensor) -> None:
    """Refuse dense points that cannot be clustered.

    Raises:
        DataError: they are not an ``[N, D]`` array of finite numbers, N and D ≥ 1.
    """
    if points.ndim != 2 or not points.is_floating_point() or points.numel() == 0:
        raise DataError(
            f"points of shape {tuple(points.shape)} and type {points.dtype}",
            expected="a floating-point array [N, D] with at least one point",
        )
    if not all(bound.float().isfinite() for bound in points.aminmax()):
        raise DataError(
            _NOT_FINITE,
            expected="numbers only",
            do="find what made the NaN or the infinity, such as a diverged encoder",
        )


def checked_sparse(points: Any) -> csr_array:
    """A copy of sparse points: float64, each entry once, rows of unit length or empty.

    Raises:
        DataError: they are not a CSR matrix ``[N, V]`` of finite numbers, N ≥ 1.
    """
    if not isinstance(points, csr_array | csr_matrix):
        raise DataError(
            f"points given as {type(points).__name__}",
            expected="a scipy csr_array",
            do="convert other sparse matrices with csr_array(matrix)",
        )
    if points.ndim != 2 or shape_of(points)[0] == 0 or points.dtype.kind not in "fiub":
        raise DataError(
            f"points of shape {points.shape} and type {points.dtype}",
            expected="a matrix [N, V] of real numbers with at least one point",
        )
    rows = csr_array(points, dtype=np.float64, copy=True)
    rows.sum_duplicates()
    # squares of what float32 can hold are finite, and not zero, in float64
    if not (np.abs(rows.data) <= np.finfo(np.float32).max).all():
        raise DataError(_NOT_FINITE, expected="numbers only, within the range of float32")
    rows.eliminate_zeros()
    return unit_rows(rows)


def unit_rows(rows: csr_array) -> csr_array:
    """Rows scaled to unit length; empty ones stay empty."""
    lengths = np.sqrt(rows.multiply(rows).sum(axis=1))
    return csr_array(diags_array(1 / np.where(lengths > 0, lengths, 1)) @ rows)


def refuse_counts(clusters: int, max_iterations: int) -> None:
    """Refuse numbers that leave nothing to do.

    Raises:
        InputError: one is below one.
    """
    if clusters < 1 or max_iterations < 1:
        raise InputError(
            f"{clusters} clusters and {max_iterations} iterations", expected="at least one of each"
        )


def halved(edges: NDArray[np.int64], middles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Edges of the next level, without those of empty nodes.

    Args:
        edges: ``[nodes + 1]``, ascending; node i owns the ids ``edges[i]`` up to ``edges[i + 1]``.
        middles: where each is cut, ``[nodes]``; at the end of a node that stays whole.
    """
    cuts = np.stack([edges[:-1], middles], axis=1)
    return np.append(cuts[cuts < edges[1:, None]], edges[-1])


def shape_of(matrix: Any) -> tuple[int, int]:
    """Rows and columns, for type checkers that take scipy's `shape` to be None."""
    return cast("tuple[int, int]", matrix.shape)
