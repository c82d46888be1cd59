"""Products of queries with a few rows of a table each, and their gradients, without a copy of all.

A cell that is -1 names no row: it scores 0, and what it weighs counts nothing.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

_CELLS_AT_ONCE = {"cpu": 1 << 21, "cuda": 1 << 28}
"""Numbers that are gathered at once: on a CPU in its cache, on a GPU within its memory."""


def chosen_products(queries: torch.Tensor, table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Inner products ``[B, S]`` of queries ``[B, D]`` with chosen rows ``[B, S]`` of a table."""
    count, width = rows.shape
    at_once = max(1, _CELLS_AT_ONCE[queries.device.type] // max(1, width * queries.shape[1]))
    products = queries.new_empty(count, width)
    for start in range(0, count, at_once):
        block = slice(start, start + at_once)
        gathered = table.index_select(0, rows[block].clamp(min=0).flatten())
        gathered = gathered.view(-1, width, queries.shape[1])
        products[block] = torch.bmm(gathered, queries[block].unsqueeze(2)).squeeze(2)
    return products.masked_fill_(rows < 0, 0.0)


def chosen_sums(table: torch.Tensor, rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted sums ``[B, D]`` of chosen rows ``[B, S]``: the gradient by the queries."""
    weights = weights.masked_fill(rows < 0, 0.0)
    return F.embedding_bag(rows.clamp(min=0), table, mode="sum", per_sample_weights=weights)


def sums_by_row(
    queries: torch.Tensor, rows: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted sums of queries for each row that has a weight: the gradient by the table.

    Args:
        queries: ``[B, D]``.
        rows: int64 ``[B, S]``.
        weights: ``[B, S]``; rows whose weights are all 0 are left out.

    Returns:
        The rows that have a weight, int64 ``[A]``, ascending, and their sums ``[A, D]``.
    """
    sources = torch.arange(len(rows), device=rows.device).repeat_interleave(rows.shape[1])
    weights = weights.masked_fill(rows < 0, 0.0).flatten()
    return sums_of_places(queries, sources, rows.flatten(), weights)


def sums_of_places(
    vectors: torch.Tensor, sources: torch.Tensor, rows: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted sums of vectors for each row, added up in the order of the places.

    Args:
        vectors: ``[B, D]``.
        sources: which vector counts in a place, int64 ``[T]``.
        rows: for which row, int64 ``[T]``.
        weights: how much, ``[T]``; rows whose weights are all 0 are left out.

    Returns:
        The rows that have a weight, int64 ``[A]``, ascending, and their sums ``[A, D]``.
    """
    places = weights.nonzero().squeeze(1)
    owners, order = rows[places].sort(stable=True)
    active, counts = owners.unique_consecutive(return_counts=True)
    if not len(active):
        return active, vectors.new_zeros(0, vectors.shape[1])
    places = places[order]
    sums = F.embedding_bag(
        sources[places],
        vectors,
        counts.cumsum(0) - counts,
        mode="sum",
        per_sample_weights=weights[places],
    )
    return active, sums
