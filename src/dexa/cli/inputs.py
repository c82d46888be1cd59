"""Texts from a file or from standard input, in chunks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from dexa.errors import DataError

CHUNK = 4096
"""Texts that are in memory at once."""

STANDARD_INPUT = Path("-")

_INPUT = typer.Option(
    "--input",
    metavar="FILE|-",
    help='One text a line, or JSON lines with a "text" key if the name ends in .jsonl; '
    "- is standard input, one text a line.",
    show_default=False,
)
InputOption = Annotated[Path, _INPUT]
OptionalInputOption = Annotated[Path | None, _INPUT]


def read_texts(path: Path) -> Iterator[str]:
    r"""The texts of ``--input``, one by one; only ``\n`` ends a line.

    Raises:
        MissingFileError: there is no such file.
        DataError: a line is broken; the message names it.
    """
    from dexa.data.files import json_objects, text_lines

    if path == STANDARD_INPUT:
        yield from _standard_input()
    elif ".jsonl" in path.suffixes:
        for number, row in json_objects(path):
            if not isinstance(row.get("text"), str):
                raise DataError(
                    'no "text"', expected='{"text": "…"} a line', path=path, line=number
                )
            yield row["text"]
    else:
        for _, line in text_lines(path):
            yield line.removesuffix("\n")


def chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in lists of `CHUNK`."""
    iterator = iter(texts)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _standard_input() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError as error:
            raise DataError(
                "not UTF-8", expected="UTF-8 text", path="standard input", line=number
            ) from error
