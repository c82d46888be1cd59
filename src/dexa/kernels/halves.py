"""The two steps that 2-means of many nodes at once repeats between its products, and all of it."""

from __future__ import annotations

import torch

from dexa.kernels.device import on_triton

TINY = 1e-24
"""Keeps zero vectors and sums of zero when they are divided by their length."""

FEW = 128
"""Slots of a node at most of which `halves_of_few` holds the products of each two rows."""


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


def left_half(leaning: torch.Tensor, left: int) -> torch.Tensor:
    """1 for the `left` slots of each node that lean most and 0 for the others, as `leaning`."""
    chosen = leaning.topk(left, sorted=False).indices
    return torch.zeros_like(leaning).scatter_(2, chosen, 1.0)


def next_halves(
    side: torch.Tensor,
    with_left: torch.Tensor,
    with_all: torch.Tensor,
    bias: torch.Tensor,
    left: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One iteration of balanced 2-means: the halves that the centroids of these halves make.

    A row leans to the left by how much nearer it is to the left centroid than to the right one;
    the `left` rows that lean most form the left half, which is the best balanced choice for these
    centroids.

    Args:
        side: 1 for the rows of the left half and 0 for the others, ``[nodes, 1, slots]``, as all.
        with_left: inner products of the rows with the sum of the left half.
        with_all: inner products of the rows with the sum of all.
        bias: +inf or -inf forces a slot to the left or to the right, 0 does not.
        left: how many slots go left.

    Returns:
        The next `side`, and the lengths of both sums before, ``[nodes, 2, 1]``.
    """
    if on_triton(side):
        from dexa.kernels import triton_halves

        return triton_halves.next_halves(side, with_left, with_all, bias, left)
    with_sums = torch.cat([with_left, with_all - with_left], dim=1)
    children = torch.cat([side, 1 - side], dim=1)
    lengths = (with_sums * children).sum(dim=2, keepdim=True).clamp_min(TINY).sqrt()
    with_left_centroid, with_right_centroid = (with_sums / lengths).split(1, dim=1)
    return left_half(with_left_centroid - with_right_centroid + bias, left), lengths


def halves_of_few(
    pairs: torch.Tensor,
    bias: torch.Tensor,
    start: torch.Tensor,
    sizes: torch.Tensor,
    *,
    left: int,
    power_steps: int,
    tolerance: float,
    max_iterations: int,
) -> torch.Tensor:
    """Balanced 2-means of small nodes from beginning to end, each by itself: one kernel.

    Only on a GPU with Triton, where 2-means of many small nodes is bound by launches.

    Args:
        pairs: inner products of each two rows, ``[nodes, slots, slots]``, slots ≤ `FEW`.
        bias: +inf or -inf forces a slot to the left or to the right, ``[nodes, 1, slots]``.
        start: random numbers ``[nodes, 1, slots]``, where power iteration starts.
        sizes: rows of each node, ``[nodes]``.
        left: how many slots go left.
        power_steps: towards the axis along which rows spread most.
        tolerance: a node is done once an iteration raises the mean similarity of its rows to
            their own centroid by less than this.
        max_iterations: the most iterations of a node.

    Returns:
        1 for the slots that go left and 0 for the others, ``[nodes, 1, slots]``.
    """
    from dexa.kernels import triton_halves

    return triton_halves.halves_of_few(
        pairs,
        bias,
        start,
        sizes,
        left=left,
        power_steps=power_steps,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
