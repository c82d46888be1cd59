r"""Text files of matrices: a header of counts, then blocks of whole lines, whose numbers are known.

Only ``\n`` ends a line.
"""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NoReturn

from dexa.data.files import opened
from dexa.errors import DataError

READ_BYTES = 1 << 24


class LineReader:
    """A file that is read by lines at its head and by large blocks of lines behind it.

    Attributes:
        path: of the file.
        line: number of lines read so far, hence the number of the last one, from 1.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self.path = path
        self.line = 0

    def read_line(self) -> bytes:
        """The next line with its end; empty at the end of the file."""
        with self._whole_gzip():
            line = self._file.readline()
        self.line += bool(line)
        return line

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        r"""The number of a block's first line, and some whole lines, each ended by ``\n``."""
        while True:
            with self._whole_gzip():
                block = self._file.read(READ_BYTES)
                block += self._file.readline()
            if not block:
                return
            if not block.endswith(b"\n"):
                block += b"\n"
            first = self.line + 1
            self.line += block.count(b"\n")
            yield first, block

    @contextlib.contextmanager
    def _whole_gzip(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                f"broken gzip: {error}",
                expected="a whole gzip file",
                do="fetch the file again, or drop .gz from its name if it is not compressed",
                path=self.path,
                line=self.line + 1,
            ) from error


@contextlib.contextmanager
def line_reader(path: Path) -> Iterator[LineReader]:
    """Open a file, plain or gzipped, for reading lines and blocks.

    Raises:
        MissingFileError: there is no such file.
        DataError: it cannot be read, or its gzip is broken; the line is named.
    """
    with opened(path) as file:
        yield LineReader(file, path)


def read_counts(reader: LineReader, names: str, hints: dict[int, str]) -> list[int]:
    """The counts of a file's header, such as ``rows cols``; comments before it are passed over.

    Args:
        reader: at the head of the file.
        names: what the header holds, words with spaces between.
        hints: what to do about a header of another number of words.

    Raises:
        DataError: the file is empty, or the header is not as many integers.
    """
    while line := reader.read_line():
        content, comment, _ = line.partition(b"#")
        words = content.split()
        if comment and not words:
            continue
        if len(words) == len(names.split()) and all(w.isdigit() and len(w) <= 15 for w in words):
            return [int(word) for word in words]
        fail(
            reader.path,
            reader.line,
            shown_bytes(line),
            f"a header `{names}`",
            do=hints.get(len(words), ""),
        )
    raise DataError("an empty file", expected=f"a header `{names}`", path=reader.path, line=1)


def check_row_count(reader: LineReader, n_read: int, expected: int) -> None:
    """Refuse a file that ended before as many rows as its header says."""
    if n_read < expected:
        fail(
            reader.path,
            reader.line,
            f"the file ends after {n_read} rows, {expected - n_read} are missing",
            f"the {expected} rows of the header",
            do="fetch or write the file again; an empty row is an empty line",
        )


def shown_bytes(content: bytes) -> str:
    """Bytes of a file as an error message shows them, cut short when long."""
    return repr(content.decode("latin-1").strip()[:80])


def fail(path: Path, line: int, given: str, expected: str, do: str = "") -> NoReturn:
    """Raise a `DataError` for a line of a file."""
    raise DataError(given, expected=expected, do=do, path=path, line=line)
