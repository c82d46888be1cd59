"""`halves` as Triton kernels: a program is one node."""

# pyright: basic, reportMissingImports=false, reportIndexIssue=false
from __future__ import annotations

import torch
import triton
import triton.language as tl

from dexa.kernels.halves import TINY, left_half

_BLOCKS = (64, 2048)  # slots at a time, of small nodes and of others: each is compiled once

_HELD = ((1024, 4), (4096, 16), (16384, 32))
"""Slots of a node that a program holds at most, and its warps: each is compiled once."""


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


@triton.jit(do_not_specialize=["slots", "left"])
def _next_half(
    side, with_left, with_all, bias, out, lengths, slots, left, TINY, BLOCK: tl.constexpr
):
    base = tl.program_id(0).to(tl.int64) * slots
    slot = tl.arange(0, BLOCK)
    mask = slot < slots
    chosen = tl.load(side + base + slot, mask=mask, other=0.0)
    of_one = tl.load(with_left + base + slot, mask=mask, other=0.0)
    of_both = tl.load(with_all + base + slot, mask=mask, other=0.0)
    left_sum = tl.sum(chosen * of_one, axis=0)
    right_sum = tl.sum((1.0 - chosen) * (of_both - of_one), axis=0)
    left_length = tl.sqrt(tl.maximum(left_sum, TINY))
    right_length = tl.sqrt(tl.maximum(right_sum, TINY))
    tl.store(lengths + 2 * tl.program_id(0), left_length)
    tl.store(lengths + 2 * tl.program_id(0) + 1, right_length)
    leaning = of_one / left_length - (of_both - of_one) / right_length
    leaning += tl.load(bias + base + slot, mask=mask, other=float("-inf"))
    # Whole numbers in the order of the values: those of negative ones run backwards.
    bits = leaning.to(tl.int32, bitcast=True)
    key = tl.where(mask, bits ^ ((bits >> 31) & 0x7FFFFFFF), -0x80000000)
    # The highest number that `left` keys reach, bit by bit.
    reached = tl.sum((key >= 0).to(tl.int32), axis=0)
    least = tl.where(reached >= left, 0, -0x80000000)
    for bit in range(31):
        more = least | (1 << (30 - bit))
        reached = tl.sum((key >= more).to(tl.int32), axis=0)
        least = tl.where(reached >= left, more, least)
    above = key > least
    equal = (key == least).to(tl.int32)
    room = left - tl.sum(above.to(tl.int32), axis=0)
    first = equal * (tl.cumsum(equal, axis=0) <= room).to(tl.int32)
    tl.store(out + base + slot, (above.to(tl.int32) + first).to(tl.float32), mask=mask)


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


def next_halves(
    side: torch.Tensor,
    with_left: torch.Tensor,
    with_all: torch.Tensor,
    bias: torch.Tensor,
    left: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `dexa.kernels.next_halves`; where slots are equal, the first go left."""
    nodes, _, slots = side.shape
    out, lengths = torch.empty_like(side), side.new_empty(nodes, 2, 1)
    bias = bias.contiguous()
    for block, warps in _HELD:
        if slots <= block:
            rest = (bias, out, lengths, slots, left, TINY)
            _next_half[(nodes,)](side, with_left, with_all, *rest, BLOCK=block, num_warps=warps)
            return out, lengths
    rest = (bias, out, lengths, slots, TINY)
    _leaning[(nodes,)](side, with_left, with_all, *rest, BLOCK=_BLOCKS[1])
    return left_half(out, left), lengths


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
        tolerance, max_iterations, TINY, POWER_STEPS=power_steps, BLOCK=block, num_warps=warps,
    )  # fmt: skip
    return out
