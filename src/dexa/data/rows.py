"""A data set as a stream of rows: what every format gives, and the checks all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from dexa.data.filters import filter_file, read_filter_pairs
from dexa.errors import DataError, InputError

SplitName: TypeAlias = Literal["trn", "tst"]
"""A part of a data set, as its files call train and test."""

SPLITS: tuple[SplitName, ...] = get_args(SplitName)

_LARGEST = float(np.finfo(np.float32).max)


class Row(NamedTuple):
    """One document.

    Attributes:
        text: the chosen fields, joined by a space and stripped.
        labels: its label ids, ascending.
        values: their relevances, all positive, as float32 holds them.
    """

    text: str
    labels: list[int]
    values: list[float]


class Source(ABC):
    """A data set on disk, read row by row in memory that does not grow with the rows.

    Attributes:
        name: the data set's name.
        folder: the folder its files are in.
        fields: the fields that make up a text.
        splits: the parts it has, of ``"trn"`` and ``"tst"``.
        n_labels: number of labels L.
    """

    def __init__(
        self,
        *,
        name: str,
        folder: Path,
        fields: tuple[str, ...],
        splits: tuple[SplitName, ...],
        n_labels: int,
    ) -> None:
        self.name = name
        self.folder = folder
        self.fields = fields
        self.splits = splits
        self.n_labels = n_labels

    @abstractmethod
    def n_documents(self, split: SplitName) -> int:
        """Number of rows of a part, counted without parsing them where the format allows."""

    @abstractmethod
    def rows(self, split: SplitName) -> Iterator[Row]:
        """The documents of a part, in file order.

        Raises:
            InputError: the data set has no such part.
            DataError: a row is broken; the message names its line.
        """

    @abstractmethod
    def label_texts(self) -> Iterator[str]:
        """The text of every label, in the order of their ids."""

    def label_titles(self) -> Iterator[str] | None:
        """The first field of the text of every label; None where it is the whole text."""
        return None

    def filter_file(self, split: SplitName) -> Path | None:
        """The file of a part's filter pairs, if there is one."""
        self.require_split(split)
        return filter_file(self.folder, split)

    def filter_pairs(self, split: SplitName) -> NDArray[np.int64]:
        """Pairs ``[F, 2]`` of document and label that are never true."""
        path = self.filter_file(split)
        if path is None:
            return np.empty((0, 2), np.int64)
        return read_filter_pairs(path, self.n_documents(split), self.n_labels)

    def require_split(self, split: str) -> None:
        """Raise an `InputError` when the data set has no such part."""
        if split not in self.splits:
            raise InputError(
                f"{self.name} has no split {split!r}",
                expected=f"one of {', '.join(self.splits)}",
                path=self.folder,
            )


def join_text(parts: Sequence[Any], fields: Sequence[str], path: Path, line: int) -> str:
    """The text of one row: its fields joined by a space, stripped; a null field is empty.

    Raises:
        DataError: a field is not a string, or holds half a UTF-16 pair, which no tokenizer takes.
    """
    for part, field in zip(parts, fields, strict=True):
        if part is not None and not isinstance(part, str):
            raise DataError(
                f"field {field!r} is {shown(part)}", expected="a string", path=path, line=line
            )
    text = " ".join(part or "" for part in parts).strip()
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(
                f"the text holds a lone surrogate, {text[error.start]!a}",
                expected="whole Unicode characters",
                do="remove it or write the character it was half of",
                path=path,
                line=line,
            ) from error
    return text


def checked_row(
    text: str, labels: list[Any], values: list[Any] | None, n_labels: int, path: Path, line: int
) -> Row:
    """A row with its labels in ascending order.

    A relevance of 0 says that the label is not one of the document's: the pair is left out.

    Raises:
        DataError: a label id is not an integer in ``[0, L)`` or occurs twice, or the relevances
            are not as many numbers of at least 0 that float32 can hold.
    """
    for label in labels:
        if type(label) is not int or not 0 <= label < n_labels:
            raise DataError(
                f"label id {shown(label)}",
                expected=f"an integer from 0 to {n_labels - 1}",
                path=path,
                line=line,
            )
    if len(set(labels)) < len(labels):
        repeated = next(label for i, label in enumerate(labels) if label in labels[:i])
        raise DataError(
            f"label id {repeated} is given twice",
            expected="each label once a row",
            path=path,
            line=line,
        )
    if values is None:
        return Row(text, sorted(labels), [1.0] * len(labels))
    _check_relevances(values, len(labels), path, line)
    rounded = array("f", values)
    pairs = sorted((label, value) for label, value in zip(labels, rounded, strict=True) if value)
    return Row(text, [label for label, _ in pairs], [value for _, value in pairs])


def _check_relevances(values: list[Any], n: int, path: Path, line: int) -> None:
    if len(values) != n:
        raise DataError(
            f"{len(values)} relevances for {n} labels",
            expected="one relevance a label",
            path=path,
            line=line,
        )
    for value in values:
        if type(value) not in (int, float) or not 0 <= value <= _LARGEST:
            raise DataError(
                f"relevance {shown(value)}",
                expected="a number of at least 0 that float32 can hold",
                path=path,
                line=line,
            )


def shown(value: Any) -> str:
    """A value as an error message shows it, cut short when long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
