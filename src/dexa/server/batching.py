"""Requests wait in one queue, and one thread computes them in batches.

Nothing waits for a batch to fill: while one is computed, the next gathers. The queue is bounded in
texts, and so is the time spent in it; beyond either a request is refused at once, so that a server
that is asked for more than it can do goes on doing what it can.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Overloaded(Exception):  # noqa: N818 - it is a state, and the server's own
    """The server has more to do than it can, or is ending; the request was not begun."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Job:
    """A request to compute: by itself, unless it says otherwise."""

    __slots__ = ()

    @property
    def size(self) -> int:
        """How many texts it counts for."""
        return 1

    @property
    def kind(self) -> Hashable:
        """Jobs of one kind can be computed together."""
        return id(self)


class Watcher(Protocol):
    """Whoever counts what the queue does."""

    def computed(self, texts: int, seconds: float) -> None:
        """A batch is done."""
        ...


@dataclass(slots=True)
class _Waiting:
    job: Any
    future: asyncio.Future[Any]
    until: float


Outcome = tuple[_Waiting, Any, BaseException | None]


class Batcher:
    """A bounded queue, and the thread that computes what waits in it.

    Args:
        compute: jobs of one kind to their results, in order; called by one thread only. An item
            of the results that is an exception becomes the answer of that job alone.
        batch: texts computed together at most; a larger job is computed alone.
        queue: texts that may wait at most.
        deadline: seconds that a job may wait.
        watcher: told of every batch.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Any]], Sequence[Any]],
        *,
        batch: int,
        queue: int,
        deadline: float,
        watcher: Watcher,
    ) -> None:
        self._compute, self._watcher = compute, watcher
        self._batch, self._room, self._deadline = batch, queue, deadline
        self._waiting: deque[_Waiting] = deque()
        self._texts = 0
        self._changed = threading.Condition()
        self._open = True
        self._thread = threading.Thread(target=self._work, name="dexa-compute", daemon=True)

    def start(self) -> None:
        """Begin to compute."""
        self._thread.start()

    @property
    def texts_waiting(self) -> int:
        """Texts in the queue now."""
        return self._texts

    @property
    def full(self) -> bool:
        """Whether even one text more would be refused."""
        return self._texts >= self._room

    async def answer(self, job: Job, *, patient: bool = False) -> Any:
        """The result of a job, when its batch is done.

        Args:
            job: to compute.
            patient: it waits as long as it takes, however full the queue is.

        Raises:
            Overloaded: the queue is full, the deadline has passed, or the server ends.
            Exception: what `compute` raised.
        """
        future = asyncio.get_running_loop().create_future()
        with self._changed:
            if not self._open:
                raise Overloaded("ending")
            # a request of many texts is taken when nothing waits, however large
            if not patient and self._texts and self._texts + job.size > self._room:
                raise Overloaded("queue")
            until = math.inf if patient else time.monotonic() + self._deadline
            self._waiting.append(_Waiting(job, future, until))
            self._texts += job.size
            self._changed.notify()
        return await future

    def close(self) -> None:
        """Compute what waits, take nothing more, and end the thread."""
        with self._changed:
            self._open = False
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while (batch := self._next()) is not None:
            outcomes = self._computed(batch)
            for loop in {waiting.future.get_loop() for waiting, _, _ in outcomes}:
                own = [outcome for outcome in outcomes if outcome[0].future.get_loop() is loop]
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_deliver, own)

    def _next(self) -> list[_Waiting] | None:
        """The head of the queue with others of its kind; None when all is done and closed."""
        with self._changed:
            while not self._waiting:
                if not self._open:
                    return None
                self._changed.wait()
            batch, size = [self._waiting.popleft()], 0
            kind, size = batch[0].job.kind, batch[0].job.size
            for _ in range(len(self._waiting)):
                waiting = self._waiting.popleft()
                if waiting.job.kind == kind and size + waiting.job.size <= self._batch:
                    batch.append(waiting)
                    size += waiting.job.size
                else:
                    self._waiting.append(waiting)
            self._texts -= size
            return batch

    def _computed(self, batch: list[_Waiting]) -> list[Outcome]:
        start = time.monotonic()
        outcomes: list[Outcome] = [
            (waiting, None, Overloaded("deadline")) for waiting in batch if waiting.until < start
        ]
        batch = [w for w in batch if w.until >= start and not w.future.cancelled()]
        if not batch:
            return outcomes
        try:
            results = self._compute([waiting.job for waiting in batch])
        except Exception as error:
            return outcomes + [(waiting, None, error) for waiting in batch]
        self._watcher.computed(sum(w.job.size for w in batch), time.monotonic() - start)
        for waiting, result in zip(batch, results, strict=True):
            failed = isinstance(result, BaseException)
            outcomes.append((waiting, None, result) if failed else (waiting, result, None))
        return outcomes


def _deliver(outcomes: list[Outcome]) -> None:
    for waiting, result, error in outcomes:
        if waiting.future.done():
            continue
        if error is None:
            waiting.future.set_result(result)
        else:
            waiting.future.set_exception(error)
