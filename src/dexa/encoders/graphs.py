"""CUDA graphs of a transformer's training step, one for each number of rows.

A small transformer on short texts is bound by the launches of its kernels: on an H100, 45 ms a
step of which the card works 15. Replaying a recorded graph launches all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

ROWS = 64
"""Rows of a batch are filled up to a multiple of this, so that few graphs are recorded."""


class _Trunk(nn.Module):
    """The trunk as a function of tensors alone, as a graph needs it."""

    def __init__(self, trunk: Any, masks: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.trunk, self.masks = trunk, masks

    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, texts: torch.Tensor
    ) -> torch.Tensor:
        return self.trunk(
            input_ids=ids, position_ids=positions, attention_mask=self.masks(texts)
        ).last_hidden_state


class GraphedTrunk:
    """Last hidden states ``[R, W, D]`` of packed rows, recorded while it trains on a GPU.

    Args:
        trunk: a Hugging Face encoder.
        masks: which token sees which, from the text of each token ``[R, W]``.
    """

    def __init__(self, trunk: Any, masks: Callable[[torch.Tensor], Any]) -> None:
        self._eager = _Trunk(trunk, masks)
        self._graphs: dict[tuple[int, ...], Callable[..., torch.Tensor]] = {}

    def __call__(
        self, ids: torch.Tensor, positions: torch.Tensor, texts: torch.Tensor
    ) -> torch.Tensor:
        """Hidden states for ids, positions and texts of `PackedRows`, each ``[R, W]``."""
        if not (ids.is_cuda and torch.is_grad_enabled() and self._eager.trunk.training):
            return self._eager(ids, positions, texts)
        shape = tuple(ids.shape)
        if shape not in self._graphs:
            self._graphs[shape] = _record(self._eager, ids, positions, texts)
        return self._graphs[shape](ids, positions, texts)


def _record(eager: _Trunk, *sample: torch.Tensor) -> Callable[..., torch.Tensor]:
    """A graph of the forward and backward pass for inputs of these shapes."""
    # Autocast keeps half-precision copies of weights; a graph must make its own at each replay.
    enabled = torch.is_autocast_enabled("cuda")
    with torch.autocast("cuda", torch.bfloat16, enabled=enabled, cache_enabled=False):
        inner = _Trunk(eager.trunk, eager.masks).train()
        samples = tuple(t.clone() for t in sample)
        graphed = torch.cuda.make_graphed_callables(inner, samples, allow_unused_input=True)
        return cast("_Trunk", graphed)
