"""``dexa dataset``: data sets from their published sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dexa.cli.output import say


def wordnet(
    dict_folder: Annotated[
        Path,
        typer.Argument(
            metavar="DICT_FOLDER",
            help="WordNet 3.0's dict folder; Debian's package wordnet-base has it at "
            "/usr/share/wordnet.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="DATASET_DIR", help="Folder to write.")] = Path(
        "LF-WordNet-98K"
    ),
) -> None:
    """Build LF-WordNet-98K from WordNet 3.0.

    Example:  dexa dataset wordnet /usr/share/wordnet --output LF-WordNet-98K
    """
    from dexa.data import build_wordnet

    build_wordnet(dict_folder, output)
    say(f"wrote {output}")
    say(f"next: dexa info {output}")
