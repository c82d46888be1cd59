"""The raw form of the Extreme Classification Repository: ``{trn,tst,lbl}.json.gz``.

One JSON object a line. Documents hold the text fields (``title``, ``content``), ``target_ind`` (a
list of label ids) and, if wanted, ``target_rel`` (as many relevances). A label's id is its line's
number in the label file, counted from 0. Plain ``.json`` and ``.jsonl`` are read as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dexa.data.files import byte_lines, json_objects
from dexa.data.rows import SPLITS, Row, Source, SplitName, checked_row, join_text, shown
from dexa.errors import DataError, MissingFileError

_SUFFIXES = (".json.gz", ".jsonl.gz", ".json", ".jsonl")


def raw_file(folder: Path, stem: str) -> Path | None:
    """The file of ``trn``, ``tst`` or ``lbl`` in a folder, compressed or not, or None."""
    candidates = (folder / f"{stem}{suffix}" for suffix in _SUFFIXES)
    return next((path for path in candidates if path.exists()), None)


class RawSource(Source):
    """A folder in raw form."""

    def __init__(self, folder: Path, name: str, fields: tuple[str, ...]) -> None:
        self._files: dict[SplitName, Path] = {
            split: path for split in SPLITS if (path := raw_file(folder, split))
        }
        labels = raw_file(folder, "lbl")
        if labels is None:
            raise MissingFileError(
                "no lbl.json.gz beside the documents",
                expected="the labels, one JSON object a line",
                path=folder,
            )
        self._labels = labels
        super().__init__(
            name=name,
            folder=folder,
            fields=fields,
            splits=tuple(self._files),
            n_labels=_count(labels),
        )

    def n_documents(self, split: SplitName) -> int:
        """Number of documents: lines of the part's file."""
        self.require_split(split)
        return _count(self._files[split])

    def rows(self, split: SplitName) -> Iterator[Row]:
        """The documents of a part, in file order."""
        self.require_split(split)
        path, n_labels = self._files[split], self.n_labels
        for line, record in json_objects(path):
            text = _text(record, self.fields, path, line)
            labels = _list(record, "target_ind", path, line)
            values = _list(record, "target_rel", path, line) if "target_rel" in record else None
            yield checked_row(text, labels, values, n_labels, path, line)

    def label_texts(self) -> Iterator[str]:
        """The text of every label, in the order of their ids."""
        for line, record in json_objects(self._labels):
            yield _text(record, self.fields, self._labels, line)

    def label_titles(self) -> Iterator[str] | None:
        """The first of several fields of every label."""
        if len(self.fields) == 1:
            return None
        records, first = json_objects(self._labels), self.fields[:1]
        return (_text(record, first, self._labels, line) for line, record in records)


def _count(path: Path) -> int:
    """Lines up to the last that is not blank."""
    last = 0
    for number, line in byte_lines(path):
        if not line.isspace():
            last = number
    if last == 0:
        raise DataError("an empty file", expected="one JSON object a line", path=path, line=1)
    return last


def _text(record: dict[str, Any], fields: Sequence[str], path: Path, line: int) -> str:
    for field in fields:
        if field not in record:
            raise DataError(
                f"no field {field!r}; found {', '.join(record)[:80] or 'none'}",
                expected=f"the fields {', '.join(fields)}",
                do="choose others with --fields",
                path=path,
                line=line,
            )
    return join_text([record[field] for field in fields], fields, path, line)


def _list(record: dict[str, Any], key: str, path: Path, line: int) -> list[Any]:
    value = record.get(key)
    if not isinstance(value, list):
        given = shown(value) if key in record else "missing"
        raise DataError(f"{key} is {given}", expected="a list", path=path, line=line)
    return value
