"""``dexa analyse``: where predictions are right and wrong, and what a data set holds twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dexa.cli.options import DatasetDir, FieldsOption, chosen_fields
from dexa.cli.output import say, show_table
from dexa.cli.predictions import read_predictions
from dexa.cli.targets import check_file
from dexa.errors import InputError
from dexa.storage import write_json

if TYPE_CHECKING:
    from dexa.data import Dataset
    from dexa.data.leaks import Leaks
    from dexa.evaluation.analysis import Analysis


def analyse(
    dataset_dir: DatasetDir,
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Scores of a system, a sparse matrix N × L."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="OTHER.npz", help="Scores of another system, shown beside it."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="PAGE.html", help="Write a page with charts.")
    ] = None,
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="FILE.json", help="Write the figures.")
    ] = None,
    write_filters: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write filter files, where there are none yet."),
    ] = None,
    own_only: Annotated[
        bool,
        typer.Option("--own-only", help="Filter nothing but each document's own label."),
    ] = False,
    fields: FieldsOption = None,
) -> None:
    """Break down figures by label frequency, labels and words; find leaks and near-duplicates.

    Example:  dexa analyse datasets/LF-WordNet-98K --predictions predictions.npz
    """
    from dexa.data import load_dataset
    from dexa.data.leaks import find_leaks, read_uids

    _check(predictions, against, report, json_)
    _check_filters(write_filters, own_only)
    dataset = load_dataset(dataset_dir, fields=chosen_fields(fields))
    leaks = find_leaks(dataset, read_uids(dataset_dir))
    duplicates = _duplicates(dataset.label_texts)
    pair = (("first", predictions), ("second", against))
    systems = {name: path for name, path in pair if path is not None}
    analysis = _analysed(dataset, systems) if systems else None
    if analysis is not None:
        _show_analysis(analysis, systems)
    _show_findings(dataset.name, leaks, duplicates)
    named = {name: str(path) for name, path in systems.items()}
    if json_ is not None:
        figures = {"dataset": {"name": dataset.name}} if analysis is None else analysis.to_json()
        counts = {found.key: found.to_json() for found in leaks}
        write_json(json_, {"systems": named, **figures, "leaks": counts, "duplicates": duplicates})
        say(f"wrote {json_}")
    if report is not None:
        from dexa.evaluation.analysis_page import write_analysis

        assert analysis is not None  # _check has seen to it
        facts = {"files": named}
        write_analysis(report, analysis, leaks=leaks, duplicates=duplicates, facts=facts)
        say(f"wrote {report}")
    if write_filters is not None:
        _write_filters(write_filters, dataset_dir, leaks, own_only)


def _check(
    predictions: Path | None, against: Path | None, report: Path | None, json_: Path | None
) -> None:
    for option, path in (("--against", against), ("--report", report)):
        if path is not None and predictions is None:
            raise InputError(f"{option} without --predictions", expected="both")
    for path, suffix in ((report, ".html"), (json_, ".json")):
        if path is not None:
            check_file(path, [suffix])


def _check_filters(folder: Path | None, own_only: bool) -> None:
    from dexa.data.leaks import check_no_filters
    from dexa.data.rows import SPLITS

    if folder is None:
        if own_only:
            raise InputError("--own-only without --write-filters", expected="both")
        return
    check_file(folder / "filter_labels_train.txt", [".txt"])
    check_no_filters(folder, SPLITS)


def _duplicates(texts: Sequence[str] | None) -> dict[str, Any] | None:
    from dexa.evaluation.near_duplicates import find_near_duplicates

    return None if texts is None else find_near_duplicates(texts).facts(texts)


def _analysed(dataset: Dataset, systems: Mapping[str, Path]) -> Analysis:
    from dexa.evaluation import answers_needed
    from dexa.evaluation.analysis import analyse_on
    from dexa.metrics import propensity_constants

    depth = answers_needed(dataset)
    assert dataset.test is not None  # answers_needed refuses data sets without
    shape = (dataset.test.n_documents, dataset.n_labels)
    tops = {name: read_predictions(path, shape, depth) for name, path in systems.items()}
    a, b = propensity_constants(dataset.name)
    return analyse_on(dataset, tops, a=a, b=b)


def _show_analysis(analysis: Analysis, systems: Mapping[str, Path]) -> None:
    from dexa.evaluation.analysis_page import reliability_rows

    name = f"{analysis.dataset['name']}, test split after the filter, in %"
    constants = f"PSP: A = {analysis.a:g}, B = {analysis.b:g}"
    paths = "; ".join(f"{system}: {path}" for system, path in systems.items())
    for key, breakdown in analysis.breakdowns.items():
        header, *rows = breakdown.rows()
        caption = f"{constants}; {paths}" if key == "all" else breakdown.note
        show_table(f"{name}: {breakdown.title.lower()}", header, rows, caption=caption)
    for system, found in analysis.reliability.items():
        header, *rows = reliability_rows(found)
        error = "" if found.error is None else f"calibration error {100 * found.error:.2f} %"
        show_table(f"What the scores of {system} are worth", header, rows, caption=error)


def _show_findings(name: str, leaks: Sequence[Leaks], duplicates: Mapping[str, Any] | None) -> None:
    from dexa.evaluation.analysis_page import duplicate_rows, leak_rows

    if leaks:
        header, *rows = leak_rows(leaks)
        show_table(f"{name}: leaks", header, rows)
    else:
        say(f"{name}: neither uids nor texts of labels and documents to look for leaks by")
    if duplicates is not None:
        header, *rows = duplicate_rows(duplicates)
        counts = f"{duplicates['labels']:,} labels in {duplicates['groups']:,} groups; the largest"
        show_table(f"{name}: labels that read alike", header, rows, caption=counts)


def _write_filters(folder: Path, dataset_dir: Path, leaks: Sequence[Leaks], own_only: bool) -> None:
    from dexa.data.leaks import write_filters

    if not leaks:
        raise InputError(
            "neither uids nor texts of labels and documents",
            expected="one of them, to know what to filter",
            path=dataset_dir,
        )
    for path in write_filters(folder, leaks[0], own_only=own_only):
        say(f"wrote {path}: pairs with the same {leaks[0].key}")
    test = leaks[0].splits.get("tst")
    if test is not None and not own_only and len(test.reciprocal):
        say(
            f"{len(test.reciprocal):,} of the test's pairs are true labels, which no answer can "
            "then reach; --own-only keeps them"
        )
