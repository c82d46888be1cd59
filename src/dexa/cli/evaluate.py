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
from dexa.errors import DataError, InputError
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
    import numpy as np

    from dexa.evaluation import evaluate_predictions, write_report
    from dexa.evaluation.tables import RECALL_CUT_OFFS
    from dexa.metrics import drop_pairs, propensity_constants

    train, test = dataset.train, dataset.test
    if train is None or test is None:
        raise DataError(
            "a data set without train and test split",
            expected="both: propensities come from train",
            path=dataset.folder,
        )
    filtered = int(np.bincount(test.filter_pairs[:, 0], minlength=1).max())  # of one document
    shape = (test.n_documents, dataset.n_labels)
    top = read_predictions(path, shape, max(RECALL_CUT_OFFS) + filtered)
    a, b = propensity_constants(dataset.name)
    evaluation = evaluate_predictions(
        {"predictions": top},
        test.labels,
        test.filter_pairs,
        train.labels,
        dataset={"name": dataset.name, "documents": test.n_documents},
        a=a,
        b=b,
    )
    if report is not None:
        write_report(
            report,
            evaluation=evaluation,
            predictions={"predictions": drop_pairs(top, test.filter_pairs)},
            truth=test.labels,
            label_frequency=np.bincount(train.labels.indices, minlength=dataset.n_labels),
            texts=test.texts,
            label_texts=dataset.label_texts,
            history=[],
            facts={"predictions": str(path)},
        )
    return evaluation
