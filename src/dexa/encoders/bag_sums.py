"""Weighted sums of rows of a table, whose gradient is as sparse as they are."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from dexa.kernels import sums_of_places


def bag_sums(
    rows: torch.Tensor,
    starts: torch.Tensor,
    table: torch.Tensor,
    weights: torch.Tensor,
    sparse: bool = False,
) -> torch.Tensor:
    """The weighted sum of the rows of each bag, ``[B, D]``.

    A sparse gradient holds each row once, in ascending order: its sum over the bags that the row
    stands in is a sum of a bag too. PyTorch's own holds a vector for each of T places, which takes
    several times as long to make and to add up.

    Args:
        rows: int64 ``[T]``, of B bags end to end.
        starts: int64 ``[B]``, where each bag starts.
        table: ``[R, D]``.
        weights: of each place, ``[T]``; a row with a weight of 0 counts as not there.
        sparse: whether the gradient of the table is sparse; weights have none then.
    """
    if sparse:
        return _SparseSums.apply(table, rows, starts, weights)
    return _sums(rows, starts, table, weights)


def _sums(
    rows: torch.Tensor, starts: torch.Tensor, table: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    return F.embedding_bag(rows, table, starts, mode="sum", per_sample_weights=weights)


class _SparseSums(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        table: torch.Tensor,
        rows: torch.Tensor,
        starts: torch.Tensor,
        weights: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(rows, starts, weights)
        ctx.shape = table.shape
        return _sums(rows, starts, table, weights)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        rows, starts, weights = ctx.saved_tensors
        lengths = torch.diff(starts, append=starts.new_full((1,), len(rows)))
        bags = torch.arange(len(starts), device=rows.device).repeat_interleave(lengths)
        touched, sums = sums_of_places(gradients[0].contiguous(), bags, rows, weights)
        sparse = torch.sparse_coo_tensor(touched[None], sums, ctx.shape, check_invariants=True)
        return sparse, None, None, None
