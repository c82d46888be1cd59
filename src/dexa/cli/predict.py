"""``dexa predict``: texts to their best labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from dexa.cli.answer_parts import answer_parts
from dexa.cli.inputs import (
    OptionalInputOption,
    TextColumnOption,
    chunks,
    read_labels,
    read_texts,
)
from dexa.cli.options import (
    Device,
    DeviceOption,
    IndexOption,
    ModelDir,
    ModelFieldsOption,
    chosen_fields,
    trained_fields,
)
from dexa.cli.output import say
from dexa.cli.predictions import FORMATS
from dexa.cli.progress import TerminalProgress
from dexa.cli.targets import check_file
from dexa.errors import DataError, InputError
from dexa.storage import sha256

if TYPE_CHECKING:
    from dexa.estimator import Dexa
    from dexa.types import TopK

Answers: TypeAlias = "Iterator[tuple[TopK, list[str] | None]]"
"""Answers of some texts, and the texts where there are any."""


_LABELS = "A file with a label a line, by text or id."
LabelsOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help=f"Answer only these labels. {_LABELS}")
]
ExcludeOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help=f"Never answer these labels. {_LABELS}")
]


class Part(StrEnum):
    """A part of a data set."""

    trn = "trn"
    tst = "tst"


def predict(  # noqa: PLR0913 - an option each
    model_dir: ModelDir,
    output: Annotated[
        Path,
        typer.Option(
            metavar="FILE.npz|FILE.jsonl|FILE.parquet",
            help="A sparse matrix N × L of scores, one JSON object a text, or a table.",
            show_default=False,
        ),
    ],
    input_: OptionalInputOption = None,
    dataset: Annotated[
        Path | None, typer.Option(metavar="DATASET_DIR", help="Take texts from this data set.")
    ] = None,
    split: Annotated[Part, typer.Option(help="Its part.")] = Part.tst,
    text_column: TextColumnOption = "text",
    top_k: Annotated[int, typer.Option(min=1, help="Labels a text.")] = 100,
    threshold: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Only labels that are this likely to be right."),
    ] = None,
    labels_only: LabelsOption = None,
    exclude: ExcludeOption = None,
    index: IndexOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the answers that a stopped run left.")
    ] = False,
    fields: ModelFieldsOption = None,
    device: DeviceOption = Device.auto,
) -> None:
    """Predict the best labels of any number of texts; nothing is filtered.

    Texts are read and answered some thousands at a time. A run that is stopped keeps its answers in
    a folder beside the output; the same command with --resume goes on from there.

    Example:  dexa predict model --input texts.txt --top-k 5 --output answers.jsonl
    """
    from dexa.estimator import Dexa

    if (input_ is None) == (dataset is None):
        raise InputError(
            "neither --input nor --dataset" if input_ is None else "--input and --dataset",
            expected="one of the two",
        )
    check_file(output, FORMATS)
    with TerminalProgress() as progress:
        chosen = None if index is None else index.value
        model = Dexa.load(model_dir, device=device.value, index=chosen, progress=progress)
        asked = _Question(
            k=top_k,
            threshold=threshold,
            labels=read_labels(labels_only, model.model.label_texts),
            exclude=read_labels(exclude, model.model.label_texts),
        )
        question = {
            "model": sha256(model_dir / "model.json"),
            "input": str(input_ or dataset),
            "split": split.value,
            **dataclasses.asdict(asked),
        }
        progress.begin("predicting", 0)
        with answer_parts(output, len(model.model.frequency), question, resume=resume) as parts:
            if dataset is not None:
                named = chosen_fields(fields)
                answers = _of_dataset(model, dataset, split, named, asked, parts.done)
            else:
                assert input_ is not None  # one of the two is given
                answers = _of_texts(model, read_texts(input_, text_column), asked, parts.done)
            for top, texts in answers:
                parts.append(top, texts)
                progress.advance(parts.done)
        progress.end()
    say(f"wrote {output}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Question:
    """What is asked of each text; see `Dexa.predict`."""

    k: int
    threshold: float | None
    labels: list[int] | None
    exclude: list[int] | None


def _of_texts(model: Dexa, texts: Iterable[str], asked: _Question, done: int) -> Answers:
    allowed = model.model.allowed(asked.labels, asked.exclude)
    for chunk in chunks(islice(texts, done, None)):
        top = model.model.predict(chunk, asked.k, allowed=allowed)
        yield top if asked.threshold is None else top.above(asked.threshold), chunk


def _of_dataset(
    model: Dexa,
    path: Path,
    part: Part,
    fields: tuple[str, ...] | None,
    asked: _Question,
    done: int,
) -> Answers:
    from dexa.data import load_dataset
    from dexa.preparation import prepared_tokens
    from dexa.tokens import TextTokenizer
    from dexa.training import feature_tokens

    fields = fields or trained_fields(model)
    dataset = load_dataset(path, fields=fields)
    split = dataset.train if part is Part.trn else dataset.test
    if split is None:
        raise DataError(f"no split {part.value}", expected="a data set that has it", path=path)
    encoder = model.model.required_encoder
    if split.texts is not None:
        yield from _of_texts(model, split.texts, asked, done)
        return
    if isinstance(encoder.tokenizer, TextTokenizer):
        tokens = prepared_tokens(path, encoder.tokenizer, dataset.fields)
    else:
        tokens = feature_tokens(dataset, encoder)
    if tokens is None:
        raise DataError("neither texts nor token files", do="prepare the data set", path=path)
    if done == 0:  # tokens are answered in one part
        allowed = model.model.allowed(asked.labels, asked.exclude)
        top = model.model.predict(tokens[f"{part.value}_doc"], asked.k, allowed=allowed)
        yield top if asked.threshold is None else top.above(asked.threshold), None
