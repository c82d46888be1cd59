"""`layers` as Triton kernels: each reads and writes its tensors once."""

# pyright: basic, reportMissingImports=false, reportIndexIssue=false
from __future__ import annotations

import torch
import triton
import triton.language as tl

_ROWS = 8  # of a tile
_WARPS = 2  # twice as fast as 4, as a row is short
_PROGRAMS = 528  # four for each multiprocessor of an H100: they sum columns on their way


@triton.jit
def _add_norm(
    branch, bias, residual, weight, shift, out, total, rows, epsilon,
    D: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, BLOCK)
    inside = column < D
    mask = (row < rows)[:, None] & inside[None, :]
    places = row.to(tl.int64)[:, None] * D + column[None, :]
    value = tl.load(branch + places, mask=mask, other=0.0).to(tl.float32)
    value += tl.load(residual + places, mask=mask, other=0.0).to(tl.float32)
    value += tl.load(bias + column, mask=inside, other=0.0).to(tl.float32)[None, :]
    tl.store(total + places, value, mask=mask)
    mean = tl.sum(value, axis=1)[:, None] / D
    centred = tl.where(mask, value - mean, 0.0)
    scale = tl.rsqrt(tl.sum(centred * centred, axis=1) / D + epsilon)[:, None]
    norm = centred * scale * tl.load(weight + column, mask=inside, other=0.0)[None, :]
    norm += tl.load(shift + column, mask=inside, other=0.0)[None, :]
    tl.store(out + places, norm, mask=mask)


@triton.jit
def _add_norm_gradient(
    gradient, total, weight, out, sums, rows, epsilon,
    D: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    column = tl.arange(0, BLOCK)
    inside = column < D
    factor = tl.load(weight + column, mask=inside, other=0.0).to(tl.float32)[None, :]
    of_weight = tl.zeros([BLOCK], tl.float32)
    of_shift = tl.zeros([BLOCK], tl.float32)
    of_bias = tl.zeros([BLOCK], tl.float32)
    for start in range(tl.program_id(0) * ROWS, rows, tl.num_programs(0) * ROWS):
        row = start + tl.arange(0, ROWS)
        mask = (row < rows)[:, None] & inside[None, :]
        places = row.to(tl.int64)[:, None] * D + column[None, :]
        value = tl.load(total + places, mask=mask, other=0.0).to(tl.float32)
        of_norm = tl.load(gradient + places, mask=mask, other=0.0).to(tl.float32)
        centred = tl.where(mask, value - tl.sum(value, axis=1)[:, None] / D, 0.0)
        scale = tl.rsqrt(tl.sum(centred * centred, axis=1) / D + epsilon)[:, None]
        unit = centred * scale
        of_unit = of_norm * factor
        along = tl.sum(of_unit * unit, axis=1)[:, None] / D
        of_total = scale * (of_unit - tl.sum(of_unit, axis=1)[:, None] / D - unit * along)
        of_total = tl.where(mask, of_total, 0.0)
        tl.store(out + places, of_total, mask=mask)
        of_weight += tl.sum(of_norm * unit, axis=0)
        of_shift += tl.sum(of_norm, axis=0)
        of_bias += tl.sum(of_total, axis=0)
    place = sums + tl.program_id(0) * 3 * D + column
    tl.store(place, of_weight, mask=inside)
    tl.store(place + D, of_shift, mask=inside)
    tl.store(place + 2 * D, of_bias, mask=inside)


@triton.jit
def _gelu(before, bias, out, F: tl.constexpr, BLOCK: tl.constexpr):
    row, column = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < F
    places = row.to(tl.int64) * F + column
    x = tl.load(before + places, mask=inside, other=0.0).to(tl.float32)
    x += tl.load(bias + column, mask=inside, other=0.0).to(tl.float32)
    half = 0.5 * (1.0 + tl.erf(x * 0.7071067811865476))
    tl.store(out + places, x * half, mask=inside)


@triton.jit
def _gelu_gradient(
    gradient, before, bias, out, sums, rows,
    F: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < F
    added = tl.load(bias + column, mask=inside, other=0.0).to(tl.float32)[None, :]
    of_bias = tl.zeros([BLOCK], tl.float32)
    for start in range(tl.program_id(0) * ROWS, rows, tl.num_programs(0) * ROWS):
        row = start + tl.arange(0, ROWS)
        mask = (row < rows)[:, None] & inside[None, :]
        places = row.to(tl.int64)[:, None] * F + column[None, :]
        x = tl.load(before + places, mask=mask, other=0.0).to(tl.float32) + added
        of_out = tl.load(gradient + places, mask=mask, other=0.0).to(tl.float32)
        half = 0.5 * (1.0 + tl.erf(x * 0.7071067811865476))
        slope = half + x * tl.exp(-0.5 * x * x) * 0.3989422804014327
        of_before = of_out * slope
        tl.store(out + places, of_before, mask=mask)
        of_bias += tl.sum(of_before, axis=0)
    tl.store(sums + tl.program_id(0) * F + column, of_bias, mask=inside)


@triton.jit
def _mean(hidden, starts, counts, out, D: tl.constexpr, BLOCK: tl.constexpr, ROWS: tl.constexpr):
    text = tl.program_id(0)
    first, count = tl.load(starts + text), tl.load(counts + text)
    last = first + count
    column = tl.arange(0, BLOCK)
    inside = column < D
    total = tl.zeros([BLOCK], tl.float32)
    for start in range(first, last, ROWS):
        row = start + tl.arange(0, ROWS)
        mask = (row < last)[:, None] & inside[None, :]
        values = tl.load(hidden + row[:, None] * D + column[None, :], mask=mask, other=0.0)
        total += tl.sum(values.to(tl.float32), axis=0)
    mean = total / tl.maximum(count, 1).to(tl.float32)
    tl.store(out + text.to(tl.int64) * D + column, mean, mask=inside)


@triton.jit
def _mean_gradient(
    gradient, texts, counts, out, D: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, BLOCK)
    inside = column < D
    owner = tl.load(texts + row).to(tl.int64)
    text = tl.maximum(owner, 0)
    count = tl.maximum(tl.load(counts + text), 1)
    share = tl.load(gradient + text * D + column, mask=inside, other=0.0) / count.to(tl.float32)
    tl.store(out + row * D + column, tl.where(owner >= 0, share, 0.0), mask=inside)


def add_norm(
    branch: torch.Tensor,
    bias: torch.Tensor,
    residual: torch.Tensor,
    weight: torch.Tensor,
    shift: torch.Tensor,
    epsilon: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `dexa.kernels.add_norm`."""
    rows, width = branch.shape
    out, total = torch.empty_like(branch), torch.empty_like(branch)
    _add_norm[(triton.cdiv(rows, _ROWS),)](
        branch, bias, residual, weight, shift, out, total, rows, epsilon,
        D=width, BLOCK=triton.next_power_of_2(width), ROWS=_ROWS,
    )  # fmt: skip
    return out, total


def add_norm_gradient(
    gradient: torch.Tensor, total: torch.Tensor, weight: torch.Tensor, epsilon: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `dexa.kernels.add_norm_gradient`."""
    rows, width = gradient.shape
    programs = min(_PROGRAMS, triton.cdiv(rows, _ROWS))
    out = torch.empty_like(gradient)
    sums = torch.empty(programs, 3, width, device=out.device)
    _add_norm_gradient[(programs,)](
        gradient, total, weight, out, sums, rows, epsilon,
        D=width, BLOCK=triton.next_power_of_2(width), ROWS=_ROWS, num_warps=_WARPS,
    )  # fmt: skip
    return out, sums.sum(dim=0)


def gelu(before: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """As `dexa.kernels.gelu`."""
    rows, width = before.shape
    out = torch.empty_like(before)
    _gelu[(rows, triton.cdiv(width, 2048))](before, bias, out, F=width, BLOCK=2048)
    return out


def gelu_gradient(
    gradient: torch.Tensor, before: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `dexa.kernels.gelu_gradient`."""
    rows, width = gradient.shape
    block, tile = 256, 16
    columns = triton.cdiv(width, block)
    programs = max(1, min(triton.cdiv(rows, tile), 2 * _PROGRAMS // columns))
    out = torch.empty_like(gradient)
    sums = torch.empty(programs, width, device=out.device)
    _gelu_gradient[(programs, columns)](
        gradient, before, bias, out, sums, rows, F=width, BLOCK=block, ROWS=tile
    )
    return out, sums.sum(dim=0)


def mean_of_texts(hidden: torch.Tensor, starts: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """As `dexa.kernels.mean_of_texts`."""
    width = hidden.shape[1]
    out = torch.empty(len(starts), width, device=hidden.device)
    _mean[(len(out),)](
        hidden, starts, counts, out, D=width, BLOCK=triton.next_power_of_2(width), ROWS=_ROWS
    )
    return out


def mean_of_texts_gradient(
    gradient: torch.Tensor, texts: torch.Tensor, counts: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """As `dexa.kernels.mean_of_texts_gradient`."""
    width = gradient.shape[1]
    out = torch.empty(len(texts), width, device=gradient.device, dtype=dtype)
    _mean_gradient[(len(texts),)](
        gradient.contiguous(), texts, counts, out, D=width, BLOCK=triton.next_power_of_2(width)
    )
    return out
