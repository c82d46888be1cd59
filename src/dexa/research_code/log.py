"""What a run says: lines to a logger, kept in a file while it trains."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOG = logging.getLogger("dexa.research_code")
_QUIET_SECONDS = 60.0  # a long task is heard of this often


@contextlib.contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Keep all that is said in a file, too."""
    handler = logging.FileHandler(path, mode="w", encoding="utf-8")
    LOG.addHandler(handler)
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        handler.close()


@dataclass
class _Task:
    name: str
    total: int
    started: float
    heard: float


class LogProgress:
    """`dexa.types.Progress` as lines of the log."""

    def __init__(self) -> None:
        self._tasks: list[_Task] = []

    def note(self, text: str) -> None:
        """Say one line."""
        LOG.info("%s", text)

    def begin(self, task: str, total: int) -> None:
        """Start the clock of a task."""
        now = time.monotonic()
        self._tasks.append(_Task(task, total, now, now))

    def advance(self, done: int, detail: str = "") -> None:
        """Say now and then how far the innermost task is."""
        task, now = self._tasks[-1], time.monotonic()
        if now - task.heard > _QUIET_SECONDS:
            task.heard = now
            LOG.info("%s: %d of %d %s", task.name, done, task.total, detail)

    def end(self) -> None:
        """Say what the innermost task took."""
        task = self._tasks.pop()
        LOG.info("%s: %d in %.2f sec", task.name, task.total, time.monotonic() - task.started)
