"""Rows of a table: gathered and put back, also across the bus, and moved by Adam."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dexa.kernels.device import on_triton

_ROWS_IN_CACHE = 512  # of a table; what is computed of more would go to memory and back


@dataclass(frozen=True, kw_only=True)
class AdamRates:
    """What an Adam step depends on beside its tensors (Kingma & Ba, 2015).

    Attributes:
        learning_rate: length of a step; a tensor on the device where steps are recorded.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        epsilon: added to the root of the second moment.
    """

    learning_rate: float | torch.Tensor
    beta1: float
    beta2: float
    epsilon: float


def gather_rows(table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Rows of a table ``[R, D]`` or ``[R]``, on the device of their numbers ``[U]``.

    A table in pinned host memory is read by the GPU itself, so that the host need not wait.
    """
    if table.device.type == rows.device.type:
        return table.index_select(0, rows)
    from dexa.kernels import triton_rows

    return triton_rows.gather(table, rows)


def put_rows(table: torch.Tensor, rows: torch.Tensor, values: torch.Tensor) -> None:
    """Write values ``[U, D]`` or ``[U]`` into rows of a table, also one in pinned host memory."""
    if table.device.type == rows.device.type:
        table.index_copy_(0, rows, values)
    else:
        from dexa.kernels import triton_rows

        triton_rows.put(table, rows, values)


def adam_rows(
    state: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
    rows: torch.Tensor,
    gradient: torch.Tensor,
    rates: AdamRates,
    names: torch.Tensor | None = None,
) -> None:
    """Move some rows of a table by Adam, in place; bias correction counts a row's own updates.

    Moments in bfloat16 are rounded up or down at random, in proportion: rounded to the nearest, a
    second moment could never decay, as it changes by less than half its last digit.

    Args:
        state: table ``[R, D]``, first and second moment ``[R, D]``, updates so far int32 ``[R]``.
        rows: int64 ``[U]``, each at most once; -1 is none.
        gradient: ``[U, D]``.
        rates: of the step.
        names: int64 ``[U]``, what rounding knows the rows by; None for `rows`.
    """
    names = rows if names is None else names
    table = state[0]
    if on_triton(gradient) and gradient.dtype == table.dtype == torch.float32:
        from dexa.kernels import triton_rows

        triton_rows.adam(state, rows, gradient, rates, names)
        return
    if bool((rows < 0).any()):
        there = rows >= 0
        gradient, names, rows = gradient[there], names[there], rows[there]
    gradient = gradient.to(table.dtype)
    at_once = _ROWS_IN_CACHE if table.device.type == "cpu" else max(1, len(rows))
    for some in zip(
        rows.split(at_once), gradient.split(at_once), names.split(at_once), strict=True
    ):
        _adam_some(state, *some, rates)


def _adam_some(
    state: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
    rows: torch.Tensor,
    gradient: torch.Tensor,
    names: torch.Tensor,
    rates: AdamRates,
) -> None:
    table, first, second, updates = state
    count = updates.index_select(0, rows).add_(1)
    updates.index_copy_(0, rows, count)
    count = count.unsqueeze(1)
    mean = torch.lerp(gradient, first.index_select(0, rows).to(table.dtype), rates.beta1)
    square = second.index_select(0, rows).to(table.dtype).mul_(rates.beta2)
    square.addcmul_(gradient, gradient, value=1 - rates.beta2)
    if first.dtype == torch.bfloat16:
        noise = _noise(names, count, table.shape[1])
        first.index_copy_(0, rows, _rounded(mean, noise & 0xFFFF))
        second.index_copy_(0, rows, _rounded(square, noise >> 16))
    else:
        first.index_copy_(0, rows, mean)
        second.index_copy_(0, rows, square)
    mean *= rates.learning_rate / (1 - rates.beta1**count)
    square /= 1 - rates.beta2**count
    moved = table.index_select(0, rows).addcdiv_(mean, square.sqrt_().add_(rates.epsilon), value=-1)
    table.index_copy_(0, rows, moved)


def _noise(rows: torch.Tensor, count: torch.Tensor, width: int) -> torch.Tensor:
    """32 random bits for each element ``[U, D]``, a function of row, column and update alone."""
    columns = torch.arange(width, device=rows.device)
    mixed = count * 0x9E3779B1 + rows[:, None] * 0x85EBCA77 + columns * 0xC2B2AE3D & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 15) * 0x2C1B3C6D & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 12) * 0x297A2D39 & 0xFFFFFFFF
    return mixed ^ mixed >> 15


def _rounded(values: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """float32 to bfloat16; of 2¹⁶ possible values of the noise, each rounds up its share."""
    bits = values.float().view(torch.int32) + noise.int()
    return (bits & -0x10000).view(torch.float32).bfloat16()
