"""Which form a path holds, and the ways into it: row by row, or all into memory."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dexa.data.cells import TABLE_SUFFIXES, is_table
from dexa.data.dataset import Dataset, Split, default_fields
from dexa.data.filters import filter_file, read_filter_pairs
from dexa.data.lines import LINE_FIELDS, LINES, LineSource, layout_of
from dexa.data.matrix import canonical_csr, label_matrix_shape, read_label_matrix
from dexa.data.raw import RawSource, raw_file
from dexa.data.rows import SPLITS, Source, SplitName
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
    if _is_prepared(path):
        raise DataError(
            "a prepared data set: it has tokens, but no texts",
            expected=_FORMS,
            do="give the folder with the texts",
            path=path,
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

    Takes what `open_source` does, and the prepared form (``trn_X_Y.txt``, ``tst_X_Y.txt`` beside
    token arrays, which are not read here): its texts and label texts are None.

    Raises:
        MissingFileError: as `open_source`.
        DataError: as `open_source`, or a row is broken; the message names its line.
        InputError: as `open_source`.
    """
    path = Path(path)
    if path.is_dir() and _has_no_texts(path) and _is_prepared(path):
        return _load_prepared(path, _checked_fields(fields) or ())
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


def _has_no_texts(folder: Path) -> bool:
    has_raw = any(raw_file(folder, split) for split in SPLITS)
    return not has_raw and layout_of(folder) is None and not split_tables(folder)


def _is_prepared(folder: Path) -> bool:
    return any(LINES.matrix_file(folder, split).exists() for split in SPLITS)


def _load_prepared(folder: Path, fields: tuple[str, ...]) -> Dataset:
    splits: dict[SplitName, Split] = {}
    for split in SPLITS:
        path = LINES.matrix_file(folder, split)
        if not path.exists():
            continue
        n_documents, n_labels = label_matrix_shape(path)
        pairs = read_filter_pairs(filter_file(folder, split), n_documents, n_labels)
        splits[split] = Split(labels=read_label_matrix(path), texts=None, filter_pairs=pairs)
    train, test = splits.get("trn"), splits.get("tst")
    if train is not None and test is not None and train.n_labels != test.n_labels:
        raise DataError(
            f"{test.n_labels} columns",
            expected=f"{train.n_labels}, as {LINES.matrix_file(folder, 'trn').name} has",
            path=LINES.matrix_file(folder, "tst"),
            line=1,
        )
    return Dataset(
        name=_name(folder), train=train, test=test, label_texts=None, folder=folder, fields=fields
    )


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
