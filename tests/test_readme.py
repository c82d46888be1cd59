"""The README's commands, run as they are written.

A block that follows the line ``<!-- test -->`` is run, in a folder that looks like a fresh clone
but for the data set, which is a tiny one of the same name. Blocks are run in their order, so that
one may use what those before it made; ``bash`` blocks with the shell, ``python`` blocks with
Python.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tiny import write_dataset

ROOT = Path(__file__).parents[1]
MARKER = "<!-- test -->"
_BLOCK = re.compile(rf"^{MARKER}\n+```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMANDS = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}


class Block(NamedTuple):
    """A marked block of the README."""

    language: str
    code: str


def marked_blocks(text: str) -> list[Block]:
    """The blocks to run; every marker has one."""
    blocks = [Block(*match.groups()) for match in _BLOCK.finditer(text)]
    assert len(blocks) == text.count(MARKER), "a marker without a block right below it"
    assert all(block.language in _COMMANDS for block in blocks), "neither bash nor python"
    return blocks


@contextlib.contextmanager
def runner(folder: Path) -> Iterator[Callable[[Block], None]]:
    """What runs blocks in a folder; whatever they leave running ends with it."""
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    started: list[subprocess.Popen[bytes]] = []

    def run(block: Block) -> None:
        with tempfile.TemporaryFile("w+") as said:
            process = subprocess.Popen(
                [*_COMMANDS[block.language], block.code],
                cwd=folder,
                env=environment,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            started.append(process)
            code = process.wait(600)
            said.seek(0)
            assert code == 0, f"{block.code}\n{said.read()}"

    try:
        yield run
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_block_that_fails_leaves_nothing_running(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="said before"), runner(tmp_path) as run:
        run(Block("bash", "echo left; sleep 600 & echo $! > pid\n"))
        run(Block("bash", "echo said before; false; echo not said\n"))
    until = time.monotonic() + 30
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < until:  # init may take a moment to collect it
            os.kill(int((tmp_path / "pid").read_text()), 0)
            time.sleep(0.01)


def test_markers_are_understood() -> None:
    unmarked = "```bash\nc\n```\n"
    text = f"{MARKER}\n```bash\na\nb\n```\n{unmarked}{MARKER}\n\n```python\nd\n```\n"
    assert marked_blocks(text) == [Block("bash", "a\nb\n"), Block("python", "d\n")]
    with pytest.raises(AssertionError, match="without a block"):
        marked_blocks(f"{MARKER}\n\ntext\n")
    with pytest.raises(AssertionError, match="neither"):
        marked_blocks(f"{MARKER}\n```ruby\na\n```\n")


def test_the_readme_does_what_it_says(tmp_path: Path) -> None:
    blocks = marked_blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    assert blocks, f"no block of README.md is marked with {MARKER}"
    write_dataset(tmp_path / "datasets" / "LF-WordNet-98K")
    with runner(tmp_path) as run:
        for block in blocks:
            run(block)
