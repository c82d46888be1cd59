"""Plans of an epoch: made some batches at a time, from wherever a run begins."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dexa.training import planning
from dexa.training.planning import Planned

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two_batches_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_BATCHES_AT_ONCE", 2)


@pytest.mark.parametrize("shape", [(23,), (3, 23)])
def test_a_plan_is_made_when_its_first_batch_comes(shape: tuple[int, ...]) -> None:
    draw = np.random.default_rng(1)
    orders = [draw.integers(0, 99, shape) for _ in range(2)]
    asked: list[tuple[int, list]] = []

    def make(epoch: int, some: torch.Tensor) -> list[torch.Tensor]:
        asked.append((epoch, some.tolist()))
        return list(some.split(5, dim=-1))

    planned: Planned[list[torch.Tensor]] = Planned(5, CPU)
    for epoch, order in enumerate(orders):
        for step in range(5):
            batches, number = planned.of(epoch, step, order, make)
            expected = order[..., 5 * step : 5 * step + 5]
            assert number == step % 2
            assert batches[number].tolist() == expected.tolist()
    assert asked == [
        (epoch, order[..., first : first + 10].tolist())
        for epoch, order in enumerate(orders)
        for first in (0, 10, 20)
    ]


def test_a_run_may_begin_anywhere_in_an_epoch() -> None:
    """A resumed run does; its batches are those of a run that began at the start."""
    order = np.random.default_rng(0).permutation(12)

    def make(_: int, some: torch.Tensor) -> list[torch.Tensor]:
        return list(some.split(3))

    whole: Planned[list[torch.Tensor]] = Planned(3, CPU)
    for step in range(4):
        fresh: Planned[list[torch.Tensor]] = Planned(3, CPU)
        expected, number = whole.of(0, step, order, make)
        batches, same = fresh.of(0, step, order, make)
        assert number == same
        assert batches[same].tolist() == expected[number].tolist()
