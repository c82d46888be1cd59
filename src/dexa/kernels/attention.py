"""Attention of short texts: every text sees itself, several texts share a tile.

Texts lie end to end. A group is a run of whole texts of at most `width` tokens, and the tile of one
group and one head is ``[width, width]``, whatever the lengths of its texts: for titles of 7 tokens
that is a ninth of what a tile of 128 for each text would cost, and nothing is padded outside it.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from dexa.kernels.device import on_triton

_NEVER = -1e9  # a score no token gives attention to; finite, so that an empty row is no NaN


def attention(
    qkv: torch.Tensor, texts: torch.Tensor, edges: torch.Tensor, width: int
) -> torch.Tensor:
    """Values of the tokens of its own text, weighted by a softmax of scaled inner products.

    Args:
        qkv: queries, keys and values of T tokens, ``[T, 3, H, d]``.
        texts: int32 ``[T]``, the text of each token.
        edges: int32 ``[G + 1]``; group g is tokens ``edges[g]`` up to ``edges[g + 1]``.
        width: tokens of a group at most.

    Returns:
        ``[T, H · d]``.
    """
    if on_triton(qkv):
        from dexa.kernels import triton_attention

        return triton_attention.attention(qkv, texts, edges, width)
    places, real, mask = _tiles(texts, edges, width)
    query, key, value = qkv[places].permute(2, 0, 3, 1, 4)  # [G, H, width, d] each
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    out = qkv.new_empty(len(qkv), qkv.shape[2] * qkv.shape[3])
    out[places[real]] = mixed.transpose(1, 2).flatten(2)[real]
    return out


def attention_gradient(
    qkv: torch.Tensor,
    gradient: torch.Tensor,
    texts: torch.Tensor,
    edges: torch.Tensor,
    width: int,
) -> torch.Tensor:
    """Gradient ``[T, 3, H, d]`` of `qkv`, given that of what `attention` returns ``[T, H · d]``."""
    if on_triton(qkv):
        from dexa.kernels import triton_attention

        return triton_attention.attention_gradient(qkv, gradient, texts, edges, width)
    places, real, mask = _tiles(texts, edges, width)
    query, key, value = qkv[places].permute(2, 0, 3, 1, 4)
    mixed = (gradient[places] * real[..., None]).unflatten(2, qkv.shape[2:]).transpose(1, 2)
    scale = qkv.shape[3] ** -0.5
    weights = (query @ key.mT * scale + torch.where(mask, 0.0, _NEVER)).softmax(dim=3).to(qkv.dtype)
    of_weights = mixed @ value.mT
    of_scores = weights * (of_weights - (of_weights * weights).sum(dim=3, keepdim=True)) * scale
    parts = torch.stack([of_scores @ key, of_scores.mT @ query, weights.mT @ mixed])
    out = torch.empty_like(qkv)
    out[places[real]] = parts.permute(1, 3, 0, 2, 4)[real]
    return out


def _tiles(
    texts: torch.Tensor, edges: torch.Tensor, width: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token of each place of a tile and whether it is real ``[G, width]``, and who sees whom."""
    starts, sizes = edges[:-1, None], edges.diff()[:, None]
    if texts.device.type == "cpu":  # a lone text is far shorter; a GPU would have to be asked
        width = min(width, max(1, int(sizes.max())))
    slots = torch.arange(width, device=texts.device)
    real = slots < sizes
    places = (starts + slots * real).clamp(max=len(texts) - 1).long()
    owners = texts[places]
    mask = (owners[:, None, :, None] == owners[:, None, None, :]) & real[:, None, None, :]
    return places, real, mask | ~real[:, None, :, None]
