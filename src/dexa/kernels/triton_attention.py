"""`attention` as Triton kernels: a program is one group and one head."""

# pyright: basic, reportMissingImports=false, reportIndexIssue=false
from __future__ import annotations

import torch
import triton
import triton.language as tl


@triton.jit
def _tile(qkv, texts, edges, row_stride, DIM: tl.constexpr, WIDTH: tl.constexpr):
    """Where the tokens of this group and head lie, which are real, and who sees whom."""
    group, head = tl.program_id(0), tl.program_id(1)
    start = tl.load(edges + group)
    size = tl.load(edges + group + 1) - start
    slots = tl.arange(0, WIDTH)
    real = slots < size
    tokens = start + slots
    owners = tl.load(texts + tokens, mask=real, other=-2)
    seen = (owners[:, None] == owners[None, :]) & real[:, None] & real[None, :]
    columns = head * DIM + tl.arange(0, DIM)
    places = tokens.to(tl.int64)[:, None] * row_stride + columns[None, :]
    return places, real, seen, size


@triton.jit
def _weights(query, key, seen, scale, PRECISION: tl.constexpr):
    scores = tl.dot(query, tl.trans(key), input_precision=PRECISION) * scale
    scores = tl.where(seen, scores, -1e9)
    scores = tl.exp(scores - tl.max(scores, axis=1)[:, None])
    scores = tl.where(seen, scores, 0.0)
    return scores / tl.maximum(tl.sum(scores, axis=1), 1e-30)[:, None]


@triton.jit
def _forward(
    qkv, texts, edges, out, scale,
    HEADS: tl.constexpr, DIM: tl.constexpr, WIDTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    ALL: tl.constexpr = HEADS * DIM
    places, real, seen, size = _tile(qkv, texts, edges, 3 * ALL, DIM, WIDTH)
    if size > 0:
        mask = real[:, None]
        query = tl.load(qkv + places, mask=mask, other=0.0)
        key = tl.load(qkv + ALL + places, mask=mask, other=0.0)
        value = tl.load(qkv + 2 * ALL + places, mask=mask, other=0.0)
        weights = _weights(query, key, seen, scale, PRECISION)
        mixed = tl.dot(weights.to(value.dtype), value, input_precision=PRECISION)
        places, real, seen, size = _tile(qkv, texts, edges, ALL, DIM, WIDTH)
        tl.store(out + places, mixed.to(value.dtype), mask=mask)


@triton.jit
def _backward(
    qkv, gradient, texts, edges, out, scale,
    HEADS: tl.constexpr, DIM: tl.constexpr, WIDTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    ALL: tl.constexpr = HEADS * DIM
    places, real, seen, size = _tile(qkv, texts, edges, ALL, DIM, WIDTH)
    if size > 0:
        mask = real[:, None]
        of_mixed = tl.load(gradient + places, mask=mask, other=0.0)
        places, real, seen, size = _tile(qkv, texts, edges, 3 * ALL, DIM, WIDTH)
        query = tl.load(qkv + places, mask=mask, other=0.0)
        key = tl.load(qkv + ALL + places, mask=mask, other=0.0)
        value = tl.load(qkv + 2 * ALL + places, mask=mask, other=0.0)
        kind = value.dtype
        weights = _weights(query, key, seen, scale, PRECISION)
        of_value = tl.dot(tl.trans(weights.to(kind)), of_mixed, input_precision=PRECISION)
        tl.store(out + 2 * ALL + places, of_value.to(kind), mask=mask)
        of_weights = tl.dot(of_mixed, tl.trans(value), input_precision=PRECISION)
        inner = tl.sum(of_weights * weights, axis=1)[:, None]
        of_scores = (weights * (of_weights - inner) * scale).to(kind)
        of_query = tl.dot(of_scores, key, input_precision=PRECISION)
        tl.store(out + places, of_query.to(kind), mask=mask)
        of_key = tl.dot(tl.trans(of_scores), query, input_precision=PRECISION)
        tl.store(out + ALL + places, of_key.to(kind), mask=mask)


def attention(
    qkv: torch.Tensor, texts: torch.Tensor, edges: torch.Tensor, width: int
) -> torch.Tensor:
    """As `dexa.kernels.attention`."""
    out = qkv.new_empty(len(qkv), qkv.shape[2] * qkv.shape[3])
    _launch(_forward, (qkv, texts, edges, out), qkv, edges, width)
    return out


def attention_gradient(
    qkv: torch.Tensor,
    gradient: torch.Tensor,
    texts: torch.Tensor,
    edges: torch.Tensor,
    width: int,
) -> torch.Tensor:
    """As `dexa.kernels.attention_gradient`."""
    out = torch.empty_like(qkv)
    _launch(_backward, (qkv, gradient.contiguous(), texts, edges, out), qkv, edges, width)
    return out


def _launch(
    kernel: object, tensors: tuple[torch.Tensor, ...], qkv: torch.Tensor, edges: torch.Tensor,
    width: int,
) -> None:  # fmt: skip
    assert qkv.is_contiguous()
    _, _, heads, dimension = qkv.shape
    kernel[(len(edges) - 1, heads)](
        *tensors,
        dimension**-0.5,
        HEADS=heads,
        DIM=dimension,
        WIDTH=width,
        PRECISION="ieee" if qkv.dtype == torch.float32 else "tf32",
        num_warps=4 if width <= 64 else 8,
    )
