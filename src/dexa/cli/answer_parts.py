"""Answers in parts: what a run that was stopped leaves, and how the next one goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dexa.cli.output import say
from dexa.cli.predictions import join_parts, write_part
from dexa.errors import InputError
from dexa.storage import atomic_file, disk_errors, read_json, write_json

if TYPE_CHECKING:
    from dexa.types import TopK

_QUESTION = "question.json"


class AnswerParts:
    """Takes answers chunk by chunk, each a whole file, so that memory does not grow.

    Args:
        output: the file that the parts will become.
        n_labels: L.
        folder: of the parts.

    Attributes:
        done: texts that were answered before.
    """

    def __init__(self, output: Path, n_labels: int, folder: Path) -> None:
        self._output, self._n_labels, self._folder = output, n_labels, folder
        self.done = sum(int(path.stem.split("-")[1]) for path in self.files())

    def files(self) -> list[Path]:
        """The parts in order; a name holds the first row and the number of rows."""
        return sorted(self._folder.glob(f"*-*{self._output.suffix}"))

    def append(self, answers: TopK, texts: Sequence[str] | None) -> None:
        """Write the answers of the next texts."""
        name = f"{self.done:012d}-{len(answers):012d}{self._output.suffix}"
        with atomic_file(self._folder / name) as draft:
            write_part(draft, self._output.suffix, answers, texts, self._n_labels)
        self.done += len(answers)


@contextmanager
def answer_parts(
    output: Path, n_labels: int, question: dict[str, Any], *, resume: bool
) -> Iterator[AnswerParts]:
    """Answers in parts beside `output`, which they become when the block ends well.

    Where it does not, they stay, and are told of.

    Args:
        output: a file of one of the formats.
        n_labels: L.
        question: all that the answers depend on, as JSON values.
        resume: go on from the parts that are there; else they are removed.

    Raises:
        InputError: the parts that are there answer another question.
    """
    folder = output.with_name(f"{output.name}.parts")
    question = json.loads(json.dumps(question))
    if resume and (folder / _QUESTION).is_file():
        _check_question(folder, question)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        with disk_errors(folder):
            folder.mkdir(parents=True)
        write_json(folder / _QUESTION, question)
    parts = AnswerParts(output, n_labels, folder)
    try:
        yield parts
        with atomic_file(output) as draft:
            join_parts(parts.files(), draft, output.suffix, n_labels)
    except BaseException:
        if parts.files():
            say(f"{parts.done:,} answers are kept in {folder}; --resume goes on from there")
        else:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder)


def _check_question(folder: Path, question: dict[str, Any]) -> None:
    before = read_json(folder / _QUESTION)
    for name, value in question.items():
        if before.get(name) != value:
            raise InputError(
                f"answers with another {name}: {before.get(name)!r}",
                expected=repr(value),
                do="give what was given before, or leave out --resume to start afresh",
                path=folder,
            )
