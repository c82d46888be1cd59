"""The command ``dexa``: parses, calls one public function, prints.

Each command is a module of its own. Heavy packages are imported inside the commands, so that
``dexa --help`` answers at once.
"""

from __future__ import annotations

import typer

from dexa.cli.analyse import analyse
from dexa.cli.compare import compare
from dexa.cli.convert import convert
from dexa.cli.dataset import wordnet
from dexa.cli.demo import demo
from dexa.cli.encode import encode
from dexa.cli.endings import guarded
from dexa.cli.evaluate import evaluate
from dexa.cli.explain import explain
from dexa.cli.export import export
from dexa.cli.info import info
from dexa.cli.labels import add, hide, list_, remove, rename, show
from dexa.cli.predict import predict
from dexa.cli.prepare import prepare
from dexa.cli.serve import serve
from dexa.cli.train import train

COMMANDS = (
    prepare,
    train,
    predict,
    evaluate,
    compare,
    analyse,
    encode,
    explain,
    export,
    info,
    convert,
    demo,
    serve,
)
DATASET_COMMANDS = (wordnet,)
LABEL_COMMANDS = (add, remove, rename, hide, show, list_)


def _group(commands: tuple, text: str) -> typer.Typer:
    group = typer.Typer(
        help=text,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for command in commands:
        group.command(command.__name__.removesuffix("_"))(guarded(command))
    return group


app = _group(COMMANDS, "Extreme classification: tag a text with the right few of very many labels.")
app.add_typer(
    _group(DATASET_COMMANDS, "Make a data set from its published source."), name="dataset"
)
app.add_typer(_group(LABEL_COMMANDS, "Change the labels of a model."), name="labels")


def main() -> None:
    """Run the command line."""
    app(prog_name="dexa")
