"""``dexa prepare``: texts to token files, once and for all runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dexa.cli.options import DatasetDir, FieldsOption, chosen_fields
from dexa.cli.output import show_facts
from dexa.cli.progress import TerminalProgress


def prepare(
    dataset_dir: DatasetDir,
    max_length: Annotated[
        int | None,
        typer.Option(
            min=3,
            help="Tokens of a text at most.",
            show_default="32 for titles, 128 for full text",
        ),
    ] = None,
    encoder: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="Whose tokenizer to use.")
    ] = "minilm",
    fields: FieldsOption = None,
    output: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where to write.", show_default="the data set's folder"),
    ] = None,
) -> None:
    """Tokenise a data set once and write the token files beside it.

    Training works without it, but then tokenises before each run. A second time does nothing.

    Example:  dexa prepare datasets/LF-WordNet-98K --max-length 32 --fields title
    """
    from dexa.preparation import prepare as prepare_dataset

    with TerminalProgress() as progress:
        facts = prepare_dataset(
            dataset_dir,
            encoder=encoder,
            max_length=max_length,
            fields=chosen_fields(fields),
            output=output,
            progress=progress,
        )
    shown = {name: value for name, value in facts.items() if name not in ("inputs", "outputs")}
    show_facts(str((output or dataset_dir) / "dataset.json"), shown)
