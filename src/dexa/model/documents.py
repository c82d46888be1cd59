"""Texts of training documents in a model folder, which are read when they are first asked for."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import final, overload

DOCUMENTS = "documents.jsonl.gz"


@final
class StoredTexts(Sequence[str]):
    """The texts of a file that `write_texts` wrote.

    Args:
        path: of the file, which may not be there any more when texts are asked for only if they
            were asked for before.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _texts(self) -> list[str]:
        with gzip.open(self._path, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._texts[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)


def stored_texts(path: Path) -> StoredTexts | None:
    """The texts of a file; None where there is none."""
    return StoredTexts(path) if path.is_file() else None


def write_texts(path: Path, texts: Sequence[str]) -> None:
    """Write texts, gzipped, one JSON string a line; the same texts give the same bytes."""
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
    ):
        for text in texts:
            packed.write(json.dumps(text, ensure_ascii=False).encode() + b"\n")
