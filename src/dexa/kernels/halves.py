"""The two steps that 2-means of many nodes at once repeats between its products."""

from __future__ import annotations

import torch

from dexa.kernels.device import on_triton

TINY = 1e-24
"""Keeps zero vectors and sums of zero when they are divided by their length."""


def power_step(
    product: torch.Tensor, axis: torch.Tensor, with_all: torch.Tensor, with_mean: torch.Tensor
) -> torch.Tensor:
    """``product − (axis · with_all) with_mean``, scaled to unit length, in each node.

    Args:
        product: inner products of the rows with their sum weighted by the axis,
            ``[nodes, 1, slots]``, as all arguments.
        axis: the axis so far, as projections of the rows.
        with_all: inner products of the rows with the sum of all.
        with_mean: the same, divided by their sum.
    """
    if on_triton(product):
        from dexa.kernels import triton_halves

        return triton_halves.power_step(product, axis, with_all, with_mean)
    axis = torch.baddbmm(product, axis @ with_all.mT, with_mean, alpha=-1)
    return torch.nn.functional.normalize(axis, dim=2)


def leaning_of_halves(
    side: torch.Tensor, with_left: torch.Tensor, with_all: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """How much nearer each row is to the centroid of the left half than to that of the right.

    Args:
        side: 1 for the rows of the left half and 0 for the others, ``[nodes, 1, slots]``, as all.
        with_left: inner products of the rows with the sum of the left half.
        with_all: inner products of the rows with the sum of all.

    Returns:
        ``[nodes, 1, slots]``, and the lengths of both sums, ``[nodes, 2, 1]``.
    """
    if on_triton(side):
        from dexa.kernels import triton_halves

        return triton_halves.leaning_of_halves(side, with_left, with_all)
    with_sums = torch.cat([with_left, with_all - with_left], dim=1)
    children = torch.cat([side, 1 - side], dim=1)
    lengths = (with_sums * children).sum(dim=2, keepdim=True).clamp_min(TINY).sqrt()
    with_left_centroid, with_right_centroid = (with_sums / lengths).split(1, dim=1)
    return with_left_centroid - with_right_centroid, lengths
