"""Arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dexa.errors import InputError

if TYPE_CHECKING:
    from dexa.estimator import Dexa


class Device(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class IndexKind(StrEnum):
    """How labels are searched for."""

    auto = "auto"
    exact = "exact"
    pq = "pq"
    faiss = "faiss"


DatasetDir = Annotated[
    Path, typer.Argument(metavar="DATASET_DIR", help="Folder of the data set.", show_default=False)
]
ModelDir = Annotated[
    Path, typer.Argument(metavar="MODEL_DIR", help="Folder of the model.", show_default=False)
]
DeviceOption = Annotated[Device, typer.Option(help="Where to compute; auto takes a GPU if any.")]
IndexOption = Annotated[
    IndexKind | None,
    typer.Option(
        help="How to search for labels; auto decides by their number.",
        show_default="that of the model folder",
    ),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of every random draw.")]
FieldsOption = Annotated[
    str | None,
    typer.Option(
        metavar="title|title,content",
        help="Which fields make up a text.",
        show_default="title if the data set's name has 'titles' in it, else title,content",
    ),
]
ModelFieldsOption = Annotated[
    str | None,
    typer.Option(
        metavar="title|title,content",
        help="Which fields make up a text.",
        show_default="those the model was trained on",
    ),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on from the last checkpoint, if there is one.")
]


def chosen_fields(text: str | None) -> tuple[str, ...] | None:
    """The fields of ``--fields``; None leaves them to the data set's name.

    Raises:
        InputError: a field is empty.
    """
    if text is None:
        return None
    fields = tuple(name.strip() for name in text.split(","))
    if not all(fields):
        raise InputError(f"--fields {text!r}", expected="names with commas between: title,content")
    return fields


def trained_fields(model: Dexa) -> tuple[str, ...] | None:
    """The fields that a model was trained on; None where texts have no fields to choose from."""
    fields = tuple(model.model.facts["dataset"]["fields"])
    return None if fields in ((), ("text",)) else fields
