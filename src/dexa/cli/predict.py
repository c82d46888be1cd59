"""``dexa predict``: texts to their best labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from dexa.cli.inputs import OptionalInputOption, chunks, read_texts
from dexa.cli.options import (
    Device,
    DeviceOption,
    ModelDir,
    ModelFieldsOption,
    chosen_fields,
    trained_fields,
)
from dexa.cli.output import say
from dexa.cli.predictions import FORMATS, prediction_file
from dexa.cli.progress import TerminalProgress
from dexa.cli.targets import check_file
from dexa.errors import DataError, InputError

if TYPE_CHECKING:
    from dexa.estimator import Dexa
    from dexa.types import TopK

Answers: TypeAlias = "Iterator[tuple[TopK, list[str] | None]]"
"""Answers of some texts, and the texts where there are any."""


class Part(StrEnum):
    """A part of a data set."""

    trn = "trn"
    tst = "tst"


def predict(
    model_dir: ModelDir,
    output: Annotated[
        Path,
        typer.Option(
            metavar="FILE.npz|FILE.jsonl",
            help="A sparse matrix N × L of scores, or one JSON object a text.",
            show_default=False,
        ),
    ],
    input_: OptionalInputOption = None,
    dataset: Annotated[
        Path | None, typer.Option(metavar="DATASET_DIR", help="Take texts from this data set.")
    ] = None,
    split: Annotated[Part, typer.Option(help="Its part.")] = Part.tst,
    top_k: Annotated[int, typer.Option(min=1, help="Labels a text.")] = 100,
    fields: ModelFieldsOption = None,
    device: DeviceOption = Device.auto,
) -> None:
    """Predict the best labels of texts; nothing is filtered.

    Example:  dexa predict model --input texts.txt --top-k 5 --output answers.jsonl
    """
    from dexa.estimator import Dexa

    if (input_ is None) == (dataset is None):
        raise InputError(
            "neither --input nor --dataset" if input_ is None else "--input and --dataset",
            expected="one of the two",
        )
    check_file(output, FORMATS)
    model = Dexa.load(model_dir, device=device.value)
    if dataset is not None:
        answers = _of_dataset(model, dataset, split, chosen_fields(fields), top_k)
    else:
        assert input_ is not None  # one of the two is given
        answers = _of_texts(model, read_texts(input_), top_k)
    done = 0
    with (
        TerminalProgress() as progress,
        prediction_file(output, len(model.model.frequency)) as file,
    ):
        progress.begin("predicting", 0)
        for top, texts in answers:
            file.append(top, texts)
            done += len(top)
            progress.advance(done)
        progress.end()
    say(f"wrote {output}")


def _of_texts(model: Dexa, texts: Iterable[str], k: int) -> Answers:
    for chunk in chunks(texts):
        yield model.predict(chunk, k), chunk


def _of_dataset(
    model: Dexa, path: Path, part: Part, fields: tuple[str, ...] | None, k: int
) -> Answers:
    from dexa.data import load_dataset
    from dexa.model import FUSION
    from dexa.preparation import prepared_tokens

    fields = fields or trained_fields(model)
    dataset = load_dataset(path, fields=fields)
    split = dataset.train if part is Part.trn else dataset.test
    if split is None:
        raise DataError(f"no split {part.value}", expected="a data set that has it", path=path)
    if split.texts is not None:
        yield from _of_texts(model, split.texts, k)
        return
    tokens = prepared_tokens(path, model.model.encoder.tokenizer, dataset.fields)
    if tokens is None:
        raise DataError("neither texts nor token files", do="prepare the data set", path=path)
    yield model.predict_scorers(tokens[f"{part.value}_doc"], k)[FUSION], None
