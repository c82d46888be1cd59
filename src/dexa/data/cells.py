"""Tables on disk, row by row: CSV, JSON lines (both also packed by gzip or zstd) and Parquet.

A row comes as the number it is known by (a line of CSV or JSON lines, a row of Parquet, from 1) and
the cells of the columns asked for.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dexa.data.files import json_objects, text_lines
from dexa.errors import DataError

_CSV = (".csv", ".csv.gz", ".csv.zst")
TABLE_SUFFIXES = (*_CSV, ".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")

# The csv module refuses texts above 128 KB unless told otherwise, and only as a global setting.
_LONGEST_CELL = 2**31 - 1

_BROKEN_PARQUET = (pa.ArrowException, OSError, MemoryError, UnicodeDecodeError)


def is_table(path: Path) -> bool:
    """Whether a file's name is that of a table."""
    return path.name.endswith(TABLE_SUFFIXES)


def column_names(path: Path) -> list[str]:
    """The names of a table's columns; those of the first row for JSON lines.

    Raises:
        DataError: there is no header, or a name occurs twice.
    """
    if path.suffix == ".parquet":
        with _parquet(path) as file:
            names = list(file.schema_arrow.names)
    elif path.name.endswith(_CSV):
        _, header = next(_csv_rows(path), (1, []))
        names = [name.strip() for name in header]
    else:
        _, record = next(json_objects(path))
        names = list(record)
    if not names:
        raise DataError("an empty table", expected="columns with names", path=path, line=1)
    if len(set(names)) < len(names):
        raise DataError(
            f"columns {', '.join(names)[:80]}",
            expected="each name once",
            path=path,
            line=1,
        )
    return names


def count_rows(path: Path) -> int:
    """Number of rows, without parsing them where the format allows."""
    if path.suffix == ".parquet":
        with _parquet(path) as file:
            return file.metadata.num_rows
    return sum(1 for _ in read_cells(path, column_names(path)[:1]))


def read_cells(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Row numbers and the cells of the chosen columns, in the order of `columns`.

    Raises:
        DataError: a column is missing, a row malformed, or there is no row; the line is named.
    """
    names = column_names(path)
    for column in columns:
        if column not in names:
            raise DataError(
                f"no column {column!r}; found {', '.join(names)[:80]}",
                expected=f"the columns {', '.join(columns)}",
                do="rename the column, or name yours as the text or labels column",
                path=path,
                line=1,
            )
    if path.suffix == ".parquet":
        rows = _parquet_cells(path, columns)
    elif path.name.endswith(_CSV):
        rows = _csv_cells(path, columns, names)
    else:
        rows = _json_cells(path, columns)
    number = 0
    for number, cells in rows:
        yield number, cells
    if number == 0:
        raise DataError("a table without rows", expected="at least one row", path=path, line=1)


def _csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with the line each begins on."""
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader((line for _, line in text_lines(path)), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"not CSV: {error}",
                expected='cells separated by commas, in "double quotes" where they hold one',
                path=path,
                line=line,
            ) from error
        if row:
            yield line, row


def _csv_cells(
    path: Path, columns: Sequence[str], names: list[str]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    places = [names.index(column) for column in columns]
    rows = _csv_rows(path)
    next(rows)  # the header
    for line, row in rows:
        if len(row) != len(names):
            raise DataError(
                f"{len(row)} cells",
                expected=f"{len(names)}, as the header has",
                do='write a text that holds a comma in "double quotes"',
                path=path,
                line=line,
            )
        yield line, tuple(row[place] for place in places)


def _json_cells(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    for line, record in json_objects(path):
        for column in columns:
            if column not in record:
                raise DataError(
                    f"no key {column!r}; found {', '.join(record)[:80] or 'none'}",
                    expected=f"the keys {', '.join(columns)}",
                    path=path,
                    line=line,
                )
        yield line, tuple(record[column] for column in columns)


def _parquet_cells(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    number = 0
    with _parquet(path) as file:
        try:
            for batch in file.iter_batches(batch_size=4096, columns=list(columns)):
                for cells in zip(*(batch[column].to_pylist() for column in columns), strict=True):
                    number += 1
                    yield number, cells
        except _BROKEN_PARQUET as error:
            raise _broken_parquet(path, error, number + 1) from error
        if number != file.metadata.num_rows:
            raise DataError(
                f"{number} rows",
                expected=f"{file.metadata.num_rows}, as the end of the file says",
                do="fetch or write the file again",
                path=path,
                line=number + 1,
            )


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """A file whose errors name it; a broken one may be found out late."""
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except _BROKEN_PARQUET as error:
        raise _broken_parquet(path, error, 1) from error


def _broken_parquet(path: Path, error: Exception, row: int) -> DataError:
    message = str(error).splitlines()[0].rstrip(".")
    return DataError(
        f"not Parquet: {message}", expected="a whole Parquet file", path=path, line=row
    )
