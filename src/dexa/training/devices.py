"""Device and precision of a run, chosen in one place."""

from __future__ import annotations

import contextlib

import torch

from dexa.errors import DeviceError


def choose_device(name: str) -> torch.device:
    """The device called ``auto``, ``cpu`` or ``cuda`` (also ``cuda:1``).

    Raises:
        DeviceError: there is no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device {name!r}", expected="auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r}", expected="auto, cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"device {name!r}, but {torch.cuda.device_count()} CUDA devices on this machine",
            do="use --device cpu",
        )
    return device


def precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """bf16 autocast on a GPU, float32 on a CPU."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return contextlib.nullcontext()
