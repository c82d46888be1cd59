"""``dexa train``: a data set and a recipe to a model folder."""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dexa.cli.endings import on_interrupt
from dexa.cli.options import (
    DatasetDir,
    Device,
    DeviceOption,
    FieldsOption,
    ResumeOption,
    chosen_fields,
)
from dexa.cli.output import say
from dexa.cli.progress import TerminalProgress
from dexa.cli.targets import check_model_folder
from dexa.errors import InputError, RecipeError

if TYPE_CHECKING:
    from dexa.data import Dataset
    from dexa.estimator import Dexa
    from dexa.recipe import Recipe

_RECIPE_HELP = (
    "The method: dexa, dexa-plus, ngame, siamesexml, deepxml, deepxml-anns, deepxml-ova; with ++ "
    "behind dexa, ngame or siamesexml, the encoder follows the classifiers."
)


def train(  # noqa: PLR0913 - each parameter is an option of the command
    dataset_dir: DatasetDir,
    model: Annotated[
        Path, typer.Option(metavar="MODEL_DIR", help="Folder to write.", show_default=False)
    ],
    recipe: Annotated[str, typer.Option(metavar="NAME|FILE.json", help=_RECIPE_HELP)] = "dexa-plus",
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="A path, minilm, a hub id, bag or bag:NAME.",
            show_default="the recipe's; where that is auto, bag on a CPU and minilm on a GPU",
        ),
    ] = None,
    fields: FieldsOption = None,
    seed: Annotated[
        str,
        typer.Option(
            metavar="N[,N…]",
            help="Of every random draw; with several, a model of each, whose scores are added.",
        ),
    ] = "108",
    device: DeviceOption = Device.auto,
    device_memory: Annotated[
        float | None,
        typer.Option(
            metavar="GIB",
            min=0,
            help="GPU memory for vectors and classifiers; the rest stays in host memory.",
            show_default="what is free",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="stage.field=value", help="Change a field of the recipe."),
    ] = None,
    resume: ResumeOption = False,
) -> None:
    """Train a model and write its folder.

    Example:  dexa train datasets/LF-WordNet-98K --fields title --model model
    """
    from dexa.data import load_dataset
    from dexa.estimator import Dexa

    check_model_folder(model)
    chosen = chosen_recipe(recipe, encoder, set_ or [])
    with TerminalProgress() as progress:
        dataset = load_dataset(dataset_dir, fields=chosen_fields(fields))
        made_of = ", ".join(dataset.fields) or "tokens alone"
        progress.note(f"data set {dataset.name}, texts made of {made_of}")
        estimator = Dexa(
            chosen, seed=_seeds(seed), device=device.value, device_memory=device_memory
        )
        fit_and_save(estimator, dataset, model, resume=resume, progress=progress)
    say(f"wrote {model}")
    if dataset.test is not None:
        say(f"next: dexa evaluate {dataset_dir} --model {model}")


def _seeds(text: str) -> tuple[int, ...]:
    """The seeds of ``--seed``.

    Raises:
        InputError: one is no whole number.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"--seed {text}", expected="whole numbers, as in 108 or 108,666,786")
    return tuple(map(int, parts))


def chosen_recipe(name: str, encoder: str | None, settings: Sequence[str]) -> Recipe:
    """The recipe of ``--recipe``, with ``--encoder`` and ``--set`` applied.

    Raises:
        RecipeError: no such recipe (the nearest is named), or no such field or value.
        InputError: a setting is not of the form ``stage.field=value``.
    """
    changes = {}
    for setting in settings:
        field, equals, value = setting.partition("=")
        if not field or not equals:
            raise InputError(
                f"--set {setting}", expected="stage.field=value, as in encoder_stage.epochs=40"
            )
        changes[field.strip()] = value.strip()
    if encoder is not None:
        changes["encoder.name"] = json.dumps(encoder)  # a name is a text, even the name 7
    return _recipe(name).changed(changes)


def _recipe(name: str) -> Recipe:
    from dexa import recipes
    from dexa.recipe import Recipe

    if name.endswith(".json"):
        return Recipe.load(Path(name))
    known = {(recipe := getattr(recipes, function)()).name: recipe for function in recipes.__all__}
    if name in known:
        return known[name]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    raise RecipeError(
        f"no recipe {name!r}",
        expected=f"one of {', '.join(known)}, or a file that ends in .json",
        do=f"did you mean {nearest!r}?",
    )


def fit_and_save(
    estimator: Dexa, dataset: Dataset, folder: Path, *, resume: bool, progress: TerminalProgress
) -> None:
    """Train with checkpoints beside the model folder, write it, and remove them.

    Raises:
        Interrupted: a signal ended it; the message says how to go on.
    """
    checkpoints = folder.with_name(folder.name + ".checkpoints")
    if resume and not _any_in(checkpoints):
        progress.note(f"nothing to resume in {checkpoints}: starting afresh")
    elif not resume and _any_in(checkpoints):
        progress.note(f"starting afresh: {checkpoints} of an earlier run is dropped")

    def how_to_go_on() -> str:
        if _any_in(checkpoints):
            return "the last checkpoint is intact; go on with the same command and --resume"
        return "before the first checkpoint; the same command starts again"

    with on_interrupt(how_to_go_on):
        estimator.fit(dataset, checkpoints=checkpoints, resume=resume, progress=progress)
        estimator.save(folder)
    shutil.rmtree(checkpoints, ignore_errors=True)


def _any_in(checkpoints: Path) -> bool:
    return any(checkpoints.glob("[!.]*"))  # drafts that a kill left behind are hidden
