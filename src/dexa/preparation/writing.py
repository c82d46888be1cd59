"""A data set streamed into token files."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dexa.data import Row, Source, open_source
from dexa.data.lines import LineSource
from dexa.data.rows import SplitName
from dexa.encoders import open_tokenizer
from dexa.errors import InputError
from dexa.preparation.manifest import (
    FORMAT,
    MANIFEST,
    SIDES,
    Manifest,
    changed_file,
    load_manifest,
    matrix_file,
    named,
    records,
    token_files,
    tokenizer_sha256,
)
from dexa.preparation.streams import chunks, matrix_writer, token_writer
from dexa.recipe import EncoderChoice, Recipe, Size, completed
from dexa.storage import atomic_file, write_json
from dexa.tokens import TextTokenizer, TokenArray
from dexa.types import Progress, Silence

_VALID_LABELS = "valid_labels.txt"
_INPUT_STEMS = {"trn", "tst", "lbl", "train", "test", "labels"}


def prepare(
    path: str | Path,
    *,
    encoder: str,
    max_length: int | None = None,
    fields: Sequence[str] | None = None,
    output: str | Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Tokenise a data set once, in memory that does not grow with the number of documents.

    Running it again does nothing unless the inputs, the tokenizer, the length, the fields or the
    outputs have changed. Each file is either whole or not there, and ``dataset.json`` is written
    last: a folder without it was not finished.

    Args:
        path: a data set that `dexa.data.open_source` takes.
        encoder: whose tokenizer to use, as in `dexa.encoders.open_tokenizer`.
        max_length: tokens of a text, special ones included; None: 32 for titles, 128 for full text.
        fields: what makes up a text; None leaves them to the data set's name.
        output: the folder to write to; None is the data set's own.
        progress: hears how it goes.

    Returns:
        The contents of ``dataset.json``.

    Raises:
        InputError: the folder cannot be written, or the data set or the encoder is no good.
        StorageError: the disk refused.
    """
    progress = progress or Silence()
    source = open_source(path, fields=fields)
    job = _Job(
        source=source,
        folder=source.folder if output is None else Path(output),
        inputs=_input_files(source, Path(path)),
        tokenizer=open_tokenizer(encoder, max_length=_length(source, max_length)),
        progress=progress,
    )
    asked = job.asked(encoder)
    old = load_manifest(job.folder)
    if old is not None and _still_holds(old, asked, job):
        progress.note(f"{job.folder} is prepared already and nothing has changed")
        return old
    _make_room(job, old)
    # Before they are read: a later change must not go unseen.
    inputs = records(job.inputs, source.folder)
    manifest = {
        "format": FORMAT,
        **asked,
        "counts": job.write(),
        "inputs": inputs,
        "outputs": records((job.folder / name for name in job.outputs()), job.folder),
        "versions": {name: version(name) for name in ("dexa-xc", "numpy", "tokenizers")},
    }
    write_json(job.folder / MANIFEST, manifest)
    return manifest


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One data set on its way into one folder."""

    source: Source
    folder: Path
    inputs: list[Path]
    tokenizer: TextTokenizer
    progress: Progress

    def asked(self, encoder: str) -> dict[str, Any]:
        """What the outputs depend on, beside the inputs."""
        return {
            "name": self.source.name,
            "fields": list(self.source.fields),
            "tokenizer": {
                "encoder": encoder,
                "sha256": tokenizer_sha256(self.tokenizer),
                "vocabulary": self.tokenizer.vocabulary_size,
                "max_length": self.tokenizer.max_length,
            },
        }

    def outputs(self) -> list[str]:
        """Names of the files to write, ``dataset.json`` excepted."""
        names = [*token_files("lbl"), _VALID_LABELS]
        for split in self.source.splits:
            names += token_files(f"{split}_doc")
            if self.writes_matrix(split):
                names.append(matrix_file(split))
        return names + [path.name for path in self.filters_to_copy()]

    def writes_matrix(self, split: SplitName) -> bool:
        """Whether the labels of a split are written: not where they are themselves an input."""
        matrix = (self.folder / matrix_file(split)).resolve()
        inputs = [path.resolve() for path in self.inputs]
        return matrix not in inputs and matrix.with_suffix(".npz") not in inputs

    def filters_to_copy(self) -> list[Path]:
        """Filter files that the folder lacks because it is not the data set's own."""
        if self.folder.resolve() == self.source.folder.resolve():
            return []
        files = (self.source.filter_file(split) for split in self.source.splits)
        return [path for path in files if path is not None]

    def write(self) -> dict[str, Any]:
        """Write all files; returns the counts that ``dataset.json`` tells."""
        has_document = np.zeros(self.source.n_labels, bool)
        counts: dict[str, Any] = {"labels": self.source.n_labels}
        for split in self.source.splits:
            seen, counts[split] = self.write_split(split)
            if split == "trn":
                has_document = seen
        counts["labels_with_documents"] = int(has_document.sum())
        with atomic_file(self.folder / _VALID_LABELS) as draft:
            np.savetxt(draft, np.flatnonzero(has_document), fmt="%d")
        with self.token_writer("lbl", self.source.n_labels) as append_tokens:
            for texts in chunks(self.source.label_texts()):
                append_tokens(self.tokenizer(texts))
        for path in self.filters_to_copy():
            with atomic_file(self.folder / path.name) as draft:
                shutil.copyfile(path, draft)
        return counts

    def write_split(self, split: SplitName) -> tuple[NDArray[np.bool_], dict[str, int]]:
        """Write tokens and labels of a split; returns which labels occur (``[L]``), and counts."""
        n_documents = self.source.n_documents(split)
        seen = np.zeros(self.source.n_labels, bool)
        pairs = without = 0
        with (
            self.token_writer(f"{split}_doc", n_documents) as append_tokens,
            self.label_writer(split, n_documents) as append_labels,
        ):
            for rows in chunks(self.source.rows(split)):
                append_tokens(self.tokenizer(row.text for row in rows))
                append_labels(rows)
                sizes = np.array([len(row.labels) for row in rows])
                labels = itertools.chain.from_iterable(row.labels for row in rows)
                seen[np.fromiter(labels, np.int64)] = True
                pairs += int(sizes.sum())
                without += int((sizes == 0).sum())
        return seen, {"documents": n_documents, "pairs": pairs, "without_labels": without}

    def token_writer(
        self, side: str, n_texts: int
    ) -> AbstractContextManager[Callable[[TokenArray], None]]:
        """Open the ids and the mask of a side."""
        return token_writer(self.folder, side, n_texts, self.tokenizer, self.progress)

    def label_writer(
        self, split: SplitName, n_documents: int
    ) -> AbstractContextManager[Callable[[list[Row]], None]]:
        """Open the labels of a split, where they are written."""
        if not self.writes_matrix(split):
            return nullcontext(lambda rows: None)
        shape = (n_documents, self.source.n_labels)
        return matrix_writer(self.folder / matrix_file(split), shape)


def _length(source: Source, chosen: int | None) -> int:
    """The length that training would take, see `dexa.recipe.completed`."""
    recipe = Recipe(name="prepare", encoder=EncoderChoice(max_length=chosen))
    size = Size(documents=1, labels=1, pairs=1, width=None, titles=source.fields == ("title",))
    length = completed(recipe, size).encoder.max_length
    assert length is not None  # completed has filled it in
    return length


def _input_files(source: Source, path: Path) -> list[Path]:
    """The files that a data set is read from, filter files included."""
    if isinstance(source, LineSource):
        found = source.files()
    elif path.is_dir():
        found = [file for file in path.iterdir() if file.name.partition(".")[0] in _INPUT_STEMS]
    else:
        found = [path]
    for split in source.splits:
        if filters := source.filter_file(split):
            found.append(filters)
    return sorted(file for file in found if file.is_file())


def _still_holds(old: Manifest, asked: dict[str, Any], job: _Job) -> bool:
    """Whether what an earlier run wrote is what this one would write."""
    old_asked = {key: old[key] for key in asked}
    same_name = {"tokenizer": {**asked["tokenizer"], "encoder": old["tokenizer"]["encoder"]}}
    return (
        old_asked == {**asked, **same_name}  # encoders may share a tokenizer
        and old["inputs"].keys() == {named(path, job.source.folder) for path in job.inputs}
        and old["outputs"].keys() == set(job.outputs())
        and changed_file(job.source.folder, old["inputs"]) is None
        and changed_file(job.folder, old["outputs"]) is None
    )


def _make_room(job: _Job, old: Manifest | None) -> None:
    """Check that the folder can be written, and remove what an earlier run left there."""
    folder = job.folder
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(
            "cannot be written",
            expected=f"{existing} to be a folder you may write to",
            do="choose another folder with --output",
            path=folder,
        )
    if old is None and (folder / MANIFEST).exists():
        raise InputError(
            "was not written by dexa prepare, which needs the name",
            do="rename it, or choose another folder with --output",
            path=folder / MANIFEST,
        )
    (folder / MANIFEST).unlink(missing_ok=True)  # first: a mix must never pass for whole
    ours = {_VALID_LABELS, *(name for side in SIDES for name in token_files(side))}
    for name in ours.intersection(old["outputs"] if old else ()).difference(job.outputs()):
        (folder / name).unlink(missing_ok=True)
    for name in job.outputs():
        for draft in folder.glob(f".{name}.*.draft"):  # of a run that was killed
            draft.unlink(missing_ok=True)
