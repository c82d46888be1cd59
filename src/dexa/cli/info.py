"""``dexa info``: what a data set or a model folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dexa.cli.options import FieldsOption, chosen_fields
from dexa.cli.output import show_facts
from dexa.storage import read_json


def info(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A data set or a model folder.")],
    fields: FieldsOption = None,
) -> None:
    """Print the facts of a data set, or of a model.

    Example:  dexa info datasets/LF-WordNet-98K
    """
    model = path / "model.json"
    if model.is_file():
        described = read_json(model)
        del described["files"]  # checksums, which only loading looks at
        show_facts(f"model {path}", described)
        return
    from dexa.data import dataset_facts, load_dataset

    dataset = load_dataset(path, fields=chosen_fields(fields))
    show_facts(f"data set {dataset.name}", dataset_facts(dataset))
