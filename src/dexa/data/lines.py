r"""The form with one text a line: ``{trn,tst}_X.txt``, ``Y.txt`` and ``{trn,tst}_X_Y.txt``.

Only ``\n`` ends a line. Row i of a matrix holds the labels of line i of the documents; a label's id
is its line's number in ``Y.txt``, counted from 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from dexa.data.files import byte_lines, text_lines
from dexa.data.matrix import label_matrix_shape, label_rows
from dexa.data.rows import SPLITS, Row, Source, SplitName
from dexa.errors import DataError, MissingFileError

LINE_FIELDS = ("text",)


def text_file(folder: Path, split: SplitName) -> Path:
    """The documents of a part, one a line."""
    return folder / f"{split}_X.txt"


def label_matrix_file(folder: Path, split: SplitName) -> Path:
    """The labels of a part, as a matrix."""
    return folder / f"{split}_X_Y.txt"


class LineSource(Source):
    """A folder with one text a line."""

    def __init__(self, folder: Path, name: str) -> None:
        self._labels = folder / "Y.txt"
        splits: tuple[SplitName, ...] = tuple(
            split for split in SPLITS if text_file(folder, split).exists()
        )
        for path in (self._labels, *(label_matrix_file(folder, split) for split in splits)):
            if not path.exists():
                raise MissingFileError(
                    "no such file",
                    expected="label texts in Y.txt and labels in trn_X_Y.txt, tst_X_Y.txt",
                    path=path,
                )
        n_labels = sum(1 for _ in byte_lines(self._labels))
        for split in splits:
            _check_columns(label_matrix_file(folder, split), n_labels)
        super().__init__(
            name=name, folder=folder, fields=LINE_FIELDS, splits=splits, n_labels=n_labels
        )

    def n_documents(self, split: SplitName) -> int:
        """Number of documents: rows of the part's matrix."""
        self.require_split(split)
        return label_matrix_shape(label_matrix_file(self.folder, split))[0]

    def rows(self, split: SplitName) -> Iterator[Row]:
        """The documents of a part, in file order."""
        texts, matrix = text_file(self.folder, split), label_matrix_file(self.folder, split)
        n_rows = self.n_documents(split)
        pairs = zip_longest(text_lines(texts), label_rows(matrix))
        for number, (numbered, entries) in enumerate(pairs, start=1):
            if numbered is None or entries is None:
                raise DataError(
                    "a text is missing" if numbered is None else "a text too many",
                    expected=f"{n_rows} lines, as {matrix.name} has rows",
                    path=texts,
                    line=number,
                )
            labels, values = entries
            yield Row(numbered[1].strip(), labels, values)

    def label_texts(self) -> Iterator[str]:
        """The text of every label, in the order of their ids."""
        for _, text in text_lines(self._labels):
            yield text.strip()


def _check_columns(matrix: Path, n_labels: int) -> None:
    _, n_columns = label_matrix_shape(matrix)
    if n_columns != n_labels:
        raise DataError(
            f"{n_columns} columns, but Y.txt has {n_labels} lines",
            expected="one column a label",
            path=matrix,
            line=1,
        )
