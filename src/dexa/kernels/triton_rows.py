"""`rows` as Triton kernels: a program is one row, or a piece of it."""

# pyright: basic, reportMissingImports=false, reportIndexIssue=false
from __future__ import annotations

import torch
import triton
import triton.language as tl

from dexa.kernels.rows import AdamRates


@triton.jit
def _gather(table, rows, out, D: tl.constexpr, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64)
    row = tl.load(rows + place)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < D
    tl.store(out + place * D + column, tl.load(table + row * D + column, mask=inside), mask=inside)


@triton.jit
def _put(table, rows, values, D: tl.constexpr, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64)
    row = tl.load(rows + place)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < D
    value = tl.load(values + place * D + column, mask=inside)
    tl.store(table + row * D + column, value, mask=inside)


@triton.jit
def _rounded(values, noise):
    bits = values.to(tl.int32, bitcast=True) + noise.to(tl.int32)
    return (bits & -0x10000).to(tl.float32, bitcast=True)


@triton.jit
def _adam(
    table, first, second, updates, rows, names, gradient, learning_rate, beta1, beta2, epsilon,
    D: tl.constexpr, BLOCK: tl.constexpr, ROUNDED: tl.constexpr,
):  # fmt: skip
    place = tl.program_id(0).to(tl.int64)
    row = tl.load(rows + place)
    if row >= 0:
        rate = tl.load(learning_rate)
        count = tl.load(updates + row) + 1
        column = tl.arange(0, BLOCK)
        inside = column < D
        grad = tl.load(gradient + place * D + column, mask=inside, other=0.0)
        old = tl.load(first + row * D + column, mask=inside, other=0.0).to(tl.float32)
        mean = grad + beta1 * (old - grad)
        old = tl.load(second + row * D + column, mask=inside, other=0.0).to(tl.float32)
        square = grad * grad + beta2 * (old - grad * grad)
        kept_mean, kept_square = mean, square
        if ROUNDED:
            name = tl.load(names + place)
            noise = count.to(tl.uint32) * 0x9E3779B1 + name.to(tl.uint32) * 0x85EBCA77
            noise = noise + column.to(tl.uint32) * 0xC2B2AE3D
            noise = (noise ^ (noise >> 15)) * 0x2C1B3C6D
            noise = (noise ^ (noise >> 12)) * 0x297A2D39
            noise = noise ^ (noise >> 15)
            kept_mean = _rounded(mean, noise & 0xFFFF)
            kept_square = _rounded(square, noise >> 16)
        tl.store(first + row * D + column, kept_mean, mask=inside)
        tl.store(second + row * D + column, kept_square, mask=inside)
        steps = count.to(tl.float32)
        mean = mean / (1.0 - tl.exp2(steps * tl.log2(beta1)))
        square = square / (1.0 - tl.exp2(steps * tl.log2(beta2)))
        value = tl.load(table + row * D + column, mask=inside, other=0.0)
        value -= rate * mean / (tl.sqrt(square) + epsilon)
        tl.store(table + row * D + column, value, mask=inside)
        tl.store(updates + row, count)


def gather(table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """As `dexa.kernels.gather_rows`."""
    out = torch.empty(len(rows), *table.shape[1:], dtype=table.dtype, device=rows.device)
    _copy(_gather, (table, rows, out), table)
    return out


def put(table: torch.Tensor, rows: torch.Tensor, values: torch.Tensor) -> None:
    """As `dexa.kernels.put_rows`."""
    _copy(_put, (table, rows, values.contiguous()), table)


def _copy(kernel: object, tensors: tuple[torch.Tensor, ...], table: torch.Tensor) -> None:
    width = table[0].numel() if len(table) else 1
    block = min(1024, triton.next_power_of_2(width))
    if len(tensors[1]):
        grid = (len(tensors[1]), triton.cdiv(width, block))
        kernel[grid](*tensors, D=width, BLOCK=block)


def adam(
    state: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
    rows: torch.Tensor,
    gradient: torch.Tensor,
    rates: AdamRates,
    names: torch.Tensor,
) -> None:
    """As `dexa.kernels.adam_rows`."""
    table, first, second, updates = state
    rate = rates.learning_rate
    if not isinstance(rate, torch.Tensor):
        rate = torch.full((), rate, device=gradient.device)
    if len(rows):
        _adam[(len(rows),)](
            table, first, second, updates, rows, names, gradient.contiguous(),
            rate, rates.beta1, rates.beta2, rates.epsilon,
            D=table.shape[1], BLOCK=triton.next_power_of_2(table.shape[1]),
            ROUNDED=first.dtype == torch.bfloat16,
        )  # fmt: skip
