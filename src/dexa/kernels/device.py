"""Whether a tensor's work is done by Triton, and the way of host arrays to the device."""

from __future__ import annotations

import functools
import importlib.util

import numpy as np
import torch
from numpy.typing import NDArray


@functools.cache
def _triton_is_installed() -> bool:
    return importlib.util.find_spec("triton") is not None


def on_triton(tensor: torch.Tensor) -> bool:
    """Whether there is a Triton for the tensor's device."""
    return tensor.is_cuda and _triton_is_installed()


def send(values: NDArray[np.generic], device: torch.device) -> torch.Tensor:
    """A host array on the device, without waiting for the copy."""
    tensor = torch.from_numpy(values)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
