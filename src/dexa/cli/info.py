"""``dexa info``: what a data set or a model folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dexa.cli.options import FieldsOption, chosen_fields
from dexa.cli.output import say, show_facts
from dexa.errors import InputError
from dexa.storage import read_json


def info(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A data set or a model folder.")],
    fields: FieldsOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Compare every file of a model with its checksum.")
    ] = False,
) -> None:
    """Print the facts of a data set, or of a model.

    Example:  dexa info datasets/LF-WordNet-98K
    """
    model = path / "model.json"
    if model.is_file():
        described = read_json(model)
        if check:
            from dexa.model import check_files

            say(f"{path}: {check_files(path)} files are as they were written")
        for name in ("files", "bytes"):  # checksums and sizes, which only loading looks at
            described.pop(name, None)
        show_facts(f"model {path}", described)
        return
    if check:
        raise InputError("--check", expected="a model folder", path=path)
    from dexa.data import dataset_facts, load_dataset

    dataset = load_dataset(path, fields=chosen_fields(fields))
    show_facts(f"data set {dataset.name}", dataset_facts(dataset))
