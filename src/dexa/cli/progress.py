"""Progress as bars on a terminal and as plain lines everywhere else."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dexa.cli.output import messages, say

_QUIET_SECONDS = 30.0  # without a terminal, a long task is heard of this often


@dataclass
class _Task:
    name: str
    total: int
    bar: int | None
    done: int = 0
    detail: str = ""
    started: float = field(default_factory=time.monotonic)
    heard: float = field(default_factory=time.monotonic)

    def line(self) -> str:
        seconds = time.monotonic() - self.started
        total = f" of {self.total:,}" if self.total else ""  # 0 where nobody knows
        parts = [f"{self.name}: {self.done:,}{total}", f"{seconds:.1f} s", self.detail]
        return ", ".join(part for part in parts if part)


class TerminalProgress:
    """Draws the library's `dexa.types.Progress`; a context manager, so that bars never linger."""

    def __init__(self) -> None:
        self._tasks: list[_Task] = []
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}"),
            console=messages,
            transient=True,
        )

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hide_bars()

    def note(self, text: str) -> None:
        """Print one line."""
        say(text)

    def begin(self, task: str, total: int) -> None:
        """Draw a bar below those of the tasks that this one is part of."""
        bar = None
        if messages.is_terminal:
            bar = self._bars.add_task(task, total=total or None, detail="")
            self._bars.start()
        self._tasks.append(_Task(task, total, bar))

    def advance(self, done: int, detail: str = "") -> None:
        """Move the innermost bar."""
        task = self._tasks[-1]
        task.done, task.detail = done, detail
        if task.bar is not None:
            self._bars.update(self._bars.task_ids[-1], completed=done, detail=detail)
        elif time.monotonic() - task.heard > _QUIET_SECONDS:
            task.heard = time.monotonic()
            say(task.line())

    def end(self) -> None:
        """Replace the innermost bar with one line that stays."""
        task = self._tasks.pop()
        if task.bar is not None:
            self._bars.remove_task(self._bars.task_ids[-1])
        if not self._tasks:
            self._hide_bars()
        say(task.line())

    def _hide_bars(self) -> None:
        if messages.is_terminal:  # elsewhere they were never shown, and stopping prints a line
            self._bars.stop()
