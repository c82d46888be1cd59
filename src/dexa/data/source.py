"""Which form a path holds, and the ways into it: row by row, or all into memory."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from dexa.data.cells import TABLE_SUFFIXES, is_table
from dexa.data.dataset import ADD_TEXTS, Dataset, Split, default_fields
from dexa.data.filters import filter_file, read_filter_pairs
from dexa.data.lines import LINE_FIELDS, LINES, LineSource, layout_of
from dexa.data.matrix import canonical_csr, shape_of
from dexa.data.npz import read_labels
from dexa.data.raw import RawSource, raw_file
from dexa.data.rows import SPLITS, Source, SplitName
from dexa.data.single_file import read_single_file, single_files
from dexa.data.tables import TableSource, split_tables, table_file
from dexa.errors import DataError, InputError, MissingFileError

_FORMS = "trn.json.gz, trn_X.txt, train.{csv,jsonl,parquet} or a prepared trn_X_Y.txt"


def open_source(
    path: str | Path,
    *,
    fields: Sequence[str] | None = None,
    text_column: str = "text",
    labels_column: str = "labels",
) -> Source:
    """Open a data set for reading row by row.

    A folder may hold, looked for in this order: the raw form (``trn.json.gz`` …), one text a line
    (``trn_X.txt`` …, or another of `LAYOUTS`), or tables (``train.csv`` …). A path may also be a
    single table.

    Args:
        path: a folder or a table.
        fields: what makes up a text, joined by a space: keys of the raw form, by default
            `default_fields` of the name; columns of a table, by default `text_column`.
        text_column: the column of a table that holds the text.
        labels_column: the column of a table that holds the labels.

    Raises:
        MissingFileError: there is no such path, or part of the form is missing.
        DataError: the folder has none of the forms, or its labels are broken.
        InputError: `fields` cannot be chosen for this form.
    """
    path = Path(path)
    chosen = _checked_fields(fields)
    name = _name(path)
    if not path.exists():
        raise MissingFileError("no such folder or file", expected=_FORMS, path=path)
    if _has_no_texts(path):
        raise DataError(
            "labels, tokens or features, but no texts",
            expected=_FORMS,
            do=ADD_TEXTS,
            path=path,
        )
    if path.is_file():
        return _single_table(path, chosen or (text_column,), labels_column)
    if any(raw_file(path, split) for split in SPLITS):
        return RawSource(path, name, chosen or default_fields(name))
    if layout := layout_of(path):
        if chosen not in (None, LINE_FIELDS):
            raise InputError(
                f"fields {', '.join(chosen)} of texts that are whole lines",
                expected="no choice of fields",
                path=path,
            )
        return LineSource(path, name, layout)
    if tables := split_tables(path):
        return TableSource(
            tables,
            table_file(path, "labels"),
            name=name,
            fields=chosen or (text_column,),
            labels_column=labels_column,
        )
    raise DataError(
        "no data set in a form that is known",
        expected=_FORMS,
        do="see the page on data formats",
        path=path,
    )


def load_dataset(
    path: str | Path,
    *,
    fields: Sequence[str] | None = None,
    text_column: str = "text",
    labels_column: str = "labels",
) -> Dataset:
    """Read a data set into memory.

    Takes what `open_source` does, and forms that have labels but no texts, whose tokens or features
    are not read here: the prepared form (``trn_X_Y.txt``, ``tst_X_Y.txt``) and the old single files
    (``train.txt``, ``test.txt``, or one of them). Their texts and label texts are None.

    Raises:
        MissingFileError: as `open_source`.
        DataError: as `open_source`, or a row is broken; the message names its line.
        InputError: as `open_source`.
    """
    path = Path(path)
    if _has_no_texts(path):
        return _load_labels(path, _checked_fields(fields) or ())
    source = open_source(path, fields=fields, text_column=text_column, labels_column=labels_column)
    titles = source.label_titles()
    return Dataset(
        name=source.name,
        label_texts=list(source.label_texts()),
        label_titles=None if titles is None else list(titles),
        train=_load_split(source, "trn"),
        test=_load_split(source, "tst"),
        folder=source.folder,
        fields=source.fields,
    )


def _name(path: Path) -> str:
    """The name of the folder as given, links not followed; a table's name without its suffix."""
    name = path.absolute().name
    if name == "..":
        name = path.resolve().name
    suffix = next((s for s in TABLE_SUFFIXES if path.is_file() and name.endswith(s)), "")
    return name.removesuffix(suffix)


def _checked_fields(fields: Sequence[str] | None) -> tuple[str, ...] | None:
    if fields is None:
        return None
    if isinstance(fields, str) or not fields or not all(isinstance(f, str) and f for f in fields):
        raise InputError(
            f"fields {fields!r}", expected="a list of names such as ['title', 'content']"
        )
    return tuple(fields)


def _single_table(path: Path, fields: tuple[str, ...], labels_column: str) -> Source:
    if not is_table(path):
        raise DataError(
            "a file that is no table",
            expected=f"a folder, or a table ({', '.join(TABLE_SUFFIXES)})",
            path=path,
        )
    return TableSource(
        {"trn": path}, None, name=_name(path), fields=fields, labels_column=labels_column
    )


def _has_no_texts(path: Path) -> bool:
    """Whether a path holds labels of documents, but no texts."""
    if path.is_file():
        return not is_table(path) and bool(single_files(path))
    if any(raw_file(path, split) for split in SPLITS) or layout_of(path) or split_tables(path):
        return False
    return _is_prepared(path) or bool(single_files(path))


def _is_prepared(folder: Path) -> bool:
    return any(LINES.matrix_file(folder, split).exists() for split in SPLITS)


def _load_labels(path: Path, fields: tuple[str, ...]) -> Dataset:
    """The labels of a form without texts; filters go with a folder."""
    folder = path if path.is_dir() else None
    files: dict[SplitName, Path] = single_files(path)
    read = _labels_of_single_file
    if folder and _is_prepared(folder):
        files = {split: LINES.matrix_file(folder, split) for split in SPLITS}
        read = read_labels
    splits: dict[SplitName, Split] = {}
    for split in SPLITS:
        if split not in files or not files[split].exists():
            continue
        labels = read(files[split])
        pairs = read_filter_pairs(folder and filter_file(folder, split), *shape_of(labels))
        splits[split] = Split(labels=labels, texts=None, filter_pairs=pairs)
    train, test = splits.get("trn"), splits.get("tst")
    if train is not None and test is not None and train.n_labels != test.n_labels:
        raise DataError(
            f"{test.n_labels} labels",
            expected=f"{train.n_labels}, as {files['trn'].name} has",
            path=files["tst"],
            line=1,
        )
    return Dataset(
        name=_name(path), train=train, test=test, label_texts=None, folder=folder, fields=fields
    )


def _labels_of_single_file(path: Path) -> csr_array:
    return read_single_file(path).labels


def _load_split(source: Source, split: SplitName) -> Split | None:
    if split not in source.splits:
        return None
    texts: list[str] = []
    labels, values, ends = array("q"), array("f"), array("q", [0])
    for row in source.rows(split):
        texts.append(row.text)
        labels.extend(row.labels)
        values.extend(row.values)
        ends.append(len(labels))
    matrix = canonical_csr(
        np.array(values, np.float32),
        np.array(labels, np.int64),
        np.array(ends, np.int64),
        (len(texts), source.n_labels),
    )
    pairs = read_filter_pairs(source.filter_file(split), len(texts), source.n_labels)
    return Split(labels=matrix, texts=texts, filter_pairs=pairs)
