"""The journal of a model folder: changes of labels, one behind the other, none of them rewritten.

::

    labels/journal.jsonl      a line a change: kind, labels, texts, and the checksum of its arrays
    labels/000001.safetensors the arrays of the first change, where it has any
    labels/lock               held by whoever writes

The arrays of a change are on disk before its line is, and a line counts once its end is there, so a
kill at any moment leaves the change out or in. Each line holds the checksum of the one before it,
the first that of ``model.json``: a line that was changed, or belongs to another model, is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy.sparse import csr_array

from dexa.errors import ModelFolderError
from dexa.lexical import SparseLinear
from dexa.model.changes import KINDS, Documents, LabelChange, LabelRows
from dexa.storage import append_line, atomic_file, locked, sha256
from dexa.types import CLASSIFIERS, LABEL_SEARCH

FOLDER = "labels"

_JOURNAL, _LOCK = "journal.jsonl", "lock"
_DENSE = {LABEL_SEARCH: "embeddings", CLASSIFIERS: "classifiers"}
_AGAIN = "copy the model again"


class Journal:
    """The changes of a model folder, and how many of them were taken up.

    Args:
        folder: of the model, as it was when its parts were read.
        model: checksum of the ``model.json`` that was read.
    """

    def __init__(self, folder: Path, model: str) -> None:
        self.folder = folder
        self._model = self._last = model
        self._end = self._number = 0

    @classmethod
    def of(cls, folder: Path) -> Journal:
        """The journal of the model that is in a folder now."""
        return cls(folder, sha256(folder / "model.json"))

    def news(self) -> list[LabelChange]:
        """The changes since the last call, in their order.

        Raises:
            ModelFolderError: a change is damaged, or the folder holds another model by now.
        """
        if self.replaced():
            raise ModelFolderError(
                "the model was replaced since it was opened", do="open it again", path=self.folder
            )
        before = self._number, self._end, self._last
        try:
            return [self._change(line) for line in self._lines()]
        except BaseException:
            self._number, self._end, self._last = before
            raise

    def replaced(self) -> bool:
        """Whether the folder holds another model by now."""
        path = self.folder / "model.json"
        return path.is_file() and sha256(path) != self._model

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other writers out.

        Raises:
            StorageError: another one writes for a minute, or the folder cannot be written.
        """
        with locked(self.folder / FOLDER / _LOCK):
            yield

    def append(self, change: LabelChange) -> None:
        """Write a change down; only within `writing`, with all news taken up.

        Raises:
            StorageError: the disk refused a write; the change is not there.
        """
        number = self._number + 1
        rows = change.rows
        entry: dict[str, Any] = {
            "number": number,
            "kind": change.kind,
            "labels": change.labels.tolist(),
        }
        if rows is not None:
            path = self._arrays(number)
            with atomic_file(path) as draft:
                save_file(_tensors(rows), draft)
                draft.chmod((self.folder / "model.json").stat().st_mode & 0o666)
            entry["texts"], entry["arrays"] = list(rows.texts), sha256(path)
            if rows.documents is not None and rows.documents.texts is not None:
                entry["documents"] = list(rows.documents.texts)
        entry["after"] = self._last
        entry["checksum"] = _checksum(entry)
        line = _line(entry)
        append_line(self.folder / FOLDER / _JOURNAL, line, after=self._end)
        self._went_on(line, entry)

    def _lines(self) -> list[bytes]:
        path = self.folder / FOLDER / _JOURNAL
        if not path.is_file():
            if self._end:
                raise ModelFolderError("missing file", do="open the model again", path=path)
            return []
        with path.open("rb") as file:
            file.seek(self._end)
            return file.read().split(b"\n")[:-1]  # what has no end was never written

    def _change(self, line: bytes) -> LabelChange:
        path, number = self.folder / FOLDER / _JOURNAL, self._number + 1
        try:
            entry = json.loads(line)
            if entry["kind"] not in KINDS or entry.pop("checksum") != _checksum(entry):
                raise ValueError("it was changed since it was written")
            if entry["after"] != self._last or entry["number"] != number:
                raise ValueError("it does not follow what is before it")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelFolderError(
                f"a change of labels is damaged: {error}", do=_AGAIN, path=path, line=number
            ) from error
        rows = self._rows(entry) if "arrays" in entry else None
        self._went_on(line, entry)
        return LabelChange(
            kind=entry["kind"], labels=np.array(entry["labels"], np.int64), rows=rows
        )

    def _went_on(self, line: bytes, entry: dict[str, Any]) -> None:
        self._number, self._end = entry["number"], self._end + len(line) + 1
        self._last = hashlib.sha256(line).hexdigest()

    def _rows(self, entry: dict[str, Any]) -> LabelRows:
        path = self._arrays(entry["number"])
        if not path.is_file():
            raise ModelFolderError("missing file", do=_AGAIN, path=path)
        if sha256(path) != entry["arrays"]:
            raise ModelFolderError("changed since it was written", do=_AGAIN, path=path)
        return _restored(load_file(path), entry["texts"], entry.get("documents"))

    def _arrays(self, number: int) -> Path:
        return self.folder / FOLDER / f"{number:06}.safetensors"


@contextlib.contextmanager
def no_writers(folder: Path) -> Iterator[None]:
    """Keep out whoever writes to the journal of a model folder, if there is one."""
    with contextlib.ExitStack() as stack:
        if (folder / FOLDER).is_dir():
            stack.enter_context(locked(folder / FOLDER / _LOCK))
        yield


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=False).encode()


def _checksum(entry: dict[str, Any]) -> str:
    """Of a line's entry, before the checksum itself is put in."""
    return hashlib.sha256(_line(entry)).hexdigest()


def _tensors(rows: LabelRows) -> dict[str, torch.Tensor]:
    tensors = {
        **{_DENSE[name]: vectors for name, vectors in rows.dense.items()},
        "vector_of_label": torch.from_numpy(rows.vector_of_label),
        "frequency": torch.from_numpy(rows.frequency),
    }
    if rows.linear is not None:
        for name, array in rows.linear.arrays().items():
            tensors[f"linear.{name}"] = torch.from_numpy(array)
    if rows.centroids is not None:
        tensors |= _entries("centroids", rows.centroids)
    if rows.documents is not None:
        if rows.documents.vectors is not None:
            tensors["documents.vectors"] = rows.documents.vectors
        if rows.documents.features is not None:
            tensors |= _entries("documents.words", rows.documents.features)
        tensors["documents.indices"] = torch.from_numpy(rows.documents.labels.indices)
        tensors["documents.indptr"] = torch.from_numpy(rows.documents.labels.indptr)
    # a view of a larger array would be written whole, and two views of one are refused
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}


def _entries(name: str, matrix: csr_array) -> dict[str, torch.Tensor]:
    """A sparse matrix as tensors, which `_matrix` puts together."""
    arrays = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
    arrays["width"] = np.array([cast("tuple[int, int]", matrix.shape)[1]])
    return {f"{name}.{part}": torch.from_numpy(array) for part, array in arrays.items()}


def _matrix(name: str, tensors: dict[str, torch.Tensor]) -> csr_array:
    data, indices, indptr, columns = (
        tensors[f"{name}.{part}"].numpy() for part in ("data", "indices", "indptr", "width")
    )
    return csr_array((data, indices, indptr), shape=(len(indptr) - 1, int(columns[0])))


def _restored(
    tensors: dict[str, torch.Tensor], texts: Sequence[str], documents: Sequence[str] | None
) -> LabelRows:
    linear = {
        name.removeprefix("linear."): tensor.numpy()
        for name, tensor in tensors.items()
        if name.startswith("linear.")
    }
    came = None
    if "documents.indptr" in tensors:
        indices, indptr = (tensors[f"documents.{name}"].numpy() for name in ("indices", "indptr"))
        parts = (np.ones(len(indices), np.float32), indices, indptr)
        came = Documents(
            vectors=tensors.get("documents.vectors"),
            features=_matrix("documents.words", tensors)
            if "documents.words.data" in tensors
            else None,
            labels=csr_array(parts, shape=(len(indptr) - 1, len(texts))),
            texts=documents,
        )
    return LabelRows(
        texts=texts,
        dense={name: tensors[key] for name, key in _DENSE.items() if key in tensors},
        vector_of_label=tensors["vector_of_label"].numpy(),
        frequency=tensors["frequency"].numpy(),
        linear=SparseLinear.restored(linear) if linear else None,
        centroids=_matrix("centroids", tensors) if "centroids.data" in tensors else None,
        documents=came,
    )
