"""Which token sees which, where several texts share a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Mask = torch.Tensor | dict[str, torch.Tensor]


def _full(texts: torch.Tensor, config: Any) -> torch.Tensor:
    """A token sees the tokens of its own text: bool ``[R, 1, W, W]`` for texts ``[R, W]``."""
    return texts[:, None, :, None] == texts[:, None, None, :]


def _modernbert(texts: torch.Tensor, config: Any) -> Mask:
    """Of its two kinds of layers, one sees only the neighbourhood of a token."""
    mask = _full(texts, config)
    places = torch.arange(mask.shape[-1], device=mask.device)
    near = (places[:, None] - places[None, :]).abs() <= config.sliding_window
    return {"full_attention": mask, "sliding_attention": mask & near}


# Families whose attention is told by a mask and positions alone, so that texts can share a row.
PACKABLE: dict[str, Callable[[torch.Tensor, Any], Mask]] = {
    "bert": _full,
    "roberta": _full,
    "xlm-roberta": _full,
    "distilbert": _full,
    "modernbert": _modernbert,
}
