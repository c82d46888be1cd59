"""A data set with texts, written in the raw form, or with one text a line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dexa.data.dataset import ADD_TEXTS, Dataset, Split
from dexa.data.filters import write_filter_pairs
from dexa.data.lines import LINES, Layout
from dexa.data.matrix import write_matrix
from dexa.data.npz import write_npz
from dexa.data.rows import SplitName
from dexa.errors import DataError
from dexa.storage import atomic_file

_FILTERS: dict[SplitName, str] = {"trn": "filter_labels_train.txt", "tst": "filter_labels_test.txt"}


def splits_of(dataset: Dataset) -> Iterator[tuple[SplitName, Split]]:
    """The parts that a data set has, with what their files are called."""
    if dataset.train is not None:
        yield "trn", dataset.train
    if dataset.test is not None:
        yield "tst", dataset.test


def write_raw(dataset: Dataset, folder: Path) -> None:
    """Write ``{trn,tst,lbl}.json.gz`` into a folder, and filter files where there are pairs.

    A text becomes a ``title``, its ``content`` is empty, its ``uid`` is its place, from 0. Equal
    data sets give equal bytes.

    Raises:
        DataError: the data set has no texts.
        StorageError: the disk refused.
    """
    label_texts = required_texts(dataset, dataset.label_texts)
    _write_json_lines(folder / "lbl.json.gz", map(_item, range(len(label_texts)), label_texts))
    for name, split in splits_of(dataset):
        _write_json_lines(folder / f"{name}.json.gz", _documents(dataset, split))
        write_filters(folder, name, split)


def write_lines(dataset: Dataset, folder: Path, layout: Layout = LINES) -> None:
    r"""Write texts one a line, label matrices, and filter files.

    A ``\n`` within a text becomes a space, for it would end the line.

    Args:
        dataset: with texts.
        folder: to write into.
        layout: what the files are called, and their encoding.

    Raises:
        DataError: the data set has no texts, or one that latin-1 cannot spell where it has to.
        StorageError: the disk refused.
    """
    labels = folder / layout.labels
    labels.parent.mkdir(exist_ok=True)
    _write_text_lines(labels, required_texts(dataset, dataset.label_texts), layout)
    for name, split in splits_of(dataset):
        texts = required_texts(dataset, split.texts)
        _write_text_lines(layout.text_file(folder, name), texts, layout)
        matrix = layout.matrix_file(folder, name)
        (write_npz if matrix.suffix == ".npz" else write_matrix)(matrix, split.labels)
        write_filters(folder, name, split)


def write_filters(folder: Path, name: SplitName, split: Split) -> None:
    """Write the filter file of a part that has pairs."""
    if len(split.filter_pairs):
        write_filter_pairs(folder / _FILTERS[name], split.filter_pairs)


def required_texts(dataset: Dataset, texts: Sequence[str] | None) -> Sequence[str]:
    """The texts of a part of a data set, which must have some.

    Raises:
        DataError: there are none.
    """
    if texts is None:
        raise DataError(
            f"data set {dataset.name} has no texts",
            expected="texts",
            do=ADD_TEXTS,
            path=dataset.folder,
        )
    return texts


def _item(place: int, text: str) -> dict[str, Any]:
    return {"uid": str(place), "title": text, "content": ""}


def _documents(dataset: Dataset, split: Split) -> Iterator[dict[str, Any]]:
    labels: list[int] = split.labels.indices.tolist()  # pyright: ignore[reportAssignmentType]
    values: list[float] = split.labels.data.tolist()  # pyright: ignore[reportAssignmentType]
    ends: list[int] = split.labels.indptr.tolist()  # pyright: ignore[reportAssignmentType]
    for place, text in enumerate(required_texts(dataset, split.texts)):
        row = slice(ends[place], ends[place + 1])
        yield {**_item(place, text), "target_ind": labels[row], "target_rel": values[row]}


def _write_json_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Gzipped JSON lines with ASCII escapes; no name and time in the header, for equal bytes."""
    with (
        atomic_file(path) as draft,
        draft.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file,
    ):
        for record in records:
            file.write(json.dumps(record).encode("ascii") + b"\n")


def _write_text_lines(path: Path, texts: Sequence[str], layout: Layout) -> None:
    encoding = "latin-1" if layout.latin_1 else "utf-8"
    with atomic_file(path) as draft, draft.open("w", encoding=encoding, newline="\n") as file:
        for line, text in enumerate(texts, start=1):
            try:
                file.write(text.replace("\n", " ") + "\n")
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{text[error.start]!r} in {text[:60]!r}",
                    expected="letters of latin-1, the encoding of this form",
                    do="choose the form lines, which is UTF-8",
                    path=path,
                    line=line,
                ) from error
