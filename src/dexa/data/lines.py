r"""The forms with one text a line: texts of documents, texts of labels, and a matrix of the pairs.

Only ``\n`` ends a line. Row i of a matrix holds the labels of line i of the documents; a label's id
is its line's number, counted from 0. `LAYOUTS` has the names that the files go by.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import NamedTuple

from dexa.data.files import byte_lines, latin_1_lines, text_lines
from dexa.data.matrix import label_matrix_shape, label_rows, shape_of
from dexa.data.npz import read_label_npz
from dexa.data.rows import SPLITS, Row, Source, SplitName
from dexa.errors import DataError, MissingFileError

LINE_FIELDS = ("text",)
_WORDS: dict[SplitName, str] = {"trn": "train", "tst": "test"}


class Layout(NamedTuple):
    """What the files are called.

    ``{}`` stands for the part, ``trn`` or ``tst``, and ``{word}`` for ``train`` or ``test``.

    Attributes:
        documents: texts of documents.
        labels: texts of labels.
        pairs: the labels of documents, a matrix as text, for which an archive may stand, or as an
            archive.
        latin_1: whether texts are latin-1; else UTF-8.
    """

    documents: str
    labels: str
    pairs: str
    latin_1: bool = False

    def text_file(self, folder: Path, split: SplitName) -> Path:
        """The documents of a part."""
        return folder / self.documents.format(split, word=_WORDS[split])

    def matrix_file(self, folder: Path, split: SplitName) -> Path:
        """The labels of a part, as text unless there is an archive alone."""
        path = folder / self.pairs.format(split)
        archive = path.with_suffix(".npz")
        return archive if archive.exists() and not path.exists() else path

    def lines(self, path: Path) -> Iterator[tuple[int, str]]:
        """Numbered lines of one of the files with texts."""
        return latin_1_lines(path) if self.latin_1 else text_lines(path)


LINES = Layout("{}_X.txt", "Y.txt", "{}_X_Y.txt")
DEXML = Layout("raw/{}_X.txt", "raw/Y.txt", "Y.{}.npz")
RAW_TEXT = Layout("{}.raw.txt", "lbl.raw.txt", "{}_X_Y.txt", latin_1=True)
OAK = Layout("raw_data/{word}.raw.txt", "raw_data/label.raw.txt", "{}_X_Y.txt")
LAYOUTS = (LINES, DEXML, RAW_TEXT, OAK)


def layout_of(folder: Path) -> Layout | None:
    """The layout of a folder with one text a line; None where it has no such texts."""
    found = (lay for lay in LAYOUTS if any(lay.text_file(folder, s).exists() for s in SPLITS))
    return next(found, None)


class LineSource(Source):
    """A folder with one text a line."""

    def __init__(self, folder: Path, name: str, layout: Layout) -> None:
        self._layout, self._labels = layout, folder / layout.labels
        splits: tuple[SplitName, ...] = tuple(
            split for split in SPLITS if layout.text_file(folder, split).exists()
        )
        for path in (self._labels, *(layout.matrix_file(folder, split) for split in splits)):
            if not path.exists():
                pairs = ", ".join(layout.pairs.format(split) for split in SPLITS)
                raise MissingFileError(
                    "no such file",
                    expected=f"label texts in {layout.labels} and labels in {pairs}",
                    path=path,
                )
        n_labels = sum(1 for _ in byte_lines(self._labels))
        for split in splits:
            _check_columns(layout.matrix_file(folder, split), n_labels, layout.labels)
        super().__init__(
            name=name, folder=folder, fields=LINE_FIELDS, splits=splits, n_labels=n_labels
        )

    def files(self) -> list[Path]:
        """The files that hold texts and labels, filters excepted."""
        lay, folder = self._layout, self.folder
        texts = [lay.text_file(folder, split) for split in self.splits]
        return [self._labels, *texts, *(lay.matrix_file(folder, split) for split in self.splits)]

    def n_documents(self, split: SplitName) -> int:
        """Number of documents: rows of the part's matrix."""
        self.require_split(split)
        return _shape(self._layout.matrix_file(self.folder, split))[0]

    def rows(self, split: SplitName) -> Iterator[Row]:
        """The documents of a part, in file order."""
        texts = self._layout.text_file(self.folder, split)
        matrix = self._layout.matrix_file(self.folder, split)
        n_rows = self.n_documents(split)
        pairs = zip_longest(self._layout.lines(texts), _rows(matrix))
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
        for _, text in self._layout.lines(self._labels):
            yield text.strip()


def _check_columns(matrix: Path, n_labels: int, labels: str) -> None:
    _, n_columns = _shape(matrix)
    if n_columns != n_labels:
        raise DataError(
            f"{n_columns} columns, but {labels} has {n_labels} lines",
            expected="one column a label",
            path=matrix,
            line=None if matrix.suffix == ".npz" else 1,
        )


def _shape(matrix: Path) -> tuple[int, int]:
    if matrix.suffix == ".npz":
        return shape_of(read_label_npz(matrix))
    return label_matrix_shape(matrix)


def _rows(matrix: Path) -> Iterator[tuple[list[int], list[float]]]:
    """Label ids and relevances of one document after another."""
    if matrix.suffix != ".npz":
        yield from label_rows(matrix)
        return
    pairs = read_label_npz(matrix)
    for start, end in pairwise(pairs.indptr):
        yield pairs.indices[start:end].tolist(), pairs.data[start:end].tolist()
