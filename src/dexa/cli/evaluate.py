"""``dexa evaluate``: a model, or predictions from anywhere, on a data set's test split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dexa.cli.options import (
    DatasetDir,
    Device,
    DeviceOption,
    ModelFieldsOption,
    chosen_fields,
    trained_fields,
)
from dexa.cli.output import say, show_table
from dexa.cli.predictions import read_predictions
from dexa.cli.progress import TerminalProgress
from dexa.cli.targets import check_file
from dexa.errors import InputError
from dexa.storage import write_json

if TYPE_CHECKING:
    from dexa.data import Dataset
    from dexa.evaluation import Evaluation


def evaluate(
    dataset_dir: DatasetDir,
    model: Annotated[
        Path | None, typer.Option(metavar="MODEL_DIR", help="Evaluate this model.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Evaluate these scores, a sparse matrix N × L."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a report page.")
    ] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="FILE.json", help="Write the figures.")
    ] = None,
    fields: ModelFieldsOption = None,
    device: DeviceOption = Device.auto,
) -> None:
    """Score a model, or a file of predictions, on the test split, after the filter.

    Example:  dexa evaluate datasets/LF-WordNet-98K --model model
    """
    from dexa.data import load_dataset
    from dexa.estimator import Dexa

    if (model is None) == (predictions is None):
        raise InputError(
            "neither --model nor --predictions" if model is None else "--model and --predictions",
            expected="one of the two",
        )
    for path, suffix in ((report, ".html"), (json_, ".json")):
        if path is not None:
            check_file(path, [suffix])
    chosen = chosen_fields(fields)
    with TerminalProgress() as progress:
        if model is not None:
            trained = Dexa.load(model, device=device.value)
            dataset = load_dataset(dataset_dir, fields=chosen or trained_fields(trained))
            evaluation = trained.evaluate(dataset, report=report, progress=progress)
        else:
            assert predictions is not None  # one of the two is given
            dataset = load_dataset(dataset_dir, fields=chosen)
            evaluation = _evaluate_file(predictions, dataset, report)
    show_evaluation(evaluation)
    if json_ is not None:
        write_json(json_, evaluation.to_json())
    for path in filter(None, (report, json_)):
        say(f"wrote {path}")


def show_evaluation(
    evaluation: Evaluation, peers: Sequence[Mapping[str, Any]] = (), source: str = ""
) -> None:
    """Print the metrics of every scorer, and under them those that are quoted of peers.

    Args:
        evaluation: our figures.
        peers: ``{"name": …, "P@1": …}``, in per cent.
        source: where the figures of the peers come from.
    """
    header, *rows = evaluation.rows()
    quoted = [[peer["name"], *(f"{peer[metric]:.2f}" for metric in header[1:])] for peer in peers]
    title = (
        f"{evaluation.dataset['name']}, test split after the filter, in %; "
        f"PSP: A = {evaluation.a:g}, B = {evaluation.b:g}"
    )
    show_table(title, header, rows, quoted, caption=source if peers else "")


def _evaluate_file(path: Path, dataset: Dataset, report: Path | None) -> Evaluation:
    from dexa.evaluation import ReportPage, answers_needed, evaluate_on
    from dexa.metrics import propensity_constants

    depth = answers_needed(dataset)
    assert dataset.test is not None
    top = read_predictions(path, (dataset.test.n_documents, dataset.n_labels), depth)
    a, b = propensity_constants(dataset.name)
    page = None if report is None else ReportPage(path=report, facts={"predictions": str(path)})
    return evaluate_on(dataset, {"predictions": top}, a=a, b=b, page=page)
