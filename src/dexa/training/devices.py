"""Device and precision of a run, chosen in one place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from dexa.errors import DeviceError


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a run may use.

    Attributes:
        device: as `choose_device` takes it.
        memory: GiB that documents and classifiers may take of a GPU; what does not fit stays in
            host memory. None for what is free.
    """

    device: str
    memory: float | None = None


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


@contextlib.contextmanager
def told_when_full() -> Iterator[None]:
    """Say what to do when a GPU's memory is full.

    Raises:
        DeviceError: it is.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            "the memory of the GPU is full",
            do="set encoder_stage.texts_at_once=2000 for large batches, classifier_stage.moments="
            "bfloat16 or --device-memory for many labels, or take --device cpu",
        ) from error


@contextlib.contextmanager
def tensor_cores(device: torch.device) -> Iterator[None]:
    """float32 products by a GPU's tensor cores, from factors of ten bits (TF32)."""
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Which arrays of the classifier stage stay in host memory, from where rows come by batch."""

    documents_on_host: bool
    classifiers_on_host: bool

    def told(self) -> str:
        """The same in words."""
        names = {"documents": self.documents_on_host, "classifiers": self.classifiers_on_host}
        return " and ".join(name for name, there in names.items() if there) + " stay in host memory"


def place(
    device: torch.device, memory: float | None, documents: int, classifiers: int
) -> Placement:
    """What fits into the memory of a device.

    Documents leave it first: their rows are only read.

    Args:
        device: a CPU needs no moving.
        memory: GiB that may be used; None for nine tenths of what is free.
        documents: bytes of their vectors.
        classifiers: bytes of weights, moments and label embeddings.
    """
    if device.type != "cuda":
        return Placement(documents_on_host=False, classifiers_on_host=False)
    if memory is None:
        # what this process has cached and not in use is free as well
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        room = 0.9 * (torch.cuda.mem_get_info(device)[0] + cached)
    else:
        room = memory * 2**30
    classifiers_on_host = classifiers > room
    left = room if classifiers_on_host else room - classifiers
    return Placement(documents_on_host=documents > left, classifiers_on_host=classifiers_on_host)
