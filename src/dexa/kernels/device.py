"""Whether a tensor's work is done by Triton."""

from __future__ import annotations

import functools
import importlib.util

import torch


@functools.cache
def _triton_is_installed() -> bool:
    return importlib.util.find_spec("triton") is not None


def on_triton(tensor: torch.Tensor) -> bool:
    """Whether there is a Triton for the tensor's device."""
    return tensor.is_cuda and _triton_is_installed()
