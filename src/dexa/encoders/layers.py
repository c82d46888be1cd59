"""The weights of a BERT layer, by what they do, whatever a family calls them."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch


class Layer(NamedTuple):
    """The weights of a layer; products are ``x @ weight.T + bias``."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    query_bias: torch.Tensor
    key_bias: torch.Tensor
    value_bias: torch.Tensor
    out: torch.Tensor
    out_bias: torch.Tensor
    norm: torch.Tensor
    norm_shift: torch.Tensor
    up: torch.Tensor
    up_bias: torch.Tensor
    down: torch.Tensor
    down_bias: torch.Tensor
    last_norm: torch.Tensor
    last_shift: torch.Tensor


def bert_layer(layer: Any) -> Layer:
    """The weights of a layer of BERT, RoBERTa or XLM-R."""
    own, mixed = layer.attention.self, layer.attention.output
    up, down = layer.intermediate.dense, layer.output
    return Layer(
        *(own.query.weight, own.key.weight, own.value.weight),
        *(own.query.bias, own.key.bias, own.value.bias),
        *(mixed.dense.weight, mixed.dense.bias, mixed.LayerNorm.weight, mixed.LayerNorm.bias),
        *(up.weight, up.bias, down.dense.weight, down.dense.bias),
        *(down.LayerNorm.weight, down.LayerNorm.bias),
    )


def distilbert_layer(layer: Any) -> Layer:
    """The weights of a layer of DistilBERT."""
    own, dense = layer.attention, layer.ffn
    return Layer(
        *(own.q_lin.weight, own.k_lin.weight, own.v_lin.weight),
        *(own.q_lin.bias, own.k_lin.bias, own.v_lin.bias),
        *(own.out_lin.weight, own.out_lin.bias),
        *(layer.sa_layer_norm.weight, layer.sa_layer_norm.bias),
        *(dense.lin1.weight, dense.lin1.bias, dense.lin2.weight, dense.lin2.bias),
        *(layer.output_layer_norm.weight, layer.output_layer_norm.bias),
    )
