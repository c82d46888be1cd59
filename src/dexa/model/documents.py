"""Texts of training documents in a model folder, which are read when they are first asked for."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import final, overload

from dexa.errors import ModelFolderError
from dexa.storage import sha256

DOCUMENTS = "documents.jsonl.gz"


@final
class StoredTexts(Sequence[str]):
    """The texts of a file that `write_texts` wrote.

    Args:
        path: of the file.
        checksum: of the file, so that texts of another model that has taken its place are refused.
    """

    def __init__(self, path: Path, checksum: str) -> None:
        self._path, self._checksum = path, checksum

    @cached_property
    def _texts(self) -> list[str]:
        if not self._path.is_file() or sha256(self._path) != self._checksum:
            raise ModelFolderError(
                "changed since the model was opened", do="open the model again", path=self._path
            )
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


def write_texts(path: Path, texts: Sequence[str]) -> None:
    """Write texts, gzipped, one JSON string a line; the same texts give the same bytes."""
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed,
    ):
        for text in texts:
            packed.write(json.dumps(text, ensure_ascii=False).encode() + b"\n")
