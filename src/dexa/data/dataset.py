"""A data set in memory: texts, label texts, label matrices and filter pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse, sparray, spmatrix

from dexa.data.matrix import canonical_csr
from dexa.errors import DataError, InputError

Labels: TypeAlias = Sequence[Sequence[int]] | Sequence[Sequence[str]] | sparray | spmatrix
"""The labels of documents: a list of ids or of label texts each, or a sparse matrix ``[N, L]``."""


ADD_TEXTS = (
    "put them beside the matrices, one a line, as trn_X.txt, tst_X.txt and Y.txt; of the old "
    "single files, `dexa convert IN OUT --to matrices` makes trn_X_Y.txt and tst_X_Y.txt"
)
"""How a data set without texts comes by them."""


def no_pairs() -> NDArray[np.int64]:
    """Filter pairs ``[0, 2]`` of a part that has none."""
    return np.empty((0, 2), np.int64)


def default_fields(name: str) -> tuple[str, ...]:
    """The fields of a text when the user chose none.

    The title alone when the data set's name contains "titles" in any case, else title and content,
    as the research code does.
    """
    return ("title",) if "titles" in name.casefold() else ("title", "content")


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """One part of a data set.

    Attributes:
        labels: float32 ``[N, L]``, indices sorted, none repeated; the values are relevances, 1
            where none are given.
        texts: the N texts; None where there are tokens or features alone.
        filter_pairs: int64 ``[F, 2]``, document and label: never true, removed from predictions.
    """

    labels: csr_array
    texts: Sequence[str] | None
    filter_pairs: NDArray[np.int64] = field(default_factory=no_pairs)

    def __post_init__(self) -> None:
        if self.texts is not None and len(self.texts) != self.n_documents:
            raise DataError(
                f"{len(self.texts)} texts for {self.n_documents} rows of labels",
                expected="one row of labels a text",
            )

    @property
    def n_documents(self) -> int:
        """Number of documents N."""
        return self.labels.shape[0]  # pyright: ignore[reportOptionalSubscript] - SciPy has no types

    @property
    def n_labelled(self) -> int:
        """Documents with a label at least."""
        return int(np.count_nonzero(np.diff(self.labels.indptr)))

    @property
    def n_labels(self) -> int:
        """Number of labels L."""
        return self.labels.shape[1]  # pyright: ignore[reportOptionalSubscript] - SciPy has no types


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """Documents with labels, the labels' texts, and where they came from.

    Attributes:
        name: its folder's name, or what the user called it.
        train: the documents to learn from.
        test: the documents to evaluate on.
        label_texts: the L label texts; None where there are tokens or features alone.
        label_titles: what the L labels are called, the first field of their texts; None where that
            is the whole text.
        folder: where it was read from; None for lists in memory.
        fields: the fields that make up a text; empty where there are none.
    """

    name: str
    train: Split | None
    test: Split | None
    label_texts: Sequence[str] | None
    folder: Path | None
    fields: tuple[str, ...]
    label_titles: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.train is None and self.test is None:
            raise DataError(f"data set {self.name} has neither train nor test documents")
        counts: dict[str, int] = {}
        if self.train is not None:
            counts["columns of train labels"] = self.train.n_labels
        if self.test is not None:
            counts["columns of test labels"] = self.test.n_labels
        if self.label_texts is not None:
            counts["label texts"] = len(self.label_texts)
        if self.label_titles is not None:
            counts["label titles"] = len(self.label_titles)
        if len(set(counts.values())) > 1:
            raise DataError(
                ", ".join(f"{count} {what}" for what, count in counts.items()),
                expected="the same number of labels everywhere",
            )

    @property
    def n_labels(self) -> int:
        """Number of labels L."""
        split = self.test if self.train is None else self.train
        assert split is not None  # __post_init__ has seen to it
        return split.n_labels

    @classmethod
    def from_lists(
        cls,
        texts: Sequence[str],
        labels: Labels,
        label_texts: Sequence[str],
        *,
        test_texts: Sequence[str] | None = None,
        test_labels: Labels | None = None,
        name: str = "in-memory",
    ) -> Dataset:
        """A data set from lists in memory.

        Args:
            texts: N train texts.
            labels: for each its label ids, or the texts of its labels (each among `label_texts`);
                or a sparse matrix ``[N, L]`` of relevances.
            label_texts: L label texts; a label's id is its place.
            test_texts: texts to evaluate on.
            test_labels: their labels, as `labels`.
            name: what to call it.

        Raises:
            DataError: a text is no string, a label is unknown, out of range or given twice, or
                lengths differ; the message names the document.
            InputError: only one of `test_texts` and `test_labels` is given.
        """
        if (test_texts is None) != (test_labels is None):
            raise InputError(
                "only one of test_texts and test_labels is given", expected="both or neither"
            )
        label_list = _strings(label_texts, "label_texts")
        test = None
        if test_texts is not None and test_labels is not None:
            test = _split(test_texts, test_labels, label_list, "test_")
        return cls(
            name=name,
            train=_split(texts, labels, label_list, ""),
            test=test,
            label_texts=label_list,
            folder=None,
            fields=("text",),
        )


def _split(texts: Sequence[str], labels: Labels, label_texts: list[str], prefix: str) -> Split:
    """A part from lists; `prefix` tells train from test in messages."""
    text_list = _strings(texts, f"{prefix}texts")
    argument = f"{prefix}labels"
    if issparse(labels):
        matrix = _checked_matrix(labels, len(label_texts), argument)
    else:
        matrix = _matrix_of_lists(labels, label_texts, argument)
    return Split(labels=matrix, texts=text_list)


def _strings(texts: Sequence[str], argument: str) -> list[str]:
    """The texts as a list of strings, of which there is at least one."""
    if isinstance(texts, str):
        raise DataError(f"{argument} is a single string", expected="a list of strings")
    strings = list(texts)
    if not strings:
        raise DataError(f"{argument} is empty", expected="at least one text")
    for i, text in enumerate(strings):
        if not isinstance(text, str):
            raise DataError(f"{argument}[{i}] is a {type(text).__name__}", expected="a string")
    return strings


def _checked_matrix(labels: Any, n_labels: int, argument: str) -> csr_array:
    """Any sparse matrix as the CSR of a `Split`; pairs of relevance 0 are left out."""
    if labels.shape[1] != n_labels:
        raise DataError(
            f"{argument} has {labels.shape[1]} columns for {n_labels} label texts",
            expected="one column a label text",
        )
    matrix = csr_array(labels, dtype=np.float32, copy=True)
    if not np.isfinite(matrix.data).all() or (matrix.data < 0).any():
        raise DataError(
            f"{argument} holds a relevance that is negative or not finite",
            expected="finite numbers of at least 0",
        )
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix


def _matrix_of_lists(rows: Any, label_texts: list[str], argument: str) -> csr_array:
    """Lists of label ids or of label texts as the CSR of a `Split`."""
    if not isinstance(rows, Sequence | np.ndarray):
        raise DataError(f"{argument} is a {type(rows).__name__}", expected="a list of lists")
    for i, row in enumerate(rows):
        if isinstance(row, str) or not isinstance(row, Sequence | np.ndarray | set | frozenset):
            raise DataError(
                f"{argument}[{i}] is {row!r:.60}", expected="a list of label ids or label texts"
            )
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    pointers = np.concatenate([[0], np.cumsum(lengths)])
    flat = list(chain.from_iterable(rows))
    ids = _label_ids(flat, label_texts, argument, pointers)
    documents = np.repeat(np.arange(len(rows)), lengths)
    order = np.lexsort((ids, documents))
    ids = ids[order]
    repeated = np.flatnonzero((np.diff(ids) == 0) & (np.diff(documents) == 0))
    if len(repeated):
        row = documents[repeated[0]]
        raise DataError(f"{argument}[{row}] names a label twice", expected="each label once")
    ones = np.ones(len(ids), np.float32)
    return canonical_csr(ones, ids, pointers, (len(rows), len(label_texts)))


def _label_ids(
    flat: list[Any], label_texts: list[str], argument: str, pointers: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Label ids of all documents end to end; `pointers` finds the document of a fault."""

    def fault(position: int, expected: str) -> DataError:
        row = int(np.searchsorted(pointers, position, side="right")) - 1
        return DataError(f"{argument}[{row}] holds {flat[position]!r:.60}", expected=expected)

    if flat and isinstance(flat[0], str):
        ids_of = {text: i for i, text in enumerate(label_texts)}
        shared = {text for text, count in Counter(label_texts).items() if count > 1}
        for i, label in enumerate(flat):
            if not isinstance(label, str) or label not in ids_of:
                raise fault(i, "one of label_texts")
            if label in shared:
                raise fault(i, "a label id, because several labels have this text")
        return np.fromiter((ids_of[label] for label in flat), np.int64, len(flat))
    n = len(label_texts)
    for i, label in enumerate(flat):
        whole = isinstance(label, int | np.integer) and not isinstance(label, bool)
        if not whole or not 0 <= label < n:
            raise fault(i, f"a label id from 0 to {n - 1}")
    return np.array(flat, np.int64)
