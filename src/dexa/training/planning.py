"""What the batches of an epoch need, made for some dozens of them at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.kernels import send

_BATCHES_AT_ONCE = 64

_Plan = TypeVar("_Plan")


class Planned(Generic[_Plan]):
    """The plan of the batches that are being trained on.

    Args:
        batch_size: rows of a batch; the last of an epoch may have fewer.
        device: of the plans.
    """

    def __init__(self, batch_size: int, device: torch.device) -> None:
        self._batch_size, self._device = batch_size, device
        self._made: tuple[int, int, _Plan] | None = None

    def of(
        self,
        epoch: int,
        step: int,
        order: NDArray[np.int64],
        make: Callable[[int, torch.Tensor], _Plan],
    ) -> tuple[_Plan, int]:
        """The plan in which a step of an epoch lies, and its number there.

        Args:
            epoch: of which `order` is.
            step: of the epoch.
            order: all rows of the epoch, ``[..., n]``.
            make: the plan, from the epoch and some of the rows on the device; always the same.
                It is not kept, so that who has it is freed in time.
        """
        block, batch = divmod(step, _BATCHES_AT_ONCE)
        if self._made is None or self._made[:2] != (epoch, block):
            size = _BATCHES_AT_ONCE * self._batch_size
            some = np.ascontiguousarray(order[..., block * size : (block + 1) * size])
            self._made = (epoch, block, make(epoch, send(some, self._device)))
        return self._made[2], batch
