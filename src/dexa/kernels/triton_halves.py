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
def _leaning(side, with_left, with_all, out, lengths, slots, TINY, BLOCK: tl.constexpr):
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
        tl.store(out + base + slot, value, mask=mask)


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
    side: torch.Tensor, with_left: torch.Tensor, with_all: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `dexa.kernels.leaning_of_halves`."""
    nodes, _, slots = side.shape
    out, lengths = torch.empty_like(side), side.new_empty(nodes, 2, 1)
    block = _BLOCKS[slots > _BLOCKS[0]]
    _leaning[(nodes,)](side, with_left, with_all, out, lengths, slots, 1e-24, BLOCK=block)
    return out, lengths
