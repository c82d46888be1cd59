r"""Sparse matrices as text, in the form of the Extreme Classification Repository.

The first line is ``rows cols``; each further line is a row of ``index:value`` entries, indices
from 0 and ascending, single spaces between; an empty row is an empty line. For example
``'3 3\n0:1.0 2:0.5\n\n1:2.0\n'``. A ``#`` starts a comment, a line with nothing else is no row, and
a leading ``qid:`` is passed over.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.data.files import opened
from dexa.errors import DataError
from dexa.storage import atomic_file

_READ_BYTES = 1 << 24
_WRITE_ENTRIES = 1 << 18

_ENTRY = rb"\d{1,15}:[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_NOT_A_ROW = re.compile(rb"^(?!(?:%b(?: %b)*)?$)" % (_ENTRY, _ENTRY), re.MULTILINE)
_IS_ENTRY = re.compile(_ENTRY)
_SEPARATORS_TO_SPACES = bytes.maketrans(b":\n", b"  ")


class _Rows(NamedTuple):
    """Consecutive rows.

    Attributes:
        indices: int64 ``[E]``, columns of the entries.
        values: float32 ``[E]``.
        counts: int64 ``[R]``, entries of each row.
        lines: int64 ``[R]``, where each row stands in the file.
    """

    indices: NDArray[np.int64]
    values: NDArray[np.float32]
    counts: NDArray[np.int64]
    lines: NDArray[np.int64]


def read_matrix(path: str | Path) -> csr_array:
    """Read a sparse text matrix.

    Returns:
        float32 ``[rows, cols]``, indices sorted in each row; a written 0 stays an entry.

    Raises:
        MissingFileError: there is no such file.
        DataError: the header or a row is malformed, an index is out of range, repeated or not
            ascending, a value is not finite, or the rows are not as many as the header says.
    """
    return _read_all(Path(path), lowest=-np.inf)


def read_label_matrix(path: str | Path) -> csr_array:
    """Read the labels of documents: as `read_matrix`, with relevances for values.

    Returns:
        float32 ``[N, L]`` of positive values; a written 0 says "not a label" and is left out.

    Raises:
        MissingFileError: there is no such file.
        DataError: as `read_matrix`, or a value is negative.
    """
    label_matrix_shape(Path(path))
    matrix = _read_all(Path(path), lowest=0.0)
    matrix.eliminate_zeros()
    return matrix


def _read_all(path: Path, lowest: float) -> csr_array:
    shape = matrix_shape(path)
    parts = list(_read_rows(path, lowest))
    counts = np.concatenate([np.zeros(1, np.int64), *(part.counts for part in parts)])
    indices = np.concatenate([np.empty(0, np.int64), *(part.indices for part in parts)])
    values = np.concatenate([np.empty(0, np.float32), *(part.values for part in parts)])
    return canonical_csr(values, indices, np.cumsum(counts), shape)


def canonical_csr(
    values: NDArray[np.float32],
    indices: NDArray[np.int64],
    pointers: NDArray[np.int64],
    shape: tuple[int, int],
) -> csr_array:
    """A CSR matrix of rows known to be sorted and without repeats, int32 indices where they fit."""
    dtype = np.int32 if max(len(values), *shape) <= np.iinfo(np.int32).max else np.int64
    matrix = csr_array((values, indices.astype(dtype), pointers.astype(dtype)), shape=shape)
    matrix.has_canonical_format = True
    return matrix


def matrix_shape(path: Path) -> tuple[int, int]:
    """Rows and columns that a matrix file's header announces."""
    with opened(path) as file:
        shape, _ = _read_header(file, path)
    return shape


def label_matrix_shape(path: Path) -> tuple[int, int]:
    """Documents and labels of a label matrix, of which there are some.

    Raises:
        DataError: as `read_matrix` for the header, or there are none.
    """
    shape = matrix_shape(path)
    if 0 in shape:
        _fail(path, 1, f"{shape[0]} documents and {shape[1]} labels", "at least one of each")
    return shape


def label_rows(path: Path) -> Iterator[tuple[list[int], list[float]]]:
    """Label ids and positive relevances of one document after another, read part by part."""
    for part in _read_rows(path, lowest=0.0):
        positive = part.values > 0
        labels, values = part.indices[positive].tolist(), part.values[positive].tolist()
        ends = np.concatenate([[0], np.cumsum(positive)])[np.cumsum(part.counts)]
        start = 0
        for end in ends.tolist():
            yield labels[start:end], values[start:end]
            start = end


def _read_header(file: IO[bytes], path: Path) -> tuple[tuple[int, int], int]:
    """The shape and the number of the line it stands on."""
    for number, line in enumerate(file, start=1):
        content, comment, _ = line.partition(b"#")
        if comment and not content.strip():
            continue
        words = content.split()
        if len(words) == 2 and all(word.isdigit() and len(word) <= 15 for word in words):
            return (int(words[0]), int(words[1])), number
        hint = "this looks like the old form with features and labels in one file; split it"
        _fail(
            path, number, _shown(line), "a header `rows cols`", do=hint if len(words) == 3 else ""
        )
    raise DataError("an empty file", expected="a header `rows cols`", path=path, line=1)


def _read_rows(path: Path, lowest: float) -> Iterator[_Rows]:
    """All rows in a few large parts; checks that they are as many as the header says."""
    with opened(path) as file:
        (n_rows, n_columns), line = _read_header(file, path)
        n_read = 0
        while block := file.read(_READ_BYTES):
            block += file.readline()
            if not block.endswith(b"\n"):
                block += b"\n"
            rows = _parse_block(block, line + 1, path)
            _check_entries(rows, n_columns, lowest, path)
            n_read += len(rows.counts)
            if n_read > n_rows:
                extra = int(rows.lines[n_rows - n_read])
                _fail(path, extra, f"row {n_rows + 1}", f"the {n_rows} rows of the header")
            yield rows
            line += block.count(b"\n")
    if n_read < n_rows:
        _fail(
            path,
            line,
            f"the file ends after {n_read} rows, {n_rows - n_read} are missing",
            f"the {n_rows} rows of the header",
            do="fetch or write the file again; an empty row is an empty line",
        )


def _parse_block(block: bytes, first_line: int, path: Path) -> _Rows:
    """The rows of whole lines, of which the first is line `first_line` of the file."""
    offsets = np.arange(block.count(b"\n"))
    if _NOT_A_ROW.search(block):
        block, offsets = _without_comments(block)
        if bad := _NOT_A_ROW.search(block):
            row = block.count(b"\n", 0, bad.start())
            entries = block.split(b"\n")[row].split(b" ")
            entry = next(entry for entry in entries if not _IS_ENTRY.fullmatch(entry))
            _fail(path, first_line + int(offsets[row]), _shown(entry), "`index:value`, two numbers")
    characters = np.frombuffer(block, np.uint8)
    line_ends = np.flatnonzero(characters == ord("\n"))
    colons = np.flatnonzero(characters == ord(":"))
    numbers = np.empty(0)
    if len(colons):
        numbers = np.fromstring(block.translate(_SEPARATORS_TO_SPACES), sep=" ")
    with np.errstate(over="ignore"):  # values too large become inf, which the check sees
        values = numbers[1::2].astype(np.float32)
    return _Rows(
        indices=numbers[::2].astype(np.int64),
        values=values,
        counts=np.diff(np.searchsorted(colons, line_ends), prepend=0),
        lines=first_line + offsets,
    )


def _without_comments(block: bytes) -> tuple[bytes, NDArray[np.int64]]:
    """Lines with neither comments nor stray white space, and where each stood in the block."""
    kept, offsets = [], []
    for offset, line in enumerate(block.split(b"\n")[:-1]):
        content, comment, _ = line.partition(b"#")
        entries = content.split()
        if comment and not entries:
            continue
        if entries and entries[0].startswith(b"qid:"):
            del entries[0]
        kept.append(b" ".join(entries) + b"\n")
        offsets.append(offset)
    return b"".join(kept), np.array(offsets, np.int64)


def _check_entries(rows: _Rows, n_columns: int, lowest: float, path: Path) -> None:
    """Range and order of the indices, range of the values."""
    indices, values = rows.indices, rows.values
    row_of_entry = np.repeat(np.arange(len(rows.counts)), rows.counts)
    outside = indices >= n_columns
    unsorted = np.zeros(len(indices), bool)
    unsorted[1:] = (np.diff(indices) <= 0) & (np.diff(row_of_entry) == 0)
    unfit = ~np.isfinite(values) | (values < lowest)
    faults = np.flatnonzero(outside | unsorted | unfit)
    if not len(faults):
        return
    first = int(faults[0])
    line = int(rows.lines[row_of_entry[first]])
    if outside[first]:
        _fail(path, line, f"index {indices[first]}", f"an index from 0 to {n_columns - 1}")
    if unsorted[first]:
        given = f"index {indices[first]} after {indices[first - 1]}"
        _fail(path, line, given, "ascending indices, each once")
    range_ = "a finite float32" if lowest == -np.inf else f"a finite float32 of at least {lowest:g}"
    _fail(path, line, f"value {values[first]:g}", range_)


def _shown(content: bytes) -> str:
    return repr(content.decode("latin-1").strip()[:80])


def _fail(path: Path, line: int, given: str, expected: str, do: str = "") -> NoReturn:
    raise DataError(given, expected=expected, do=do, path=path, line=line)


def write_matrix(path: str | Path, matrix: csr_array) -> None:
    r"""Write a sparse matrix as text, atomically; the same matrix always gives the same bytes.

    Args:
        path: the file to write.
        matrix: ``[rows, cols]``, written as float32 with `str`, so that 1 becomes ``1.0``. Indices
            are sorted and duplicates summed first, on a copy.

    Raises:
        DataError: a value is not finite.
        StorageError: the disk refused.
    """
    path = Path(path)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    with np.errstate(over="ignore"):
        values = matrix.data.astype(np.float32)
    if not np.isfinite(values).all():
        raise DataError("a value of the matrix is not a finite float32", path=path)
    n_rows, n_columns = matrix.shape  # pyright: ignore[reportGeneralTypeIssues] - SciPy has no types
    cuts = np.searchsorted(matrix.indptr, np.arange(_WRITE_ENTRIES, len(values), _WRITE_ENTRIES))
    cuts = np.unique([0, *cuts, n_rows])
    with atomic_file(path) as draft, draft.open("wb") as file:
        file.write(b"%d %d\n" % (n_rows, n_columns))
        for start, end in itertools.pairwise(cuts):
            pointers = matrix.indptr[start : end + 1]
            part = slice(pointers[0], pointers[-1])
            file.write(_format_rows(matrix.indices[part], values[part], pointers - pointers[0]))


def _format_rows(
    indices: NDArray[np.integer], values: NDArray[np.float32], pointers: NDArray[np.integer]
) -> bytes:
    """Rows as bytes.

    Entries and line ends go into one array of fixed-width byte strings; what pads them to equal
    width is then dropped.
    """
    entries = np.char.add(np.char.add(indices.astype("S"), b":"), values.astype("S"))
    entries = np.char.add(b" ", entries)
    lengths = np.diff(pointers)
    n_rows = len(lengths)
    rows = np.repeat(np.arange(n_rows), lengths)
    pieces = np.zeros(len(entries) + n_rows, entries.dtype)
    pieces[np.arange(len(entries)) + rows] = entries
    pieces[pointers[1:] + np.arange(n_rows)] = b"\n"
    content = pieces.tobytes().translate(None, b"\0")
    return content.replace(b"\n ", b"\n").removeprefix(b" ")
