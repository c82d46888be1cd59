"""Texts from a file or from standard input, in chunks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
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
    help="One text a line; or a table whose name ends in .csv, .jsonl or .parquet. All but Parquet "
    "also as .gz or .zst. - is standard input, one text a line.",
    show_default=False,
)
InputOption = Annotated[Path, _INPUT]
OptionalInputOption = Annotated[Path | None, _INPUT]
TextColumnOption = Annotated[
    str, typer.Option(metavar="NAME", help="The column of a table that holds the texts.")
]


def read_texts(path: Path, column: str = "text") -> Iterator[str]:
    r"""The texts of ``--input``, one by one; only ``\n`` ends a line.

    Args:
        path: a table by its name, lines, or `STANDARD_INPUT`.
        column: that holds the texts of a table.

    Raises:
        MissingFileError: there is no such file.
        DataError: a line is broken; the message names it.
    """
    from dexa.data.cells import is_table, read_cells

    if path == STANDARD_INPUT:
        for _, line in _standard_input():
            yield line
    elif is_table(path):
        for number, (text,) in read_cells(path, [column]):
            if not isinstance(text, str):
                raise DataError(
                    f"{column} is {text!r:.40}", expected="a text", path=path, line=number
                )
            yield text
    else:
        for _, line in read_lines(path):
            yield line


def read_labels(path: Path | None, known: Sequence[str] | None) -> list[int] | None:
    """The labels of a file, one a line, by text or id; None without a file.

    Args:
        path: of the file.
        known: the label texts of the model. A line that is one of them is no id.

    Raises:
        MissingFileError: there is no such file.
        DataError: a line is neither; the message names it.
    """
    if path is None:
        return None
    from dexa.data.files import text_lines

    ids: dict[str, list[int]] = {}
    for label, text in enumerate(known or ()):
        ids.setdefault(text, []).append(label)
    found: list[int] = []
    for number, line in text_lines(path):
        name = line.removesuffix("\n")
        if name in ids:
            found += ids[name]
        elif name.isascii() and name.isdecimal():
            found.append(int(name))
        else:
            raise DataError(
                f"{name[:80]!r} is no label", expected="a text or an id", path=path, line=number
            )
    return found


def chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in lists of `CHUNK`."""
    iterator = iter(texts)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Line numbers from 1, and lines without their end; only ``\n`` ends a line.

    Raises:
        MissingFileError: there is no such file.
        DataError: it cannot be read.
    """
    from dexa.data.files import text_lines

    if path == STANDARD_INPUT:
        yield from _standard_input()
        return
    for number, line in text_lines(path):
        yield number, line.removesuffix("\n")


def _standard_input() -> Iterator[tuple[int, str]]:
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield number, line.decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError as error:
            raise DataError(
                "not UTF-8", expected="UTF-8 text", path="standard input", line=number
            ) from error
