"""Steps recorded as CUDA graphs.

A step of a small encoder on short texts launches hundreds of kernels, which takes longer than they
run. A graph launches them all at once.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any, cast

import torch

from dexa.kernels import on_triton

_SEEN_BEFORE = 2
"""A shape is recorded when it comes for the third time: recording takes longer than a step, so a
short run is better off without."""


class Recorded:
    """A step as a function of its inputs, recorded on a GPU for each shape of them.

    All else that the step reads or writes must stay where it is: weights, moments, memory, rates.
    It must leave no gradient behind.

    Args:
        device: where it runs; only a GPU with Triton records.
        enabled: whether to record there.
    """

    def __init__(self, device: torch.device, *, enabled: bool) -> None:
        self.enabled = enabled and on_triton(torch.empty(0, device=device))
        self._seen: Counter[Hashable] = Counter()
        self._graphs: dict[Hashable, _Graph] = {}
        self._pool: Any = None

    def __call__(self, step: Callable[[Any], torch.Tensor], inputs: Any) -> torch.Tensor:
        """The loss of a step on some inputs.

        Args:
            step: always the same one; it is not kept, so that who has it is freed in time.
            inputs: a frozen dataclass of tensors, plain values, tuples or such dataclasses.
        """
        if not self.enabled:
            return step(inputs)
        key = _mapped(inputs, lambda tensor: tensor.shape)
        self._seen[key] += 1
        if self._seen[key] <= _SEEN_BEFORE:
            return step(inputs)
        if key not in self._graphs:
            # All share their memory: none needs anything of another.
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            self._graphs[key] = _Graph(step, inputs, self._pool)
        return self._graphs[key](inputs)


class _Graph:
    """A step recorded for one shape of its inputs; recording runs nothing."""

    def __init__(self, step: Callable[[Any], torch.Tensor], inputs: Any, pool: Any) -> None:
        self._inputs = _mapped(inputs, torch.clone)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool):
            self._loss = step(self._inputs)

    def __call__(self, inputs: Any) -> torch.Tensor:
        torch._foreach_copy_(_tensors(self._inputs), _tensors(inputs))
        self._graph.replay()
        return self._loss.clone()


def _mapped(value: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    """The same value with its tensors changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_mapped(part, change) for part in cast("tuple[Any, ...]", value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(
            value, **{name: _mapped(part, change) for name, part in vars(value).items()}
        )
    return value


def _tensors(value: Any) -> list[torch.Tensor]:
    """The tensors of a value, in order."""
    found: list[torch.Tensor] = []
    _mapped(value, lambda tensor: found.append(tensor))
    return found
