"""`halves` as Triton kernels: a program is one node."""

# pyright: basic, reportMissingImports=false, reportIndexIssue=false
from __future__ import annotations

import torch
import triton
import triton.language as tl

_BLOCKS = (64, 2048)  # slots at a time, of small nodes and of others: each is compiled once


@triton.jit(do_not_specialize=["slots"])
def _power_step(product, axis, with_all, with_mean, out, slots, BLOCK: tl.constexpr):
    base = tl.program_id(0).to(tl.int64) * slots
    along = tl.zeros([BLOCK], tl.float32)
    for start in range(0, slots, BLOCK):
        slot = start + tl.arange(0, BLOCK)
        mask = slot < slots
        weight = tl.load(axis + base + slot, mask=mask, other=0.0)
        along += weight * tl.load(with_all + base + slot, mask=mask, other=0.0)
    scale = tl.sum(along, axis=0)
    squares = tl.zeros([BLOCK], tl.float32)
    for start in range(0, slots, BLOCK):
        slot = start + tl.arange(0, BLOCK)
        mask = slot < slots
        value = tl.load(product + base + slot, mask=mask, other=0.0)
        value -= scale * tl.load(with_mean + base + slot, mask=mask, other=0.0)
        squares += value * value
    length = tl.maximum(tl.sqrt(tl.sum(squares, axis=0)), 1e-12)
    for start in range(0, slots, BLOCK):
        slot = start + tl.arange(0, BLOCK)
        mask = slot < slots
        value = tl.load(product + base + slot, mask=mask, other=0.0)
        value -= scale * tl.load(with_mean + base + slot, mask=mask, other=0.0)
        tl.store(out + base + slot, value / length, mask=mask)


@triton.jit(do_not_specialize=["slots"])
def _leaning(side, with_left, with_all, bias, out, lengths, slots, TINY, BLOCK: tl.constexpr):
    base = tl.program_id(0).to(tl.int64) * slots
    of_left = tl.zeros([BLOCK], tl.float32)
    of_right = tl.zeros([BLOCK], tl.float32)
    for start in range(0, slots, BLOCK):
        slot = start + tl.arange(0, BLOCK)
        mask = slot < slots
        chosen = tl.load(side + base + slot, mask=mask, other=0.0)
        left = tl.load(with_left + base + slot, mask=mask, other=0.0)
        both = tl.load(with_all + base + slot, mask=mask, other=0.0)
        of_left += chosen * left
        of_right += (1.0 - chosen) * (both - left)
    left_length = tl.sqrt(tl.maximum(tl.sum(of_left, axis=0), TINY))
    right_length = tl.sqrt(tl.maximum(tl.sum(of_right, axis=0), TINY))
    tl.store(lengths + 2 * tl.program_id(0), left_length)
    tl.store(lengths + 2 * tl.program_id(0) + 1, right_length)
    for start in range(0, slots, BLOCK):
        slot = start + tl.arange(0, BLOCK)
        mask = slot < slots
        left = tl.load(with_left + base + slot, mask=mask, other=0.0)
        both = tl.load(with_all + base + slot, mask=mask, other=0.0)
        value = left / left_length - (both - left) / right_length
        value += tl.load(bias + base + slot, mask=mask, other=0.0)
        tl.store(out + base + slot, value, mask=mask)


@triton.jit(do_not_specialize=["slots", "left", "tolerance", "most"])
def _halves_of_few(
    pairs, bias, start, sizes, out, slots, left, tolerance, most, TINY,
    POWER_STEPS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    node = tl.program_id(0).to(tl.int64)
    here, there = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)[None, :]
    products = tl.load(
        pairs + node * slots * slots + here * slots + there,
        mask=(here < slots) & (there < slots),
        other=0.0,
    )
    slot = tl.arange(0, BLOCK)
    mask = slot < slots
    forced = tl.load(bias + node * slots + slot, mask=mask, other=float("-inf"))
    leaning = tl.load(start + node * slots + slot, mask=mask, other=0.0)
    size = tl.load(sizes + node).to(tl.float32)
    with_all = tl.sum(products, axis=0)
    with_mean = with_all / tl.maximum(tl.sum(with_all, axis=0), TINY)
    for _ in range(POWER_STEPS):
        along = tl.sum(leaning * with_all, axis=0)
        leaning = tl.sum(products * leaning[:, None], axis=0) - along * with_mean
        length = tl.sqrt(tl.sum(leaning * leaning, axis=0))
        leaning = leaning / tl.maximum(length, 1e-12)
    side = tl.zeros([BLOCK], tl.float32)
    best = -1.0
    step = 0
    while step < most:
        value = leaning + forced
        mine, other = value[:, None], value[None, :]
        ahead = (other > mine) | ((other == mine) & (there < here))
        side = (tl.sum(ahead.to(tl.int32), axis=1) < left).to(tl.float32)
        with_left = tl.sum(products * side[:, None], axis=0)
        of_left = tl.sum(side * with_left, axis=0)
        of_right = tl.sum((1.0 - side) * (with_all - with_left), axis=0)
        left_length = tl.sqrt(tl.maximum(of_left, TINY))
        right_length = tl.sqrt(tl.maximum(of_right, TINY))
        leaning = with_left / left_length - (with_all - with_left) / right_length
        quality = (left_length + right_length) / size
        step = tl.where(quality - best < tolerance, most, step + 1)
        best = quality
    tl.store(out + node * slots + slot, side, mask=mask)


def power_step(
    product: torch.Tensor, axis: torch.Tensor, with_all: torch.Tensor, with_mean: torch.Tensor
) -> torch.Tensor:
    """As `dexa.kernels.power_step`."""
    nodes, _, slots = product.shape
    out = torch.empty_like(product)
    block = _BLOCKS[slots > _BLOCKS[0]]
    rest = (axis.contiguous(), with_all, with_mean, out, slots)
    _power_step[(nodes,)](product, *rest, BLOCK=block)
    return out


def leaning_of_halves(
    side: torch.Tensor, with_left: torch.Tensor, with_all: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `dexa.kernels.leaning_of_halves`."""
    nodes, _, slots = side.shape
    out, lengths = torch.empty_like(side), side.new_empty(nodes, 2, 1)
    block = _BLOCKS[slots > _BLOCKS[0]]
    rest = (bias.contiguous(), out, lengths, slots, 1e-24)
    _leaning[(nodes,)](side, with_left, with_all, *rest, BLOCK=block)
    return out, lengths


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
    """As `dexa.kernels.halves_of_few`."""
    nodes, _, slots = bias.shape
    out = torch.empty_like(bias)
    block = max(16, triton.next_power_of_2(slots))
    warps = {128: 8, 64: 4}.get(block, 1)
    _halves_of_few[(nodes,)](
        pairs, bias.contiguous(), start.contiguous(), sizes.contiguous(), out, slots, left,
        tolerance, max_iterations, 1e-24, POWER_STEPS=power_steps, BLOCK=block, num_warps=warps,
    )  # fmt: skip
    return out
