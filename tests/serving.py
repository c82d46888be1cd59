"""A server of the tiny model: inside this process, or as a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="needs the extra serve")

from starlette.testclient import TestClient

from dexa import Dexa
from dexa.server import Settings
from dexa.server.app import application
from dexa.server.service import Service

TOKEN = "correct-horse-battery-staple"
AUTHORISED = {"authorization": f"Bearer {TOKEN}"}


def settings(model: Path, **changes: object) -> Settings:
    """Settings that allow changes of labels."""
    return Settings(**{"model": model, "token": TOKEN, "deadline": 60.0, **changes})  # type: ignore[arg-type]


@contextlib.contextmanager
def client(model: Path, **changes: object) -> Iterator[TestClient]:
    """An HTTP client of an application in this process."""
    service = Service(lambda: Dexa.load(model, device="cpu"), settings(model, **changes))
    with TestClient(
        application(service), base_url="http://localhost", raise_server_exceptions=False
    ) as asking:
        yield asking


class Process:
    """``dexa serve`` as a process.

    Attributes:
        address: where it answers.
        lines: of its log.
    """

    def __init__(self, model: Path, *options: str) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dexa", "serve", str(model), "--port", "0", *options],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.address = self.wait_for(r"on (http://\S+)")[1]

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(self.process.stderr)

    def wait_for(self, pattern: str, seconds: float = 60) -> re.Match[str]:
        """The first match in the log, waited for."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for line in [*self.lines]:
                if found := re.search(pattern, line):
                    return found
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"no {pattern!r} in {''.join(self.lines)}")

    def end(self, number: int) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def close(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextlib.contextmanager
def process(model: Path, *options: str) -> Iterator[Process]:
    """A process that ends with the block."""
    running = Process(model, *options)
    try:
        yield running
    finally:
        running.close()
