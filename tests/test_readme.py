"""The README's commands, run as they are written.

A block that follows the line ``<!-- test -->`` is run, in a folder that looks like a fresh clone
but for the data set, which is a tiny one of the same name. Blocks are run in their order, so that
one may use what those before it made; ``bash`` blocks with the shell, ``python`` blocks with
Python.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
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
    tools = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    for block in blocks:
        done = subprocess.run(
            [*_COMMANDS[block.language], block.code],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{block.code}\n{done.stdout}\n{done.stderr}"
