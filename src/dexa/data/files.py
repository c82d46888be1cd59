"""Text files as numbered lines, plain or packed, with one clear error for whatever breaks."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import json
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from dexa.errors import DataError, MissingFileError

BROKEN_ARRAYS = (
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy, SciPy and zipfile raise for files that are broken, cut short or of something else."""

_BLANK = " \t\n\r\v\f"  # what bytes take for space too; lines are counted as bytes


class DataWarning(UserWarning):
    """The data were read, though not quite as they were written."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes; names in ``.gz`` and ``.zst`` are unpacked on the way.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is a folder, may not be read, or the disk failed.
    """
    try:
        with _unpacked(path) as file:
            yield file
    except FileNotFoundError as error:
        raise MissingFileError("no such file", path=path, do="check the path") from error
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror or error}", expected="a readable file", path=path
        ) from error


def _unpacked(path: Path) -> IO[bytes]:
    if path.suffix == ".zst":
        stream = pa.input_stream(str(path), compression="zstd")
        return io.BufferedReader(stream)  # pyright: ignore[reportReturnType, reportArgumentType]
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # pyright: ignore[reportReturnType] - but for its name
    return path.open("rb")


def byte_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    r"""Line numbers from 1 and lines with their ends; only ``\n`` ends a line.

    Raises:
        MissingFileError: there is no such file.
        DataError: it cannot be read, or its gzip is broken or cut short; the line is named.
    """
    number = 0
    with opened(path) as file:
        try:
            for number, line in enumerate(file, start=1):
                yield number, line
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                f"broken gzip: {error}",
                expected="a whole gzip file",
                do="fetch the file again, or drop .gz from its name if it is not compressed",
                path=path,
                line=number + 1,
            ) from error
        except OSError as error:
            if path.suffix != ".zst":
                raise
            raise DataError(
                f"broken zstd: {error}",
                expected="a whole zstd file",
                do="fetch the file again, or drop .zst from its name if it is not compressed",
                path=path,
                line=number + 1,
            ) from error


def latin_1_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Line numbers from 1 and lines of latin-1 as text, ends included; only ``\n`` ends a line."""
    for number, line in byte_lines(path):
        yield number, line.decode("latin-1")


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Line numbers from 1 and lines as text, ends included; only ``\n`` ends a line.

    Lines are UTF-8. A line that is not is read as latin-1, which a `DataWarning` says once a file.
    """
    warned = False
    for number, line in byte_lines(path):
        content = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content.decode("latin-1")
            if not warned:
                warned = True
                warnings.warn(
                    f"{path}:{number}: not UTF-8; this line, and any other like it, is read as "
                    "latin-1; convert the file to UTF-8 if its letters come out wrong",
                    DataWarning,
                    stacklevel=2,
                )
        yield number, text


def json_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers from 1 and the JSON object of each line.

    Blank lines at the end of the file are left out; one before the end would shift the ids of all
    that follow, so it is an error.

    Raises:
        DataError: the file is empty, or a line is blank or not a JSON object.
    """
    blank, found = 0, False
    for number, line in text_lines(path):
        if not line.strip(_BLANK):
            blank = blank or number
            continue
        if blank:
            raise DataError(
                "blank line",
                expected="one JSON object a line",
                do="delete the line",
                path=path,
                line=blank,
            )
        yield number, _json_object(line, path, number)
        found = True
    if not found:
        raise DataError("an empty file", expected="one JSON object a line", path=path, line=1)


def _json_object(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"not JSON: {error}", expected="one JSON object a line", path=path, line=number
        ) from error
    if not isinstance(value, dict):
        raise DataError(
            f"JSON {type(value).__name__}", expected="a JSON object", path=path, line=number
        )
    return value
