"""The labels near a text in two dimensions: the plane in which their vectors differ most."""

from __future__ import annotations

import torch

_CLEAR = 1e-6  # below it all vectors are one


def drawn(text: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Where a text and labels near it lie in the plane of their first two principal components.

    Args:
        text: unit vector ``[D]``.
        labels: unit vectors ``[K, D]``.

    Returns:
        float32 ``[K + 1, 2]``, the text first; the farther axis runs to 1. The signs of the axes
        are such that the first label lies to the right and above, so that a text has one map.
    """
    points = torch.cat([text[None], labels]).double()
    centred = points - points[1:].mean(dim=0) if len(labels) else points - points
    _, _, axes = torch.linalg.svd(centred[1:], full_matrices=False)
    flat = torch.zeros(len(points), 2, dtype=torch.float64)
    found = centred @ axes[:2].T
    flat[:, : found.shape[1]] = found
    if len(labels):
        flat *= torch.where(flat[1] < 0, -1.0, 1.0)
    farthest = flat.abs().amax()
    return (flat / farthest.clamp(min=_CLEAR)).float()
