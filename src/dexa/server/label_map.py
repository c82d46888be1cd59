"""The labels near a text in two dimensions: the plane in which their vectors differ most."""

from __future__ import annotations

import torch

_CLEAR = 1e-6  # below it an axis has no width


def drawn(text: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Where a text and labels near it lie in the plane of the labels' first two components.

    Args:
        text: unit vector ``[D]``.
        labels: unit vectors ``[K, D]``.

    Returns:
        float32 ``[K + 1, 2]``, the text first; each axis is stretched to run from -1 to 1. Its sign
        is such that the nearest label lies to the right and above, so that a text has one map.
    """
    points = torch.cat([text[None], labels]).double()
    flat = torch.zeros(len(points), 2, dtype=torch.float64)
    if len(labels):
        centred = points - labels.double().mean(dim=0)
        _, _, axes = torch.linalg.svd(centred[1:], full_matrices=False)
        found = centred @ axes[:2].T
        flat[:, : found.shape[1]] = found
        flat *= torch.where(flat[1] < 0, -1.0, 1.0)
    low, high = flat.amin(dim=0), flat.amax(dim=0)
    wide = high - low
    stretched = (flat - low) / wide.clamp(min=_CLEAR) * 2 - 1
    return torch.where(wide > _CLEAR, stretched, 0.0).float()
