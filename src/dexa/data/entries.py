r"""Rows of ``index:value`` entries as text: bytes to arrays and back, many rows at a time.

Numbers are read and written by Arrow. Where it does not take a block as it is, because of comments,
rare spellings or a fault, the block is read a second time by a slower way that can tell which.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
from numpy.typing import NDArray

from dexa.data.blocks import fail, shown_bytes

_compute: Any = pc  # its functions are made as it is imported, where no type checker sees them

_ENTRY = rb"\d{1,15}:[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_NOT_A_ROW = re.compile(rb"^(?!(?:%b(?: %b)*)?$)" % (_ENTRY, _ENTRY), re.MULTILINE)
_IS_ENTRY = re.compile(_ENTRY)
_SEPARATORS_TO_SPACES = bytes.maketrans(b":\n", b"  ")

# Arrow reads entries as a table of two columns. It would also take hexadecimal numbers and words
# for infinity, which these characters leave no room for.
_ENTRIES_TO_TABLE = bytes.maketrans(b": ", b",\n")
_CHARACTERS = b"0123456789:.+-eE \n"
_LARGEST_INDEX = 10**15 - 1
_READ = pc_csv.ReadOptions(column_names=["index", "value"], use_threads=False)
_PARSE = pc_csv.ParseOptions(quote_char=False)
_CONVERT = pc_csv.ConvertOptions(
    column_types={"index": pa.uint64(), "value": pa.float64()}, null_values=[]
)


class Rows(NamedTuple):
    """Consecutive rows.

    Attributes:
        indices: int64 ``[E]``, columns of the entries.
        values: float64 ``[E]``.
        counts: int64 ``[R]``, entries of each row.
        lines: int64 ``[R]``, where each row stands in the file.
    """

    indices: NDArray[np.int64]
    values: NDArray[np.float64]
    counts: NDArray[np.int64]
    lines: NDArray[np.int64]

    def float32(self) -> NDArray[np.float32]:
        """The values as float32; those beyond its range become infinite."""
        with np.errstate(over="ignore"):
            return self.values.astype(np.float32)


def parse_rows(block: bytes, lines: NDArray[np.int64], path: Path) -> Rows:
    r"""The rows of whole lines.

    Args:
        block: rows, each ended by ``\n``.
        lines: int64 ``[R]``, the number of each line of the block.
        path: of the file, for the error.

    Raises:
        DataError: something is no entry; the message names its line.
    """
    numbers = _table_numbers(block)
    if numbers is None:
        block, lines = _plain_rows(block, lines, path)
        numbers = _listed_numbers(block)
    characters = np.frombuffer(block, np.uint8)
    line_ends = np.flatnonzero(characters == ord("\n"))
    colons = np.flatnonzero(characters == ord(":"))
    counts = np.diff(np.searchsorted(colons, line_ends), prepend=0)
    return Rows(*numbers, counts, lines)


def _table_numbers(block: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
    """Indices and values of all entries; None if the block is not plain rows, or has none."""
    if block.translate(None, _CHARACTERS):
        return None
    try:
        table = pc_csv.read_csv(
            pa.BufferReader(block.translate(_ENTRIES_TO_TABLE)),
            read_options=_READ,
            parse_options=_PARSE,
            convert_options=_CONVERT,
        )
    except pa.ArrowInvalid:
        return None
    indices = table["index"].to_numpy()
    if len(indices) and indices.max() > _LARGEST_INDEX:
        return None
    return indices.astype(np.int64), table["value"].to_numpy()


def _plain_rows(
    block: bytes, lines: NDArray[np.int64], path: Path
) -> tuple[bytes, NDArray[np.int64]]:
    """The block without comments and stray white space, and the lines that are left of it."""
    if not _NOT_A_ROW.search(block):
        return block, lines
    kept, places = [], []
    for place, line in enumerate(block.split(b"\n")[:-1]):
        content, comment, _ = line.partition(b"#")
        entries = content.split()
        if comment and not entries:
            continue
        if entries and entries[0].startswith(b"qid:"):
            del entries[0]
        kept.append(b" ".join(entries) + b"\n")
        places.append(place)
    block, lines = b"".join(kept), lines[np.array(places, np.int64)]
    if bad := _NOT_A_ROW.search(block):
        row = block.count(b"\n", 0, bad.start())
        entries = block.split(b"\n")[row].split(b" ")
        entry = next(entry for entry in entries if not _IS_ENTRY.fullmatch(entry))
        fail(path, int(lines[row]), shown_bytes(entry), "`index:value`, two numbers")
    return block, lines


def _listed_numbers(block: bytes) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Indices and values of rows that are known to be whole."""
    if block.isspace() or not block:
        return np.empty(0, np.int64), np.empty(0)
    numbers = np.fromstring(block.translate(_SEPARATORS_TO_SPACES), sep=" ")
    return numbers[::2].astype(np.int64), numbers[1::2]


def check_rows(
    rows: Rows, n_columns: int | None, lowest: float, path: Path, *, strict: bool = True
) -> None:
    """Refuse indices out of range or order, and values that float32 cannot hold.

    Args:
        rows: what was read.
        n_columns: indices lie below it, if it is known.
        lowest: the least value allowed.
        path: of the file, for the error.
        strict: whether the indices of a row must ascend.

    Raises:
        DataError: the message names the line of the first fault.
    """
    indices, values = rows.indices, rows.float32()
    unfit = ~np.isfinite(values) | (values < lowest)
    outside = indices >= n_columns if n_columns is not None else np.zeros(len(indices), bool)
    unsorted = np.zeros(len(indices), bool)
    if strict:
        unsorted[1:] = indices[1:] <= indices[:-1]
        starts = np.cumsum(rows.counts)[:-1]
        unsorted[starts[starts < len(indices)]] = False
    faults = np.flatnonzero(outside | unsorted | unfit)
    if not len(faults):
        return
    first = int(faults[0])
    row = int(np.searchsorted(np.cumsum(rows.counts), first, side="right"))
    line = int(rows.lines[row])
    if outside[first]:
        assert n_columns is not None
        allowed = f"an index from 0 to {n_columns - 1}" if n_columns else "no entries: no columns"
        fail(path, line, f"index {indices[first]}", allowed)
    if unsorted[first]:
        given = f"index {indices[first]} after {indices[first - 1]}"
        fail(path, line, given, "ascending indices, each once")
    range_ = "a finite float32" if lowest == -np.inf else f"a finite float32 of at least {lowest:g}"
    fail(path, line, f"value {rows.values[first]:g}", range_)


def format_rows(
    indices: NDArray[np.integer],
    values: NDArray[np.float32],
    pointers: NDArray[np.integer],
    *,
    decimals: bool = True,
) -> pa.StringArray:
    """Rows as strings without line ends.

    Args:
        indices: ``[E]``.
        values: ``[E]``, finite.
        pointers: ``[R + 1]``, where each row begins and ends among the entries.
        decimals: whether whole numbers end in ``.0``.
    """
    words = float_strings(values, decimals=decimals)
    return join_rows(join_pairs(integer_strings(indices), words, ":"), pointers, " ")


def join_rows(words: pa.StringArray, pointers: NDArray[np.integer], by: str) -> pa.StringArray:
    """The words of each row, from ``pointers[r]`` up to ``pointers[r + 1]``, as one string."""
    return _compute.binary_join(pa.ListArray.from_arrays(pointers.astype(np.int32), words), by)


def join_pairs(left: pa.StringArray, right: pa.StringArray, by: str) -> pa.StringArray:
    """Each string of the left with that of the right."""
    return _compute.binary_join_element_wise(left, right, by)


def integer_strings(values: NDArray[np.integer]) -> pa.StringArray:
    """Integers in decimal digits."""
    return _compute.cast(pa.array(values), pa.string())


def as_lines(rows: pa.StringArray) -> memoryview:
    """The rows one after another, a line each."""
    lines = _compute.binary_join_element_wise(rows, "", "\n")
    return memoryview(lines.buffers()[2])


def float_strings(values: NDArray[np.float32], *, decimals: bool = True) -> pa.StringArray:
    """Finite numbers, spelled as briefly as tells them apart from their neighbours.

    This is how NumPy before 2.4 and Python spell them, hence all files of the field: a whole number
    ends in ``.0`` (but without `decimals`, as the repository's Perl script spells it), and what is
    below 0.0001 or from 1e16 on has an exponent (``1e-05``).
    """
    sizes = np.abs(values.astype(np.float64))
    # Within these bounds Arrow spells the same, but for whole numbers.
    common = ((sizes >= 1e-4) & (sizes < 1e10)) | (sizes == 0)
    words = _compute.cast(pa.array(values), pa.string())
    whole = common & (sizes == np.floor(sizes))
    if decimals and whole.any():
        words = _compute.if_else(
            pa.array(whole), _compute.binary_join_element_wise(words, ".0", ""), words
        )
    if common.all():
        return words
    rare = [float_string(value, decimals=decimals) for value in values[~common]]
    return _compute.replace_with_mask(words, pa.array(~common), pa.array(rare, pa.string()))


def float_string(value: np.float32, *, decimals: bool = True) -> str:
    """One number, spelled as by `float_strings`."""
    if value == 0 or 1e-4 <= abs(float(value)) < 1e16:
        return np.format_float_positional(value, trim="0" if decimals else "-")
    return np.format_float_scientific(value, trim="-")
