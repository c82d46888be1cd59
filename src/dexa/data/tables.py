"""Tables with a text column and a column of labels, as people have their own data.

A folder holds ``train.*``, if wanted ``test.*`` and ``labels.*``, each CSV, JSON lines or Parquet;
or a single table is a data set without test documents.

**A cell of labels** is a list (JSON, Parquet) of integers or strings, one integer, or a string. A
string that begins with ``[`` is a JSON list. Any other is cut at ``;`` if it has one, else at ``,``
if it has one, else at white space if that leaves only integers; else it is one label. A null or an
empty cell is a document without labels.

**With a labels table**, a label's id is its row, counted from 0. Its column ``label`` (or ``id``)
holds what documents call it by; without such a column they call it by its id. Its text is in the
same columns as the documents' text if it has them, else in ``text``.

**Without**, the labels are the sorted strings seen in train, each its own text; test labels never
seen there are dropped and counted in a warning.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dexa.data.cells import TABLE_SUFFIXES, column_names, count_rows, read_cells
from dexa.data.files import DataWarning
from dexa.data.rows import SPLITS, Row, Source, SplitName, join_text, shown
from dexa.errors import DataError

_STEMS: dict[SplitName, str] = {"trn": "train", "tst": "test"}
_KEY_COLUMNS = ("label", "id")
_INTEGERS = re.compile(r"-?\d+(\s+-?\d+)*")


def table_file(folder: Path, stem: str) -> Path | None:
    """The table called `stem` in a folder, or None.

    Raises:
        DataError: it is there in several formats.
    """
    found = [path for s in TABLE_SUFFIXES if (path := folder / f"{stem}{s}").exists()]
    if len(found) > 1:
        raise DataError(
            f"both {found[0].name} and {found[1].name}",
            expected=f"one table of the name {stem}",
            do="remove the one that is not meant",
            path=folder,
        )
    return found[0] if found else None


def split_tables(folder: Path) -> dict[SplitName, Path]:
    """The tables of documents in a folder."""
    return {split: path for split in SPLITS if (path := table_file(folder, _STEMS[split]))}


class TableSource(Source):
    """Tables of documents, with or without a table of labels."""

    def __init__(
        self,
        tables: dict[SplitName, Path],
        label_table: Path | None,
        *,
        name: str,
        fields: tuple[str, ...],
        labels_column: str,
    ) -> None:
        self._tables = tables
        self._label_table = label_table
        self._columns = (*fields, labels_column)
        folder = next(iter(tables.values())).parent
        self._ids = self._seen_in_train(folder) if label_table is None else _table_ids(label_table)
        super().__init__(
            name=name,
            folder=folder,
            fields=fields,
            splits=tuple(tables),
            n_labels=len(self._ids),
        )

    def n_documents(self, split: SplitName) -> int:
        """Number of documents: rows of the part's table."""
        self.require_split(split)
        return count_rows(self._tables[split])

    def rows(self, split: SplitName) -> Iterator[Row]:
        """The documents of a part, in file order."""
        self.require_split(split)
        path, dropped = self._tables[split], 0
        for line, (*parts, cell) in read_cells(path, self._columns):
            text = join_text(parts, self.fields, path, line)
            labels = []
            for key in label_keys(cell, path, line):
                if (label := self._ids.get(key)) is not None:
                    labels.append(label)
                elif self._label_table is None:
                    dropped += 1
                else:
                    raise self._unknown(key, path, line)
            yield Row(text, sorted(labels), [1.0] * len(labels))
        if dropped:
            warnings.warn(
                f"{path}: {dropped} labels were dropped because train has no document with them; "
                "give a labels table to keep them",
                DataWarning,
                stacklevel=2,
            )

    def filter_file(self, split: SplitName) -> Path | None:
        """The file of a part's filter pairs; only ``train.*`` and ``test.*`` can have one."""
        self.require_split(split)
        named = self._tables[split].name.startswith(f"{_STEMS[split]}.")
        return super().filter_file(split) if named else None

    def label_texts(self) -> Iterator[str]:
        """The text of every label, in the order of their ids."""
        if self._label_table is None:
            return iter(self._ids)
        return _texts(self._label_table, self._label_fields(self._label_table))

    def label_titles(self) -> Iterator[str] | None:
        """The first of several columns of every label."""
        if self._label_table is None or len(self._label_fields(self._label_table)) == 1:
            return None
        return _texts(self._label_table, self.fields[:1])

    def _label_fields(self, table: Path) -> tuple[str, ...]:
        return self.fields if set(self.fields) <= set(column_names(table)) else ("text",)

    def _seen_in_train(self, folder: Path) -> dict[str, int]:
        """Ids of the label strings of train, in sorted order."""
        if "trn" not in self._tables:
            raise DataError(
                "a test table alone",
                expected="a train table, or a labels table that says what the labels are",
                path=folder,
            )
        path = self._tables["trn"]
        seen: set[str] = set()
        for line, cells in read_cells(path, self._columns):
            seen.update(label_keys(cells[-1], path, line))
        if not seen:
            raise DataError(
                "no document has a label",
                expected=f"labels in the column {self._columns[-1]!r}",
                path=path,
                line=1,
            )
        return {key: i for i, key in enumerate(sorted(seen))}

    def _unknown(self, key: str, path: Path, line: int) -> DataError:
        assert self._label_table is not None
        return DataError(
            f"unknown label {key!r:.60}",
            expected=f"one of the {self.n_labels} labels of {self._label_table.name}",
            path=path,
            line=line,
        )


def _texts(table: Path, fields: tuple[str, ...]) -> Iterator[str]:
    for line, parts in read_cells(table, fields):
        yield join_text(parts, fields, table, line)


def _table_ids(path: Path) -> dict[str, int]:
    """What documents call each label by, and its id."""
    names = column_names(path)
    column = next((name for name in _KEY_COLUMNS if name in names), None)
    if column is None:
        return {str(i): i for i in range(count_rows(path))}
    ids: dict[str, int] = {}
    for line, (cell,) in read_cells(path, [column]):
        key = _key(cell, path, line)
        if key in ids:
            raise DataError(
                f"label {key!r:.60} occurs twice", expected="each label once", path=path, line=line
            )
        ids[key] = len(ids)
    return ids


def label_keys(cell: Any, path: Path, line: int) -> list[str]:
    """The labels that a cell names, by the rule in the module's description.

    Raises:
        DataError: the cell is no list of integers or strings, a name is empty or given twice.
    """
    if cell is None:
        return []
    if isinstance(cell, str):
        keys = _keys_of_string(cell.strip(), path, line)
    else:
        keys = [_key(item, path, line) for item in (cell if isinstance(cell, list) else [cell])]
    if len(set(keys)) < len(keys):
        repeated = next(key for i, key in enumerate(keys) if key in keys[:i])
        raise DataError(
            f"label {repeated!r:.60} is given twice",
            expected="each label once a row",
            path=path,
            line=line,
        )
    return keys


def _keys_of_string(cell: str, path: Path, line: int) -> list[str]:
    if cell.startswith("["):
        try:
            items = json.loads(cell)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"labels {shown(cell)} are not JSON: {error}",
                expected='a list such as ["a", "b"]',
                path=path,
                line=line,
            ) from error
        return [_key(item, path, line) for item in items]
    for separator in (";", ","):
        if separator in cell:
            return [part.strip() for part in cell.split(separator) if part.strip()]
    if _INTEGERS.fullmatch(cell):
        return cell.split()
    return [cell] if cell else []


def _key(item: Any, path: Path, line: int) -> str:
    """A label as the string it is known by."""
    if isinstance(item, str) and item.strip():
        return item.strip()
    if isinstance(item, int) and not isinstance(item, bool):
        return str(item)
    raise DataError(f"label {shown(item)}", expected="an integer or a string", path=path, line=line)
