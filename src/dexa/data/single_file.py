r"""The old form of the Extreme Classification Repository: features and labels in one file.

The first line is ``N V L``: documents, features, labels. Each further line is a document,
``l1,l2 f:v f:v``: its label ids, a space, its features as ``index:value``, ascending. The line of a
document without labels begins with a space. Relevances have no place in this form. For example
``'3 4 2\n0,1 0:0.5 3:1.0\n 2:1.0\n1 \n'``.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.data.blocks import check_row_count, fail, line_reader, read_counts, shown_bytes
from dexa.data.entries import (
    Rows,
    as_lines,
    check_rows,
    format_rows,
    integer_strings,
    join_pairs,
    join_rows,
    parse_rows,
)
from dexa.data.files import DataWarning
from dexa.data.matrix import (
    canonical_csr,
    check_not_more,
    csr_rows,
    row_parts,
    shape_of,
    writable_csr,
)
from dexa.data.rows import SplitName
from dexa.errors import DataError
from dexa.storage import atomic_file

SINGLE_FILES: dict[SplitName, str] = {"trn": "train.txt", "tst": "test.txt"}
"""What the files of a folder are called."""

_HEADER = "documents features labels"
_HINTS = {2: "this looks like one matrix alone; read it with read_matrix"}
_LABELS = rb"\d{1,15}(?:,\d{1,15})*"
_NOT_LABELS = re.compile(rb"^(?!(?:%b)?$)" % _LABELS, re.MULTILINE)
_SEPARATORS_TO_SPACES = bytes.maketrans(b",\n", b"  ")
_WHITE_TO_SPACES = bytes.maketrans(b"\t\r\f\v", b"    ")


class SingleFile(NamedTuple):
    """What a file of the old form holds.

    Attributes:
        features: float32 ``[N, V]``.
        labels: float32 ``[N, L]``, all values 1.
    """

    features: csr_array
    labels: csr_array


def is_single_file(path: Path) -> bool:
    """Whether the first line of a text file that is no comment is three integers."""
    with line_reader(path) as reader:
        while line := reader.read_line():
            content, comment, _ = line.partition(b"#")
            if content.strip() or not comment:
                words = content.split()
                return len(words) == 3 and all(word.isdigit() for word in words)
    return False


def single_files(path: Path) -> dict[SplitName, Path]:
    """The parts of a data set in the old form, of a folder or a file; none of other forms."""
    if path.is_file():
        files: dict[SplitName, Path] = {split_of(path): path}
    else:
        files = {split: path / name for split, name in SINGLE_FILES.items()}
    return {split: file for split, file in files.items() if file.is_file() and is_single_file(file)}


def split_of(path: Path) -> SplitName:
    """The part that a file alone is: train, unless its name begins with ``test`` or ``tst``."""
    return "tst" if path.name.startswith(("test", "tst")) else "trn"


def read_single_file(path: str | Path) -> SingleFile:
    """Read features and labels of documents from one file of the old form.

    Labels may stand in any order. A document may lack features, labels, or both.

    Raises:
        MissingFileError: there is no such file.
        DataError: the header or a row is malformed, an index is out of range or repeated, features
            are out of order, a value is not a finite float32, or the rows are not as many as the
            header says.
    """
    path = Path(path)
    with line_reader(path) as reader:
        n_rows, n_features, n_labels = read_counts(reader, _HEADER, _HINTS)
        features, labels, n_read = [], [], 0
        for first, block in reader.blocks():
            lines = np.arange(first, reader.line + 1)
            label_part, feature_part, lines = _parts(block, lines)
            rows = _label_rows(label_part, lines, path)
            check_rows(rows, n_labels, 0.0, path)
            labels.append(rows)
            rows = parse_rows(feature_part, lines, path)
            check_rows(rows, n_features, -np.inf, path)
            features.append(rows)
            n_read += len(rows.counts)
            check_not_more(rows.lines, n_read, n_rows, path)
        check_row_count(reader, n_read, n_rows)
    return SingleFile(_matrix(features, (n_rows, n_features)), _matrix(labels, (n_rows, n_labels)))


def _matrix(parts: list[Rows], shape: tuple[int, int]) -> csr_array:
    counts = np.concatenate([np.zeros(1, np.int64), *(part.counts for part in parts)])
    indices = np.concatenate([np.empty(0, np.int64), *(part.indices for part in parts)])
    values = np.concatenate([np.empty(0, np.float32), *(part.float32() for part in parts)])
    return canonical_csr(values, indices, np.cumsum(counts), shape)


def _parts(block: bytes, lines: NDArray[np.int64]) -> tuple[bytes, bytes, NDArray[np.int64]]:
    """What stands before and behind the first space of each line, as lines of their own.

    A line without a space has labels alone. Comments go first, and lines of a comment alone.
    """
    if b"#" in block:
        split = [line.partition(b"#") for line in block.split(b"\n")[:-1]]
        kept = [bool(content.strip() or not comment) for content, comment, _ in split]
        block = b"".join(c + b"\n" for (c, _, _), keep in zip(split, kept, strict=True) if keep)
        lines = lines[np.array(kept)]
    block = block.translate(_WHITE_TO_SPACES)
    characters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    starts = np.concatenate([[0], ends + 1])[:-1]
    spaces = np.flatnonzero(characters == ord(" "))
    following = np.searchsorted(spaces, starts)
    first = np.append(spaces, len(block))[following]
    cuts = np.minimum(first, ends)
    # +1 where labels begin, -1 where they end: the running sum tells the two parts apart.
    steps = np.zeros(len(block) + 1, np.int8)
    steps[starts] += 1
    steps[cuts] -= 1
    in_labels = np.cumsum(steps[:-1], dtype=np.int8).astype(bool)
    in_labels[ends] = True
    in_features = ~in_labels
    in_features[first[first < ends]] = False
    in_features[ends] = True
    return characters[in_labels].tobytes(), characters[in_features].tobytes(), lines


def _label_rows(block: bytes, lines: NDArray[np.int64], path: Path) -> Rows:
    """Rows of label ids with commas between, sorted, each with the value 1."""
    if bad := _NOT_LABELS.search(block):
        row = block.count(b"\n", 0, bad.start())
        given = block.split(b"\n")[row]
        hint = "begin the line of a document without labels with a space" if b":" in given else ""
        fail(path, int(lines[row]), shown_bytes(given), "labels `l1,l2` before the features", hint)
    characters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    commas = np.searchsorted(np.flatnonzero(characters == ord(",")), ends)
    counts = np.diff(commas, prepend=0) + (np.diff(ends, prepend=-1) > 1)
    ids = np.empty(0, np.int64)
    if counts.any():
        ids = np.fromstring(block.translate(_SEPARATORS_TO_SPACES), np.int64, sep=" ")
    order = np.lexsort((ids, np.repeat(np.arange(len(counts)), counts)))
    return Rows(ids[order], np.ones(len(ids)), counts, lines)


def write_single_file(path: str | Path, features: csr_array, labels: csr_array) -> None:
    """Write features and labels of documents as one file of the old form, atomically.

    Args:
        path: the file to write.
        features: ``[N, V]``, written as by `write_matrix`.
        labels: ``[N, L]``; entries of value 0 are left out. Relevances other than 1 are lost,
            which a `DataWarning` says.

    Raises:
        DataError: the rows are not as many, or a value is not finite.
        StorageError: the disk refused.
    """
    path = Path(path)
    features, labels = writable_csr(features, path), writable_csr(labels, path)
    (n_rows, n_features), (n_label_rows, n_labels) = shape_of(features), shape_of(labels)
    if n_rows != n_label_rows:
        raise DataError(
            f"{n_rows} rows of features and {n_label_rows} of labels",
            expected="one of each a document",
            path=path,
        )
    labels = labels.copy()  # it may share its indices with the one that was given
    labels.eliminate_zeros()
    if graded := int(np.count_nonzero(labels.data != 1)):
        warnings.warn(
            f"{path}: {graded} relevances are not 1; this form has no place for them, and they "
            "are left out",
            DataWarning,
            stacklevel=2,
        )
    with atomic_file(path) as draft, draft.open("wb") as file:
        file.write(b"%d %d %d\n" % (n_rows, n_features, n_labels))
        for rows in row_parts(features):
            file.write(as_lines(_documents(features, labels, rows)))


def _documents(features: csr_array, labels: csr_array, rows: slice) -> pa.StringArray:
    ids, _, pointers = csr_rows(labels, rows)
    label_part = join_rows(integer_strings(ids), pointers, ",")
    return join_pairs(label_part, format_rows(*csr_rows(features, rows)), " ")
