"""``dexa convert``: a data set in another form, a matrix as text or as an archive."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dexa.cli.options import FieldsOption, chosen_fields
from dexa.cli.output import say


class To(StrEnum):
    """The forms of `dexa.data.Form`, named here so that help needs no heavy import."""

    raw = "raw"
    lines = "lines"
    dexml = "dexml"
    raw_text = "raw-text"
    oak = "oak"
    matrices = "matrices"
    npz = "npz"
    single = "single"


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="IN",
            help="A data set, a file of the old form with features and labels in one, or a matrix "
            "that ends in .txt or .npz.",
            show_default=False,
        ),
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="The folder to write; for a matrix, a file that ends in .npz or .txt.",
            show_default=False,
        ),
    ],
    to: Annotated[
        To | None,
        typer.Option(
            help="The form of the folder: raw (JSON lines); lines, dexml, raw-text or oak (one "
            "text a line, under the names of four tools); matrices (features and labels as text), "
            "npz (as archives), single (the old form).",
            show_default=False,
        ),
    ] = None,
    fields: FieldsOption = None,
) -> None:
    """Convert a data set to another form; features are made of the texts where there are none.

    Example:  dexa convert train.txt converted --to matrices
    """
    from dexa.data import convert as convert_data

    convert_data(source, target, None if to is None else to.value, fields=chosen_fields(fields))
    say(f"wrote {target}")
