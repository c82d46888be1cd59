"""``dexa demo``: the whole way on the bundled data set, beside what other tools reach there."""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from dexa.cli.evaluate import show_evaluation
from dexa.cli.options import Device, DeviceOption, ResumeOption, SeedOption, chosen_fields
from dexa.cli.output import say
from dexa.cli.progress import TerminalProgress
from dexa.cli.targets import check_model_folder
from dexa.cli.train import fit_and_save
from dexa.errors import MissingFileError
from dexa.storage import write_json

BUNDLED = Path(__file__).parents[3] / "datasets" / "LF-WordNet-98K"
"""The data set that comes with the source tree."""


def demo(
    dataset: Annotated[
        Path | None,
        typer.Option(
            metavar="DATASET_DIR",
            help="Another data set than the bundled LF-WordNet-98K.",
            show_default=False,
        ),
    ] = None,
    fields: Annotated[
        str, typer.Option(metavar="title|title,content", help="Which fields make up a text.")
    ] = "title",
    output: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write.")] = Path("demo"),
    seed: SeedOption = 108,
    device: DeviceOption = Device.auto,
    resume: ResumeOption = False,
) -> None:
    """Train and evaluate DEXA on the bundled data set: 97,787 labels, titles only.

    Example:  dexa demo --output demo
    """
    from dexa import recipes
    from dexa.data import load_dataset
    from dexa.estimator import Dexa

    started = time.monotonic()
    model = output / "model"
    check_model_folder(model)
    folder = dataset or _bundled()
    with TerminalProgress() as progress:
        progress.note(f"data set {folder}, fields {fields}, recipe dexa, seed {seed}")
        data = load_dataset(folder, fields=chosen_fields(fields))
        estimator = Dexa(recipes.dexa(), seed=seed, device=device.value)
        fit_and_save(estimator, data, model, resume=resume, progress=progress)
        peers, source = quoted_peers(data.name, data.fields)
        report = output / "report.html"
        evaluation = estimator.evaluate(data, report=report, peers=peers, progress=progress)
    write_json(output / "metrics.json", evaluation.to_json())
    show_evaluation(evaluation, peers, source)
    say(f"wrote {model}, {report} and {output / 'metrics.json'}")
    say(f"{time.monotonic() - started:.0f} s in all, {_peak_memory():.2f} GB of memory at most")


def quoted_peers(dataset: str, fields: tuple[str, ...]) -> tuple[list[dict[str, Any]], str]:
    """What other tools reach on a data set: figures quoted from `peers.json`.

    Returns:
        ``{"name": …, "P@1": …}`` a tool, in per cent, and where they come from; none where nothing
        is known of the data set.
    """
    quoted = json.loads(files("dexa.cli").joinpath("peers.json").read_text(encoding="utf-8"))
    for table in quoted["tables"]:
        if (table["dataset"], tuple(table["fields"])) == (dataset, fields):
            return [_peer(**row) for row in table["rows"]], quoted["source"]
    return [], ""


def _bundled() -> Path:
    if not BUNDLED.is_dir():
        raise MissingFileError(
            "the bundled data set comes with the source tree, which this is not",
            do="name one with --dataset, or build it with: dexa dataset wordnet",
            path=BUNDLED,
        )
    return BUNDLED


def _peer(tool: str, version: str | None, method: str, figures: dict[str, float]) -> dict[str, Any]:
    name = tool if version is None else f"{tool} {version}"
    return {"name": f"{name}, {method}", **figures}


def _peak_memory() -> float:
    """The most memory that was resident at once, in GB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9
