"""What a transformer's layer does between its matrix products, and pooling."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from dexa.kernels.device import on_triton


def add_norm(
    branch: torch.Tensor,
    bias: torch.Tensor,
    residual: torch.Tensor,
    weight: torch.Tensor,
    shift: torch.Tensor,
    epsilon: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Layer norm of ``residual + branch + bias``.

    Args:
        branch: ``[T, D]``.
        bias: ``[D]``, of the product that made the branch.
        residual: ``[T, D]``.
        weight: ``[D]``.
        shift: ``[D]``.
        epsilon: added to the variance.

    Returns:
        The norm and the sum, ``[T, D]`` both, in the type of the branch.
    """
    if on_triton(branch):
        from dexa.kernels import triton_layers

        return triton_layers.add_norm(branch, bias, residual, weight, shift, epsilon)
    total = residual + branch + bias.to(branch.dtype)
    wide = total.to(weight.dtype)
    return F.layer_norm(wide, wide.shape[1:], weight, shift, epsilon).to(total.dtype), total


def add_norm_gradient(
    gradient: torch.Tensor, total: torch.Tensor, weight: torch.Tensor, epsilon: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient of the sum, and those of weight, shift and bias.

    Args:
        gradient: of the norm, ``[T, D]``.
        total: the sum that `add_norm` returned, ``[T, D]``.
        weight: ``[D]``.
        epsilon: as there.

    Returns:
        ``[T, D]``, which branch and residual share, and ``[3, D]``.
    """
    if on_triton(gradient):
        from dexa.kernels import triton_layers

        return triton_layers.add_norm_gradient(gradient, total, weight, epsilon)
    wide, of_norm = total.to(weight.dtype), gradient.to(weight.dtype)
    scale = (wide.var(dim=1, keepdim=True, unbiased=False) + epsilon).rsqrt()
    unit = (wide - wide.mean(dim=1, keepdim=True)) * scale
    of_unit = of_norm * weight
    along = unit * (of_unit * unit).mean(dim=1, keepdim=True)
    of_total = scale * (of_unit - of_unit.mean(dim=1, keepdim=True) - along)
    sums = torch.stack([(of_norm * unit).sum(dim=0), of_norm.sum(dim=0), of_total.sum(dim=0)])
    return of_total.to(gradient.dtype), sums


def gelu(before: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """``x Φ(x)`` of ``x = before + bias``, ``[T, F]`` and ``[F]``."""
    if on_triton(before):
        from dexa.kernels import triton_layers

        return triton_layers.gelu(before, bias)
    return F.gelu(before + bias.to(before.dtype))


def gelu_gradient(
    gradient: torch.Tensor, before: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of `before` ``[T, F]`` and of the bias ``[F]``."""
    if on_triton(gradient):
        from dexa.kernels import triton_layers

        return triton_layers.gelu_gradient(gradient, before, bias)
    of_before = torch.ops.aten.gelu_backward(gradient, before + bias.to(before.dtype))
    return of_before, of_before.sum(dim=0, dtype=bias.dtype)


def mean_of_texts(
    hidden: torch.Tensor, texts: torch.Tensor, starts: torch.Tensor, counts: torch.Tensor
) -> torch.Tensor:
    """The mean over the tokens of each text; an empty text has zeros.

    Args:
        hidden: ``[T, D]``.
        texts: int32 ``[T]``, the text of each token; -1 for none.
        starts: int64 ``[B]``, where the tokens of a text lie.
        counts: int64 ``[B]``, how many they are.

    Returns:
        float32 ``[B, D]``.
    """
    if on_triton(hidden):
        from dexa.kernels import triton_layers

        return triton_layers.mean_of_texts(hidden, starts, counts)
    sums = hidden.new_zeros(len(counts) + 1, hidden.shape[1], dtype=torch.float32)
    sums = sums.index_add(0, _owners(texts, len(counts)), hidden.float())[:-1]
    return sums / counts.clamp(min=1)[:, None]


def mean_of_texts_gradient(
    gradient: torch.Tensor, texts: torch.Tensor, counts: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    """Gradient of the hidden vectors ``[T, D]`` in a type, given that of the means ``[B, D]``."""
    if on_triton(gradient):
        from dexa.kernels import triton_layers

        return triton_layers.mean_of_texts_gradient(gradient, texts, counts, dtype)
    shares = F.pad(gradient / counts.clamp(min=1)[:, None], (0, 0, 0, 1))
    return shares.index_select(0, _owners(texts, len(gradient))).to(dtype)


def _owners(texts: torch.Tensor, count: int) -> torch.Tensor:
    """The text of each token, or a row behind them all."""
    return torch.where(texts < 0, count, texts)
