"""Where a system is right and where it is wrong, and where another one differs from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa import metrics
from dexa.data import Dataset, Split
from dexa.errors import DataError
from dexa.evaluation.breakdowns import (
    ANSWERS,
    Breakdown,
    document_parts,
    doubling_bins,
    label_parts,
)
from dexa.evaluation.tables import (
    CalibrationBin,
    FrequencyDecile,
    calibration,
    frequency_deciles,
    right_answers,
)
from dexa.metrics.right_answers import RightAnswers, find_right_answers
from dexa.types import NO_LABEL, TopK

BINS = 10
_CONTRIBUTIONS = (
    "P and PSP are contributions: they add up to those of all documents. R@10: the share of the "
    "true pairs that are among the first 10 answers; C@5: the share of the labels that are found, "
    "for any document, among the first 5."
)


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """What the scores of a system are worth.

    Attributes:
        bins: for the best answer of each document, then for the first five: tenths of the scores
            from 0 to 1, without those that are empty; quantiles where a score is no share.
        are_shares: whether all scores are from 0 to 1.
        error: the expected calibration error of the first five answers: the distance of the mean
            score from the share that is right, averaged over answers; None unless `are_shares`.
    """

    bins: Sequence[CalibrationBin]
    are_shares: bool
    error: float | None


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """One system, or two, on the test split of a data set, after the filter.

    Attributes:
        dataset: facts of the data set.
        a: the constant A of the propensities.
        b: the constant B.
        breakdowns: of all documents, by label frequency, by seen and unseen labels, by labels and,
            where there are texts, by words of a document.
        reliability: of each system.
    """

    dataset: Mapping[str, Any]
    a: float
    b: float
    breakdowns: Mapping[str, Breakdown]
    reliability: Mapping[str, Reliability]

    def to_json(self) -> dict[str, Any]:
        """All figures as plain values: metrics in per cent, calibration in fractions."""
        return {
            "dataset": dict(self.dataset),
            "A": self.a,
            "B": self.b,
            "breakdowns": {name: asdict(value) for name, value in self.breakdowns.items()},
            "reliability": {name: asdict(value) for name, value in self.reliability.items()},
        }


def analyse_on(
    dataset: Dataset, predictions: Mapping[str, TopK], *, a: float, b: float
) -> Analysis:
    """Break down the figures of one system or of two on a data set's test split.

    Args:
        dataset: with a train split, from which frequencies and propensities come, and a test split.
        predictions: system → unfiltered answers of the N test documents, at least
            `dexa.evaluation.answers_needed` each.
        a: constant of the propensities.
        b: constant of the propensities.

    Raises:
        DataError: a split is missing, no system or more than two, or shapes do not fit.
    """
    if dataset.train is None or dataset.test is None:
        raise DataError(
            "a data set without train and test split", expected="both", path=dataset.folder
        )
    if len(predictions) not in (1, 2):
        raise DataError(f"predictions of {len(predictions)} systems", expected="one or two")
    test = dataset.test
    tops = {name: metrics.drop_pairs(top, test.filter_pairs) for name, top in predictions.items()}
    right = {name: find_right_answers(top, test.labels, ANSWERS) for name, top in tops.items()}
    weights = metrics.inverse_propensity(dataset.train.labels, a, b)
    frequency = np.bincount(dataset.train.labels.indices, minlength=dataset.n_labels)
    deciles = frequency_deciles(next(iter(tops.values())), test.labels, frequency)
    breakdowns = {
        "all": _whole(right, weights),
        **_by_label(right, weights, frequency, deciles),
        **_by_document(right, weights, test),
    }
    return Analysis(
        dataset={
            "name": dataset.name,
            "documents": test.n_documents,
            "labels": dataset.n_labels,
            "true pairs": test.labels.nnz,
        },
        a=a,
        b=b,
        breakdowns=breakdowns,
        reliability={name: reliability(top, test.labels) for name, top in tops.items()},
    )


def reliability(top: TopK, truth: csr_array) -> Reliability:
    """The mean score of answers with about equal scores, and the share of them that is right.

    Args:
        top: filtered answers, ``[N, K]``.
        truth: the true labels, ``[N, L]``.

    Raises:
        DataError: shapes that do not fit.
    """
    scores = top.scores[:, :5][top.labels[:, :5] != NO_LABEL]
    if not ((scores >= 0) & (scores <= 1)).all():
        return Reliability(bins=calibration(top, truth, BINS), are_shares=False, error=None)
    right = right_answers(top, truth)
    bins = [row for answers in (1, 5) for row in _tenths(top, right, answers)]
    five = [row for row in bins if row.answers == 5]
    distance = sum(row.count * abs(row.mean - row.right) for row in five)
    error = distance / max(1, sum(row.count for row in five))
    return Reliability(bins=bins, are_shares=True, error=error)


def _tenths(top: TopK, right: NDArray[np.bool_], answers: int) -> list[CalibrationBin]:
    answered = top.labels[:, :answers] != NO_LABEL
    scores = top.scores[:, :answers][answered].astype(np.float64)
    bin_of = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(bin_of, minlength=BINS)
    total = np.bincount(bin_of, scores, minlength=BINS)
    hits = np.bincount(bin_of, right[:, :answers][answered], minlength=BINS)
    return [
        CalibrationBin(
            answers=answers,
            low=i / BINS,
            high=(i + 1) / BINS,
            mean=float(total[i] / count[i]),
            count=int(count[i]),
            right=float(hits[i] / count[i]),
        )
        for i in np.flatnonzero(count).tolist()
    ]


def _whole(right: Mapping[str, RightAnswers], weights: NDArray[np.float64]) -> Breakdown:
    n_documents = next(iter(right.values())).n_documents
    parts = document_parts(right, weights, np.zeros(n_documents, np.int64), ["all"])
    return Breakdown(title="All documents", axis="part", note="", parts=parts)


def _by_label(
    right: Mapping[str, RightAnswers],
    weights: NDArray[np.float64],
    frequency: NDArray[np.integer],
    deciles: Sequence[FrequencyDecile],
) -> dict[str, Breakdown]:
    # Labels more frequent than all true ones come after the last decile; nothing looks them up.
    decile_of = np.searchsorted([row.high for row in deciles], frequency)
    names = [row.frequencies for row in deciles]
    return {
        "label frequency": Breakdown(
            title="By label frequency",
            axis="training documents of the label",
            note=_CONTRIBUTIONS,
            parts=label_parts(right, weights, decile_of, names),
        ),
        "seen labels": Breakdown(
            title="By seen and unseen labels",
            axis="label in train",
            note="Unseen: without training documents. " + _CONTRIBUTIONS,
            parts=label_parts(right, weights, np.sign(frequency), ["unseen", "seen"]),
        ),
    }


def _by_document(
    right: Mapping[str, RightAnswers], weights: NDArray[np.float64], test: Split
) -> dict[str, Breakdown]:
    axes = {"true labels": ("By number of true labels", np.diff(test.labels.indptr))}
    if test.texts is not None:
        words = np.fromiter((len(text.split()) for text in test.texts), np.int64, len(test.texts))
        axes["words"] = ("By length of the text", words)
    breakdowns = {}
    for what, (title, counts) in axes.items():
        part_of, names = doubling_bins(counts)
        breakdowns[what] = Breakdown(
            title=title,
            axis=f"{what} of the document",
            note="The figures of each group of documents by itself.",
            parts=document_parts(right, weights, part_of, names),
        )
    return breakdowns
