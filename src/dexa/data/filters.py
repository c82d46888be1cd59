"""Filter files: pairs of a document and a label that are never true, such as a label's own page.

Each line holds a document and a label, two integers from 0 with white space between.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dexa.data.files import DataWarning, opened
from dexa.errors import DataError
from dexa.storage import atomic_file

_NAMES = {
    "trn": ("filter_labels_train.txt", "trn_filter_labels.txt"),
    "tst": ("filter_labels_test.txt", "tst_filter_labels.txt"),
}
_MISPRINT = "filter_labels_text.txt"

# At most 15 digits, so that every number fits int64 and the range check sees it.
_NOT_A_PAIR = re.compile(rb"^(?!(?:[ \t]*\d{1,15}[ \t]+\d{1,15})?[ \t]*\r?$)", re.MULTILINE)


def filter_file(folder: Path, split: str) -> Path | None:
    """The filter file of a split (``"trn"`` or ``"tst"``) in a data set's folder, or None.

    The misprinted name ``filter_labels_text.txt`` stands for the test file, with a `DataWarning`.
    """
    for name in _NAMES[split]:
        if (folder / name).exists():
            return folder / name
    misprint = folder / _MISPRINT
    if split == "tst" and misprint.exists():
        warnings.warn(
            f"{misprint}: read as filter_labels_test.txt, of which its name is a misprint; "
            "rename it to end this warning",
            DataWarning,
            stacklevel=2,
        )
        return misprint
    return None


def read_filter_pairs(path: Path | None, n_documents: int, n_labels: int) -> NDArray[np.int64]:
    """Read the pairs of a filter file.

    Args:
        path: the file; None, and a file that is not there or is empty, hold no pairs.
        n_documents: number of documents N of the split.
        n_labels: number of labels L.

    Returns:
        Pairs ``[F, 2]`` of document and label, in file order.

    Raises:
        DataError: a line is not two integers in range.
    """
    if path is None or not path.exists():
        return np.empty((0, 2), np.int64)
    with opened(path) as file:
        content = file.read()
    if bad := _NOT_A_PAIR.search(content):
        line = content.count(b"\n", 0, bad.start()) + 1
        raise DataError(
            f"{_line(content, line)!r}",
            expected="a document and a label, two integers from 0",
            path=path,
            line=line,
        )
    if content.isspace() or not content:
        return np.empty((0, 2), np.int64)
    pairs = np.fromstring(content.replace(b"\r", b""), dtype=np.int64, sep=" ").reshape(-1, 2)
    outside = np.flatnonzero((pairs >= (n_documents, n_labels)).any(axis=1))
    if len(outside):
        document, label = pairs[outside[0]].tolist()
        filled = [i for i, text in enumerate(content.split(b"\n"), start=1) if text.strip()]
        raise DataError(
            f"document {document}, label {label}",
            expected=f"a document below {n_documents} and a label below {n_labels}",
            do="check that the filter belongs to this split",
            path=path,
            line=filled[outside[0]],
        )
    return pairs


def _line(content: bytes, number: int) -> str:
    return content.split(b"\n")[number - 1][:80].decode("latin-1").strip()


def write_filter_pairs(path: Path, pairs: NDArray[np.int64]) -> None:
    """Write pairs ``[F, 2]`` of document and label, one a line, atomically."""
    lines = [f"{document} {label}\n" for document, label in pairs.tolist()]
    with atomic_file(path) as draft:
        draft.write_text("".join(lines), encoding="ascii", newline="\n")
