"""The BERT layer, forward and backward, on texts that lie end to end.

BERT, RoBERTa and DistilBERT differ in the names of their weights alone: attention, then two dense
layers with a GELU between, a layer norm behind each. Hugging Face's modules compute them on padded
rows, by some forty operations a layer that read and write all tokens in float32 under autocast,
and twice as many for the gradient. Here it is a dozen and a score, in the type of the products.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from dexa.encoders.layers import Layer, bert_layer, distilbert_layer
from dexa.kernels import (
    add_norm,
    add_norm_gradient,
    attention,
    attention_gradient,
    gelu,
    gelu_gradient,
    mean_of_texts,
    mean_of_texts_gradient,
)
from dexa.tokens import TokenGroups

WIDEST = 128
"""Tokens of the longest text: the attention weights of a group lie in registers."""


def is_post_norm(config: Any) -> bool:
    """Whether `post_norm` computes what a Hugging Face encoder of this configuration does.

    Its dropout probabilities are taken to be 0.
    """
    fits = config.hidden_size // config.num_attention_heads in (16, 32, 64, 128)
    if config.model_type == "distilbert":
        return fits and config.activation == "gelu" and not config.sinusoidal_pos_embds
    known = config.model_type in ("bert", "roberta", "xlm-roberta") and not config.is_decoder
    return fits and known and config.hidden_act == "gelu"


def post_norm(trunk: Any, pooling: str, groups: TokenGroups) -> torch.Tensor:
    """Pooled vectors, float32 ``[B, D]``, of texts in the order of `TokenGroups.starts`.

    Args:
        trunk: a Hugging Face encoder for which `is_post_norm` holds.
        pooling: ``mean`` or ``cls``.
        groups: of texts of at most `WIDEST` tokens.
    """
    embeddings, config = trunk.embeddings, trunk.config
    if config.model_type == "distilbert":
        kinds = None
        layers = [distilbert_layer(layer) for layer in trunk.transformer.layer]
    else:
        kinds = embeddings.token_type_embeddings.weight
        layers = [bert_layer(layer) for layer in trunk.encoder.layer]
    plan = _Plan(
        groups=groups,
        pooling=pooling,
        heads=config.num_attention_heads,
        epsilon=embeddings.LayerNorm.eps,
        differentiable=torch.is_grad_enabled(),
    )
    return _Trunk.apply(
        plan,
        embeddings.word_embeddings.weight,
        embeddings.position_embeddings.weight,
        kinds,
        embeddings.LayerNorm.weight,
        embeddings.LayerNorm.bias,
        *(parameter for layer in layers for parameter in layer),
    )


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What the trunk needs beside its weights."""

    groups: TokenGroups
    pooling: str
    heads: int
    epsilon: float
    differentiable: bool


class _Cast(NamedTuple):
    """The matrices of a layer in the type of the products, those of attention as one."""

    qkv: torch.Tensor
    qkv_bias: torch.Tensor
    out: torch.Tensor
    up: torch.Tensor
    down: torch.Tensor


class _Kept(NamedTuple):
    """What the gradient of a layer needs of its forward pass."""

    before: torch.Tensor
    qkv: torch.Tensor
    mixed: torch.Tensor
    total: torch.Tensor
    middle: torch.Tensor
    before_gelu: torch.Tensor
    after_gelu: torch.Tensor
    last_total: torch.Tensor


class _Trunk(torch.autograd.Function):
    """Embeddings, layers and pooling, with the gradients of all weights."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, *weights: torch.Tensor | None) -> torch.Tensor:
        word, position, kind, norm, shift = weights[:5]
        assert word is not None
        assert position is not None
        assert norm is not None
        assert shift is not None
        layers = _layers(weights[5:])
        kind_of_device = word.device.type
        dtype = word.dtype
        if torch.is_autocast_enabled(kind_of_device):
            dtype = torch.get_autocast_dtype(kind_of_device)
        with torch.autocast(kind_of_device, enabled=False):
            casts = _casts(layers, dtype)
            hidden, total = add_norm(
                word.index_select(0, plan.groups.ids).to(dtype),
                word.new_zeros(word.shape[1]) if kind is None else kind[0],
                position.index_select(0, plan.groups.positions).to(dtype),
                norm,
                shift,
                plan.epsilon,
            )
            ctx.kept = []
            for layer, cast in zip(layers, casts, strict=True):
                hidden, kept = _forward(hidden, layer, cast, plan)
                if plan.differentiable:
                    ctx.kept.append(kept)
            ctx.plan, ctx.casts, ctx.total = plan, casts, total
            ctx.save_for_backward(*weights)
            return _pooled(hidden, plan)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        word, position, kind, norm, _ = ctx.saved_tensors[:5]
        layers = _layers(ctx.saved_tensors[5:])
        plan, total = ctx.plan, ctx.total
        with torch.autocast(word.device.type, enabled=False):
            gradient = _pooled_gradient(gradients[0], plan, total.dtype)
            found: list[torch.Tensor] = []
            for layer, cast in zip(reversed(layers), reversed(ctx.casts), strict=True):
                gradient, of_layer = _backward(gradient, layer, cast, ctx.kept.pop(), plan)
                found = [*of_layer, *found]
            gradient, sums = add_norm_gradient(gradient, total, norm, plan.epsilon)
            wide = gradient.to(word.dtype)
            # atomic sums: the gradient of an embedding would sort the ids first
            of_word = torch.zeros_like(word).index_add_(0, plan.groups.ids, wide)
            of_position = torch.zeros_like(position).index_add_(0, plan.groups.positions, wide)
            of_kind = None
            if kind is not None:
                of_kind = torch.zeros_like(kind)
                of_kind[0] = sums[2]
        return (None, of_word, of_position, of_kind, sums[0], sums[1], *found)


def _layers(weights: tuple[Any, ...]) -> list[Layer]:
    count = len(Layer._fields)
    return [Layer(*weights[i : i + count]) for i in range(0, len(weights), count)]


def _casts(layers: list[Layer], dtype: torch.dtype) -> list[_Cast]:
    """The matrices of all layers in another type, by one kernel."""
    casts, targets, sources = [], [], []
    for layer in layers:
        qkv = layer.query.new_empty(3 * len(layer.query), layer.query.shape[1], dtype=dtype)
        bias = layer.query.new_empty(len(qkv), dtype=dtype)
        targets += [*qkv.chunk(3), *bias.chunk(3)]
        sources += layer[:6]
        dense = [layer.out, layer.up, layer.down]
        if dtype != layer.query.dtype:
            sources += dense
            dense = [torch.empty_like(matrix, dtype=dtype) for matrix in dense]
            targets += dense
        casts.append(_Cast(qkv, bias, *dense))
    torch._foreach_copy_(targets, sources)
    return casts


def _forward(
    before: torch.Tensor, layer: Layer, cast: _Cast, plan: _Plan
) -> tuple[torch.Tensor, _Kept]:
    qkv = F.linear(before, cast.qkv, cast.qkv_bias).view(len(before), 3, plan.heads, -1)
    groups = plan.groups
    mixed = attention(qkv, groups.texts, groups.edges, groups.width)
    middle, total = add_norm(
        mixed @ cast.out.T, layer.out_bias, before, layer.norm, layer.norm_shift, plan.epsilon
    )
    before_gelu = middle @ cast.up.T
    after_gelu = gelu(before_gelu, layer.up_bias)
    after, last_total = add_norm(
        after_gelu @ cast.down.T,
        layer.down_bias,
        middle,
        layer.last_norm,
        layer.last_shift,
        plan.epsilon,
    )
    return after, _Kept(before, qkv, mixed, total, middle, before_gelu, after_gelu, last_total)


def _backward(
    gradient: torch.Tensor, layer: Layer, cast: _Cast, kept: _Kept, plan: _Plan
) -> tuple[torch.Tensor, Layer]:
    """Gradients of what came in and of the weights."""
    of_last, last = add_norm_gradient(gradient, kept.last_total, layer.last_norm, plan.epsilon)
    of_gelu, up_bias = gelu_gradient(of_last @ cast.down, kept.before_gelu, layer.up_bias)
    of_middle = torch.addmm(of_last, of_gelu, cast.up)
    of_total, first = add_norm_gradient(of_middle, kept.total, layer.norm, plan.epsilon)
    groups = plan.groups
    of_qkv = attention_gradient(
        kept.qkv, of_total @ cast.out, groups.texts, groups.edges, groups.width
    ).view(len(gradient), -1)
    query, key, value = _of_weight(of_qkv, kept.before, layer.query).chunk(3)
    biases = of_qkv.sum(dim=0, dtype=layer.query.dtype).chunk(3)
    return torch.addmm(of_total, of_qkv, cast.qkv), Layer(
        *(query, key, value, biases[0], biases[1], biases[2]),
        *(_of_weight(of_total, kept.mixed, layer.out), first[2], first[0], first[1]),
        *(_of_weight(of_gelu, kept.middle, layer.up), up_bias),
        *(_of_weight(of_last, kept.after_gelu, layer.down), last[2], last[0], last[1]),
    )


def _of_weight(gradient: torch.Tensor, inputs: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """``gradient.T @ inputs`` in the type of the weight, without rounding to that of the inputs."""
    if gradient.dtype == like.dtype:
        return gradient.T @ inputs
    if gradient.is_cuda:
        return torch.mm(gradient.T, inputs, out_dtype=like.dtype)
    return (gradient.T @ inputs).to(like.dtype)


def _pooled(hidden: torch.Tensor, plan: _Plan) -> torch.Tensor:
    groups = plan.groups
    if plan.pooling == "mean":
        return mean_of_texts(hidden, groups.texts, groups.starts, groups.counts)
    return first_of_texts(hidden, groups)


def _pooled_gradient(gradient: torch.Tensor, plan: _Plan, dtype: torch.dtype) -> torch.Tensor:
    groups = plan.groups
    if plan.pooling == "mean":
        return mean_of_texts_gradient(gradient, groups.texts, groups.counts, dtype)
    of_hidden = gradient.new_zeros(len(groups.ids), gradient.shape[1], dtype=dtype)
    gradient = gradient * (groups.counts > 0)[:, None]
    return of_hidden.index_add_(0, _firsts(groups), gradient.to(dtype))


def first_of_texts(hidden: torch.Tensor, groups: TokenGroups) -> torch.Tensor:
    """The first token of each text, float32 ``[B, D]``; an empty text has zeros."""
    return hidden.index_select(0, _firsts(groups)).float() * (groups.counts > 0)[:, None]


def _firsts(groups: TokenGroups) -> torch.Tensor:
    return groups.starts.clamp(max=len(groups.ids) - 1)
