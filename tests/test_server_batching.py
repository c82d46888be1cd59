"""The queue: what is computed together, what is refused, what is answered in the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra serve")

from dexa.server.batching import Batcher, Overloaded


@dataclass(frozen=True)
class Sum:
    """A job of some texts."""

    number: int
    size: int = 1
    kind: Hashable = "sum"


class Counted:
    """Keeps the sizes of batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def computed(self, texts: int, seconds: float) -> None:
        assert seconds >= 0
        self.batches.append(texts)


class Gate:
    """A computation that waits until it may go on."""

    def __init__(self) -> None:
        self.open, self.begun = threading.Event(), threading.Event()
        self.calls: list[list[int]] = []

    def __call__(self, jobs: Sequence[Any]) -> list[Any]:
        self.begun.set()
        assert self.open.wait(10)
        self.calls.append([job.number for job in jobs])
        return [ValueError(job.number) if job.number < 0 else job.number * 2 for job in jobs]


@contextmanager
def batcher(compute: Callable[[Sequence[Any]], Sequence[Any]], **changes: Any) -> Iterator[Any]:
    made = Batcher(
        compute, **{"batch": 4, "queue": 6, "deadline": 30.0, "watcher": Counted(), **changes}
    )
    made.start()
    try:
        yield made
    finally:
        made.close()


async def _behind(gate: Gate, made: Batcher, jobs: Sequence[Sum]) -> list[Any]:
    """The outcomes of a first job that holds the thread, and of others that came meanwhile."""
    first = asyncio.create_task(made.answer(Sum(100)))
    await asyncio.to_thread(gate.begun.wait, 10)
    others = [asyncio.create_task(made.answer(job)) for job in jobs]
    await asyncio.sleep(0)
    gate.open.set()
    return await asyncio.gather(first, *others, return_exceptions=True)


def test_what_gathers_meanwhile_is_one_batch_a_kind() -> None:
    gate, watcher = Gate(), Counted()
    jobs = [Sum(1), Sum(2, kind="other"), Sum(3), Sum(4, kind="other"), Sum(5)]
    with batcher(gate, watcher=watcher) as made:
        assert asyncio.run(_behind(gate, made, jobs)) == [200, 2, 4, 6, 8, 10]
    assert gate.calls == [[100], [1, 3, 5], [2, 4]]
    assert watcher.batches == [1, 3, 2]


def test_a_batch_is_bounded_in_texts() -> None:
    gate = Gate()
    with batcher(gate) as made:
        asyncio.run(_behind(gate, made, [Sum(1, size=3), Sum(2, size=2), Sum(3)]))
    assert gate.calls == [[100], [1, 3], [2]]


def test_a_large_job_is_taken_when_nothing_waits() -> None:
    gate = Gate()
    gate.open.set()
    with batcher(gate) as made:
        assert asyncio.run(made.answer(Sum(7, size=50))) == 14


def test_what_does_not_fit_is_refused_at_once_and_a_change_is_not() -> None:
    gate = Gate()

    async def play(made: Batcher) -> list[Any]:
        first = asyncio.create_task(made.answer(Sum(100)))
        await asyncio.to_thread(gate.begun.wait, 10)
        waiting = [asyncio.create_task(made.answer(Sum(n))) for n in range(6)]
        await asyncio.sleep(0)
        assert made.full
        assert made.texts_waiting == 6
        with pytest.raises(Overloaded, match="queue"):
            await made.answer(Sum(7))
        change = asyncio.create_task(made.answer(Sum(8), patient=True))
        await asyncio.sleep(0)
        gate.open.set()
        return await asyncio.gather(first, *waiting, change)

    with batcher(gate) as made:
        assert asyncio.run(play(made)) == [200, 0, 2, 4, 6, 8, 10, 16]
        assert not made.full


def test_what_waited_too_long_is_refused() -> None:
    gate = Gate()

    async def play(made: Batcher) -> list[Any]:
        first = asyncio.create_task(made.answer(Sum(100)))
        await asyncio.to_thread(gate.begun.wait, 10)
        late: list[Awaitable[Any]] = [asyncio.create_task(made.answer(Sum(1)))]
        late.append(asyncio.create_task(made.answer(Sum(2), patient=True)))
        await asyncio.sleep(0.05)
        gate.open.set()
        return await asyncio.gather(first, *late, return_exceptions=True)

    with batcher(gate, deadline=0.01) as made:
        first, late, patient = asyncio.run(play(made))
    assert (first, patient) == (200, 4)
    assert isinstance(late, Overloaded)
    assert late.reason == "deadline"


def test_one_failure_is_not_that_of_others() -> None:
    gate = Gate()
    with batcher(gate) as made:
        first, good, bad = asyncio.run(_behind(gate, made, [Sum(1), Sum(-1)]))
    assert (first, good) == (200, 2)
    assert isinstance(bad, ValueError)


def test_a_failed_batch_fails_all_of_it_and_the_next_goes_on() -> None:
    def compute(jobs: Sequence[Any]) -> list[Any]:
        if jobs[0].kind == "bad":
            raise RuntimeError("broken")
        return [1 for _ in jobs]

    async def play(made: Batcher) -> None:
        with pytest.raises(RuntimeError, match="broken"):
            await made.answer(Sum(1, kind="bad"))
        assert await made.answer(Sum(1)) == 1

    with batcher(compute) as made:
        asyncio.run(play(made))


def test_whoever_leaves_is_not_computed() -> None:
    gate = Gate()

    async def play(made: Batcher) -> None:
        first = asyncio.create_task(made.answer(Sum(100)))
        await asyncio.to_thread(gate.begun.wait, 10)
        gone = asyncio.create_task(made.answer(Sum(1)))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        gate.open.set()
        await first
        assert await made.answer(Sum(2)) == 4

    with batcher(gate) as made:
        asyncio.run(play(made))
    assert gate.calls == [[100], [2]]


def test_a_closed_queue_takes_nothing() -> None:
    gate = Gate()
    gate.open.set()
    with batcher(gate) as made:
        pass
    with pytest.raises(Overloaded, match="ending"):
        asyncio.run(made.answer(Sum(1)))
