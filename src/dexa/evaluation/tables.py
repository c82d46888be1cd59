"""The figures of an evaluation, as plain rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa import metrics
from dexa.errors import DataError
from dexa.metrics.matrices import relevant, shape_of
from dexa.metrics.ranking import find_pairs
from dexa.types import NO_LABEL, TopK

CUT_OFFS = (1, 3, 5)
RECALL_CUT_OFFS = (10, 100)
TERMINAL_METRICS = ("P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5", "R@10", "R@100")
DECILE_RECALL = 10  # the cut-off of recall by label frequency


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The metrics of every scorer on one split, after the filter.

    Attributes:
        scorers: scorer → metric → per cent, rounded to 4 decimals. The last scorer is the one
            whose answers a user gets.
        dataset: facts of the data set.
        a: the constant A of the propensities.
        b: the constant B.
    """

    scorers: dict[str, dict[str, float]]
    dataset: dict[str, Any]
    a: float
    b: float

    def to_json(self) -> dict[str, Any]:
        """The contents of ``metrics.json``."""
        return {"scorers": self.scorers, "dataset": self.dataset, "A": self.a, "B": self.b}

    def rows(self) -> list[list[str]]:
        """A table narrow enough for a terminal: a header, then a row a scorer, two decimals."""
        header = ["scorer", *TERMINAL_METRICS]
        return [header] + [
            [name.replace("_", " "), *(f"{values[metric]:.2f}" for metric in TERMINAL_METRICS)]
            for name, values in self.scorers.items()
        ]


@dataclass(frozen=True, kw_only=True)
class FrequencyDecile:
    """True answers whose labels are about equally frequent in training.

    Attributes:
        low: the fewest training documents of its labels.
        high: the most.
        labels: distinct true labels in the decile.
        pairs: true (document, label) pairs in the decile.
        precision: its contribution to P@1: first answers that are right and in the decile, as
            a fraction of all documents. The deciles add up to P@1.
        recall: the fraction of its pairs that are among the first 10 answers.
    """

    low: int
    high: int
    labels: int
    pairs: int
    precision: float
    recall: float

    @property
    def frequencies(self) -> str:
        """The range of its labels' frequencies."""
        return f"{self.low}" if self.low == self.high else f"{self.low}–{self.high}"


@dataclass(frozen=True, kw_only=True)
class CalibrationBin:
    """Answers with about equal scores.

    Attributes:
        answers: 1 for the best answer of each document, 5 for its first five.
        low: the lowest score.
        high: the highest.
        mean: the mean score.
        count: how many answers.
        right: the fraction of them that is right.
    """

    answers: int
    low: float
    high: float
    mean: float
    count: int
    right: float


def evaluate_predictions(
    predictions: Mapping[str, TopK],
    truth: csr_array,
    filter_pairs: NDArray[np.integer],
    train_labels: csr_array,
    *,
    dataset: dict[str, Any],
    a: float,
    b: float,
) -> Evaluation:
    """Score the answers of every scorer.

    Args:
        predictions: scorer → answers ``[N, K]``, not yet filtered, the final scorer last.
            Recall at 100 counts what was answered, should K be less.
        truth: the true labels, ``[N, L]``.
        filter_pairs: ``[F, 2]``, (document, label) that must not be counted.
        train_labels: the labels of the training documents, ``[N', L]``, for propensities.
        dataset: facts of the data set, to be kept with the figures.
        a: the constant A of the propensities.
        b: the constant B.

    Raises:
        DataError: as `dexa.metrics.precision` and `dexa.metrics.drop_pairs`.
    """
    weights = metrics.inverse_propensity(train_labels, a, b)
    scorers = {
        name: _figures(metrics.drop_pairs(top, filter_pairs), truth, weights)
        for name, top in predictions.items()
    }
    return Evaluation(scorers=scorers, dataset=dataset, a=a, b=b)


def frequency_deciles(
    top: TopK, truth: csr_array, label_frequency: NDArray[np.integer]
) -> list[FrequencyDecile]:
    """P@1 and recall at 10 by how frequent the true label is in training.

    Each decile holds about a tenth of the true (document, label) pairs. Labels of one frequency
    stay together, so there are fewer than ten where one frequency holds more than a tenth.

    Args:
        top: filtered answers, ``[N, K]``.
        truth: the true labels, ``[N, L]``.
        label_frequency: training documents of each label, ``[L]``.

    Returns:
        Rarest labels first; empty where nothing is true.

    Raises:
        DataError: shapes that do not fit.
    """
    documents, labels = _true_pairs(top, truth)
    if len(label_frequency) != shape_of(truth)[1]:
        raise DataError(
            f"frequencies of {len(label_frequency)} labels",
            expected=f"{shape_of(truth)[1]}, as many as there are labels",
        )
    frequency = np.asarray(label_frequency)[labels]
    decile = _quantile_groups(frequency, 10)
    found, ranks = find_pairs(top.labels[:, :DECILE_RECALL], documents, labels)
    rows = []
    for group in np.unique(decile):
        member = decile == group
        rows.append(
            FrequencyDecile(
                low=int(frequency[member].min()),
                high=int(frequency[member].max()),
                labels=len(np.unique(labels[member])),
                pairs=int(member.sum()),
                precision=float(member[found[ranks == 0]].sum() / len(top)),
                recall=float(member[found].sum() / member.sum()),
            )
        )
    return rows


def calibration(top: TopK, truth: csr_array, bins: int = 10) -> list[CalibrationBin]:
    """What the scores are worth: the share of right answers by quantile of the score.

    Args:
        top: filtered answers, ``[N, K]``.
        truth: the true labels, ``[N, L]``.
        bins: quantiles to cut the scores into. Equal scores stay together, so there may be
            fewer.

    Returns:
        First the bins of the best answers, then those of the first five, each from low scores
        to high; empty where nothing was answered.

    Raises:
        DataError: shapes that do not fit.
    """
    right = right_answers(top, truth)
    rows = []
    for answers in (1, 5):
        answered = top.labels[:, :answers] != NO_LABEL
        scores = top.scores[:, :answers][answered].astype(np.float64)
        is_right = right[:, :answers][answered]
        group_of = _quantile_groups(scores, bins)
        for group in np.unique(group_of):
            member = group_of == group
            rows.append(
                CalibrationBin(
                    answers=answers,
                    low=float(scores[member].min()),
                    high=float(scores[member].max()),
                    mean=float(scores[member].mean()),
                    count=int(member.sum()),
                    right=float(is_right[member].mean()),
                )
            )
    return rows


def right_answers(top: TopK, truth: csr_array) -> NDArray[np.bool_]:
    """Which answers are true, ``[N, K]``.

    Raises:
        DataError: shapes that do not fit.
    """
    documents, labels = _true_pairs(top, truth)
    found, ranks = find_pairs(top.labels, documents, labels)
    right = np.zeros(top.labels.shape, dtype=bool)
    right[documents[found], ranks] = True
    return right


def _figures(top: TopK, truth: csr_array, weights: NDArray[np.float64]) -> dict[str, float]:
    """Every metric of one scorer, in per cent."""
    found = metrics.evaluate(top, truth, weights, max(CUT_OFFS))
    found["R"] = metrics.recall(top, truth, max(RECALL_CUT_OFFS))
    wanted = [(name, k) for name in ("P", "nDCG", "PSP", "PSnDCG") for k in CUT_OFFS]
    wanted += [("R", k) for k in RECALL_CUT_OFFS]
    return {f"{name}@{k}": round(float(found[name][k - 1]) * 100, 4) for name, k in wanted}


def _true_pairs(top: TopK, truth: csr_array) -> tuple[NDArray[np.int64], NDArray[np.integer]]:
    """Documents ``[E]`` and labels ``[E]`` of all that is true."""
    true = relevant(truth, "true labels")
    if len(top) != shape_of(true)[0]:
        raise DataError(
            f"predictions for {len(top)} documents, true labels for {shape_of(true)[0]}",
            expected="the same documents in both",
        )
    return np.repeat(np.arange(len(top)), np.diff(true.indptr)), true.indices


def _quantile_groups(values: NDArray[Any], n: int) -> NDArray[np.int64]:
    """A group for each value, ascending; about equally many in each, equal values together."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    edges = np.quantile(values, np.arange(1, n) / n, method="inverted_cdf")
    return np.searchsorted(np.unique(edges), values, side="left")
