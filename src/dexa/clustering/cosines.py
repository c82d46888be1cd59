"""Cosines of points and centroids, dense or sparse, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.clustering.points import checked_sparse, refuse_dense, shape_of, unit_rows
from dexa.errors import DataError

Points = torch.Tensor | csr_array
"""Floating point ``[N, D]`` on any device, or CSR ``[N, V]``."""

_BLOCK_NUMBERS = 1 << 23
"""So many cosines are looked at together."""


def unit_points(points: Points) -> Points:
    """Points scaled to unit length; those of length zero stay as they are.

    Raises:
        DataError: they are not an array, or CSR matrix, of finite numbers.
    """
    if isinstance(points, torch.Tensor):
        refuse_dense(points)
        return torch.nn.functional.normalize(points.float(), dim=1)
    return checked_sparse(points)


def cluster_ids(assignment: torch.Tensor | NDArray[np.integer], points: Points) -> torch.Tensor:
    """The cluster of each point, int64 ``[N]``, where dense points are, or on the host.

    Raises:
        DataError: they are not N whole numbers from 0.
    """
    given: Any = assignment if isinstance(assignment, torch.Tensor) else np.asarray(assignment)
    ids = torch.as_tensor(given)
    count = shape_of(points)[0]
    whole = not ids.is_floating_point() and not ids.is_complex() and ids.dtype != torch.bool
    if ids.shape != (count,) or not whole or int(ids.min()) < 0:
        raise DataError(
            f"cluster ids of shape {tuple(ids.shape)} and type {ids.dtype}"
            + (f", the least {ids.min()}" if ids.numel() and whole else ""),
            expected=f"whole numbers from 0, one for each of {count} points",
        )
    return ids.to(points.device if isinstance(points, torch.Tensor) else "cpu", torch.int64)


def sums_of_clusters(unit: Points, ids: torch.Tensor, clusters: int) -> Points:
    """The sum of the points of each cluster, ``[clusters, D]``."""
    if isinstance(unit, torch.Tensor):
        return unit.new_zeros(clusters, unit.shape[1]).index_add_(0, ids, unit)
    count = len(ids)
    members = csr_array((np.ones(count), (ids.numpy(), np.arange(count))), shape=(clusters, count))
    return csr_array(members @ unit)


def centroids(unit: Points, ids: torch.Tensor, clusters: int) -> Points:
    """The mean of the points of each cluster, scaled to unit length; zero for an empty one."""
    sums = sums_of_clusters(unit, ids, clusters)
    if isinstance(sums, torch.Tensor):
        return torch.nn.functional.normalize(sums, dim=1)
    return unit_rows(sums)


def cosine_blocks(rows: Points, others: Points) -> Iterator[tuple[int, torch.Tensor]]:
    """Blocks of the inner products of rows with others, ``[block, others]``, and where they start.

    Both are of unit length, and either both dense or both sparse. All blocks lie in one buffer: a
    block is gone when the next one is asked for.
    """
    count, width = shape_of(rows)[0], shape_of(others)[0]
    block = max(1, min(count, _BLOCK_NUMBERS // width))
    # One buffer: a new array a block would leave the heap in pieces, gigabytes of them.
    if isinstance(rows, torch.Tensor) and isinstance(others, torch.Tensor):
        buffer = rows.new_empty(block, width)
        for start in range(0, count, block):
            part = rows[start : start + block]
            yield start, torch.mm(part, others.T, out=buffer[: len(part)])
        return
    turned: Any = others.T
    columns = turned.tocsr()  # once, here: SciPy would do so in every product
    dense = np.empty((block, width), columns.dtype)
    for start in range(0, count, block):
        cosines: Any = rows[start : start + block] @ columns
        yield start, torch.from_numpy(cosines.toarray(out=dense[: cosines.shape[0]]))
