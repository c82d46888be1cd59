r"""Sparse matrices as text, in the form of the Extreme Classification Repository.

The first line is ``rows cols``; each further line is a row of ``index:value`` entries, indices
from 0 and ascending, single spaces between; an empty row is an empty line. For example
``'3 3\n0:1.0 2:0.5\n\n1:2.0\n'``. A ``#`` starts a comment, a line with nothing else is no row, and
a leading ``qid:`` is passed over.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.data.blocks import LineReader, check_row_count, fail, line_reader, read_counts
from dexa.data.entries import Rows, as_lines, check_rows, format_rows, parse_rows
from dexa.errors import DataError
from dexa.storage import atomic_file

_WRITE_ENTRIES = 1 << 18
_HINTS = {
    3: "this looks like the old form with features and labels in one file; "
    "split it with `dexa convert`, or read it with read_single_file"
}


def read_matrix(path: str | Path, *, header: bool = True, strict: bool = True) -> csr_array:
    """Read a sparse text matrix, such as labels or features of documents.

    Args:
        path: the file; a name that ends in ``.gz`` is unpacked.
        header: whether the first line is ``rows cols``; without it, the lines are the rows, and
            the largest index tells the columns.
        strict: whether to refuse rows whose indices are out of order or repeated, and a file with
            fewer rows than its header says. Else repeated indices are summed, and missing rows are
            empty.

    Returns:
        float32 ``[rows, cols]``, indices sorted in each row; a written 0 stays an entry.

    Raises:
        MissingFileError: there is no such file.
        DataError: the header or a row is malformed, an index is out of range or, if strict,
            repeated or out of order, a value is not a finite float32, or the rows are more, or if
            strict fewer, than the header says.
    """
    return _read_all(Path(path), lowest=-np.inf, header=header, strict=strict)


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


def _read_all(path: Path, lowest: float, *, header: bool = True, strict: bool = True) -> csr_array:
    with line_reader(path) as reader:
        shape = _read_shape(reader) if header else None
        parts = [
            (rows.indices, rows.float32(), rows.counts, rows.lines)
            for rows in _read_rows(reader, shape, lowest, strict=strict)
        ]
    nothing = np.empty(0, np.int64)
    empty = (nothing, np.empty(0, np.float32), np.zeros(1, np.int64), nothing)
    indices, values, counts, lines = (
        np.concatenate(column) for column in zip(empty, *parts, strict=False)
    )
    if shape is None:
        shape = len(counts) - 1, int(indices.max(initial=-1)) + 1
    pointers = np.cumsum(np.pad(counts, (0, shape[0] + 1 - len(counts))))
    if not strict:
        summed = csr_array((values, indices, pointers), shape=shape)
        summed.sum_duplicates()
        _check_sums(summed, lines, path)
        values, indices, pointers = summed.data, summed.indices, summed.indptr
    return canonical_csr(values, indices, pointers, shape)


def _check_sums(matrix: csr_array, lines: NDArray[np.int64], path: Path) -> None:
    """Refuse values that are in range alone, but not added up."""
    beyond = np.flatnonzero(~np.isfinite(matrix.data))
    if len(beyond):
        place = int(beyond[0])
        row = int(np.searchsorted(matrix.indptr, place, side="right")) - 1
        given = f"the values of index {matrix.indices[place]} add up to {matrix.data[place]:g}"
        fail(path, int(lines[row]), given, "a finite float32")


def canonical_csr(
    values: NDArray[Any],
    indices: NDArray[np.integer],
    pointers: NDArray[np.integer],
    shape: tuple[int, int],
) -> csr_array:
    """A CSR matrix of float32 values and of rows known to be sorted and without repeats.

    Its indices are int32 where they fit.
    """
    dtype = np.int32 if max(len(values), *shape) <= np.iinfo(np.int32).max else np.int64
    matrix = csr_array((values, indices.astype(dtype), pointers.astype(dtype)), shape=shape)
    matrix.has_canonical_format = True
    return matrix


def shape_of(matrix: csr_array) -> tuple[int, int]:
    """Rows and columns of a matrix in memory."""
    return matrix.shape  # pyright: ignore[reportReturnType] - SciPy has no types


def matrix_shape(path: Path) -> tuple[int, int]:
    """Rows and columns that a matrix file's header announces."""
    with line_reader(path) as reader:
        return _read_shape(reader)


def label_matrix_shape(path: Path) -> tuple[int, int]:
    """Documents and labels of a label matrix, of which there are some.

    Raises:
        DataError: as `read_matrix` for the header, or there are none.
    """
    shape = matrix_shape(path)
    if 0 in shape:
        fail(path, 1, f"{shape[0]} documents and {shape[1]} labels", "at least one of each")
    return shape


def label_rows(path: Path) -> Iterator[tuple[list[int], list[float]]]:
    """Label ids and positive relevances of one document after another, read part by part."""
    with line_reader(path) as reader:
        for part in _read_rows(reader, _read_shape(reader), lowest=0.0):
            values = part.float32()
            positive = values > 0
            labels, relevances = part.indices[positive].tolist(), values[positive].tolist()
            ends = np.concatenate([[0], np.cumsum(positive)])[np.cumsum(part.counts)]
            start = 0
            for end in ends.tolist():
                yield labels[start:end], relevances[start:end]
                start = end


def _read_shape(reader: LineReader) -> tuple[int, int]:
    n_rows, n_columns = read_counts(reader, "rows cols", _HINTS)
    return n_rows, n_columns


def _read_rows(
    reader: LineReader, shape: tuple[int, int] | None, lowest: float, *, strict: bool = True
) -> Iterator[Rows]:
    """All rows in a few large parts; checks them against the shape, where it is known."""
    n_rows, n_columns = shape or (None, None)
    n_read = 0
    for first, block in reader.blocks():
        lines = np.arange(first, reader.line + 1)
        rows = parse_rows(block, lines, reader.path)
        check_rows(rows, n_columns, lowest, reader.path, strict=strict)
        n_read += len(rows.counts)
        check_not_more(rows.lines, n_read, n_rows, reader.path)
        yield rows
    if n_rows is not None and strict:
        check_row_count(reader, n_read, n_rows)


def check_not_more(lines: NDArray[np.int64], n_read: int, expected: int | None, path: Path) -> None:
    """Refuse more rows than the header says, of which the last that were read lie on `lines`."""
    if expected is not None and n_read > expected:
        extra = int(lines[expected - n_read])
        fail(path, extra, f"row {expected + 1}", f"the {expected} rows of the header")


def write_matrix(path: str | Path, matrix: csr_array, *, decimals: bool = True) -> None:
    r"""Write a sparse matrix as text, atomically; the same matrix always gives the same bytes.

    Args:
        path: the file to write.
        matrix: ``[rows, cols]``, written as float32 and spelled by `float_strings`, so that 1
            becomes ``1.0``. Indices are sorted and duplicates summed first, on a copy.
        decimals: without them 1 becomes ``1``, as the repository's ``convert_format.pl`` writes it.

    Raises:
        DataError: a value is not finite.
        StorageError: the disk refused.
    """
    path = Path(path)
    matrix = writable_csr(matrix, path)
    with atomic_file(path) as draft, draft.open("wb") as file:
        file.write(b"%d %d\n" % shape_of(matrix))
        for rows in row_parts(matrix):
            file.write(as_lines(format_rows(*csr_rows(matrix, rows), decimals=decimals)))


def writable_csr(matrix: csr_array, path: Path) -> csr_array:
    """A float32 CSR matrix without repeated or unsorted entries, the given one if it is that.

    Raises:
        DataError: a value is not finite.
    """
    matrix = csr_array(matrix)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    with np.errstate(over="ignore"):
        values = matrix.data.astype(np.float32)
    if not np.isfinite(values).all():
        raise DataError("a value of the matrix is not a finite float32", path=path)
    plain = csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)
    plain.has_canonical_format = True
    return plain


def row_parts(matrix: csr_array) -> Iterator[slice]:
    """The rows in parts of about as many entries, so that memory stays small while writing."""
    steps = np.arange(_WRITE_ENTRIES, matrix.nnz, _WRITE_ENTRIES)
    n_rows = len(matrix.indptr) - 1
    cuts = np.unique([0, *np.searchsorted(matrix.indptr, steps), n_rows])
    return (slice(start, end) for start, end in itertools.pairwise(cuts.tolist()))


def csr_rows(matrix: csr_array, rows: slice) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Indices, values and pointers of some rows."""
    pointers = matrix.indptr[rows.start : rows.stop + 1]
    part = slice(pointers[0], pointers[-1])
    return matrix.indices[part], matrix.data[part], pointers - pointers[0]
