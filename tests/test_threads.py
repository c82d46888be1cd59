"""Work that is split among threads: the same results, in the same order."""

from __future__ import annotations

import threading

import pytest
import torch

from dexa.threads import side_by_side


@pytest.fixture(params=[1, 2, 5])
def threads(request: pytest.FixtureRequest) -> int:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_results_come_in_the_order_of_the_parts(threads: int, count: int) -> None:
    assert side_by_side(lambda n: n * n, range(count)) == [n * n for n in range(count)]


def test_as_many_run_at_once_as_there_are_threads(threads: int) -> None:
    together = threading.Barrier(threads)
    assert len(side_by_side(lambda _: together.wait(timeout=30), range(threads))) == threads


def test_an_error_of_a_part_comes_out(threads: int) -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda n: 1 / n, [1, 0, 2])
