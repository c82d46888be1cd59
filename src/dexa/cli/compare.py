"""``dexa compare``: two files of predictions on a data set's test split."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dexa.cli.options import DatasetDir, FieldsOption, SeedOption, chosen_fields
from dexa.cli.output import say, show_table
from dexa.cli.predictions import read_predictions
from dexa.cli.targets import check_file
from dexa.storage import write_json

if TYPE_CHECKING:
    from dexa.data import Dataset
    from dexa.metrics import Compared
    from dexa.types import TopK


def compare(
    first: Annotated[
        Path,
        typer.Argument(
            metavar="FIRST.npz",
            help="Scores of a system, a sparse matrix N × L.",
            show_default=False,
        ),
    ],
    second: Annotated[
        Path,
        typer.Argument(metavar="SECOND.npz", help="Scores of another system.", show_default=False),
    ],
    dataset_dir: DatasetDir,
    draws: Annotated[int, typer.Option(min=1, help="Random draws of each test.")] = 10_000,
    seed: SeedOption = 108,
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="FILE.json", help="Write the figures.")
    ] = None,
    fields: FieldsOption = None,
) -> None:
    """Say whether two systems differ by more than chance on the test split, after the filter.

    Example:  dexa compare ours.npz theirs.npz datasets/LF-WordNet-98K
    """
    from dexa import metrics
    from dexa.data import load_dataset

    if json_ is not None:
        check_file(json_, [".json"])
    dataset = load_dataset(dataset_dir, fields=chosen_fields(fields))
    ours, theirs = (_answers(path, dataset) for path in (first, second))
    assert dataset.train is not None and dataset.test is not None  # _answers has seen to it
    a, b = metrics.propensity_constants(dataset.name)
    weights = metrics.inverse_propensity(dataset.train.labels, a, b)
    rows = metrics.compare(ours, theirs, dataset.test.labels, weights, draws=draws, seed=seed)
    show_table(
        f"{dataset.name}, test split after the filter, in %",
        ["metric", "first", "second", "difference", "95 % interval", "p"],
        [_cells(row) for row in rows],
        caption=f"PSP: A = {a:g}, B = {b:g}; {draws} draws, seed {seed}",
    )
    if json_ is not None:
        facts = {"dataset": dataset.name, "A": a, "B": b, "draws": draws, "seed": seed}
        files = {"first": str(first), "second": str(second)}
        write_json(json_, {**facts, **files, "metrics": [_in_per_cent(row) for row in rows]})
        say(f"wrote {json_}")


def _answers(path: Path, dataset: Dataset) -> TopK:
    """The answers in a file, after the filter."""
    from dexa.evaluation import answers_needed
    from dexa.metrics import drop_pairs

    depth = answers_needed(dataset)
    assert dataset.test is not None  # answers_needed refuses data sets without
    top = read_predictions(path, (dataset.test.n_documents, dataset.n_labels), depth)
    return drop_pairs(top, dataset.test.filter_pairs)


def _cells(row: Compared) -> list[str]:
    return [
        row.metric,
        f"{100 * row.first:.2f}",
        f"{100 * row.second:.2f}",
        f"{100 * row.difference:+.2f}",
        f"{100 * row.low:+.2f} to {100 * row.high:+.2f}",
        f"{row.p_value:.4f}",
    ]


def _in_per_cent(row: Compared) -> dict[str, Any]:
    """The figures as `dexa evaluate` writes them; the p-value stays a fraction."""
    figures = asdict(row)
    for name in ("first", "second", "difference", "low", "high"):
        figures[name] = round(100 * figures[name], 4)
    return figures
