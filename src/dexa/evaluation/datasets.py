"""Scorers checked on the test split of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dexa.data import Dataset, Split
from dexa.errors import DataError
from dexa.evaluation.report import write_report
from dexa.evaluation.tables import RECALL_CUT_OFFS, Evaluation, evaluate_predictions
from dexa.metrics import drop_pairs
from dexa.types import TopK


@dataclass(frozen=True, kw_only=True)
class ReportPage:
    """Where to write the report page of a run, and what it says beside the figures.

    Attributes:
        path: an HTML file.
        facts: what the run was: nested mappings of plain values.
        history: a record of each epoch.
        peers: figures quoted for comparison, ``{"name": …, "P@1": …}``, in per cent.
    """

    path: Path
    facts: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]] = ()
    peers: Sequence[Mapping[str, Any]] = ()


def answers_needed(dataset: Dataset) -> int:
    """Answers a test document must have, so that enough are left after the filter.

    Raises:
        DataError: there is no test split.
    """
    _, test = _splits(dataset)
    filtered = np.bincount(test.filter_pairs[:, 0], minlength=1)
    return max(RECALL_CUT_OFFS) + int(filtered.max())


def evaluate_on(
    dataset: Dataset,
    predictions: Mapping[str, TopK],
    *,
    a: float,
    b: float,
    page: ReportPage | None = None,
) -> Evaluation:
    """Metrics of scorers on the test split of a data set, after its filter.

    Args:
        dataset: with a train split, from which propensities come, and a test split.
        predictions: scorer → unfiltered answers; the last is what a user gets.
        a: constant of the propensities.
        b: constant of the propensities.
        page: write a report page too.

    Raises:
        DataError: a split is missing, or shapes do not fit.
        StorageError: the disk refused to write the page.
    """
    train, test = _splits(dataset)
    evaluation = evaluate_predictions(
        predictions,
        test.labels,
        test.filter_pairs,
        train.labels,
        dataset={"name": dataset.name, "documents": test.n_documents},
        a=a,
        b=b,
    )
    if page is not None:
        write_report(
            page.path,
            evaluation=evaluation,
            predictions={
                name: drop_pairs(top, test.filter_pairs) for name, top in predictions.items()
            },
            truth=test.labels,
            label_frequency=np.bincount(train.labels.indices, minlength=dataset.n_labels),
            texts=test.texts,
            label_texts=dataset.label_texts,
            history=page.history,
            facts=page.facts,
            peers=page.peers,
        )
    return evaluation


def _splits(dataset: Dataset) -> tuple[Split, Split]:
    if dataset.train is None or dataset.test is None:
        raise DataError(
            "a data set without train and test split",
            expected="both: propensities come from train",
            path=dataset.folder,
        )
    return dataset.train, dataset.test
