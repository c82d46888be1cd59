"""The right answers among predictions: what almost every metric counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.errors import DataError
from dexa.metrics.matrices import relevant, shape_of
from dexa.metrics.ranking import (
    Predictions,
    best_of_rows,
    check_label_ids,
    find_pairs,
    label_axis,
    ranked,
)


@dataclass(frozen=True, kw_only=True)
class RightAnswers:
    """The right ones among the first k answers: one entry for each, H in all.

    Attributes:
        documents: ``[H]``.
        labels: ``[H]``.
        ranks: ``[H]``, from 0.
        answers: all answers, right or wrong, ``[N, k]``.
        truth: True where a label is true, ``[N, L]``.
    """

    documents: NDArray[np.int64]
    labels: NDArray[np.integer]
    ranks: NDArray[np.int64]
    answers: NDArray[np.integer]
    truth: csr_array

    @property
    def k(self) -> int:
        """The largest cut-off."""
        return self.answers.shape[1]

    @property
    def n_documents(self) -> int:
        """Number of documents N."""
        return shape_of(self.truth)[0]

    @property
    def n_labels(self) -> int:
        """Number of labels L."""
        return shape_of(self.truth)[1]

    @property
    def sizes(self) -> NDArray[np.integer]:
        """True labels of each document, ``[N]``."""
        return np.diff(self.truth.indptr)

    def total(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """The weights ``[H]`` (or the number) of those among the first 1 … k, ``[k]``."""
        by_rank = np.bincount(self.ranks, weights=weights, minlength=self.k)
        return by_rank.astype(np.float64).cumsum()

    def by_document(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """As `total`, for each document, ``[N, k]``."""
        cells = self.n_documents * self.k
        gains = np.bincount(self.documents * self.k + self.ranks, weights, minlength=cells)
        gains = gains.astype(np.float64, copy=False).reshape(self.n_documents, self.k)
        return gains.cumsum(axis=1, out=gains)


def find_right_answers(predictions: Predictions, truth: csr_array, k: int) -> RightAnswers:
    """Rank predictions and look up the true labels among the first k answers.

    Args:
        predictions: answers for N documents, in any form of `Predictions`.
        truth: the true labels, ``[N, L]``.
        k: the largest cut-off.

    Raises:
        DataError: shapes that do not fit, an unknown label id, a right label answered twice, or
            a NaN score.
    """
    answers = ranked(predictions, k)[0]
    true = relevant(truth, "true labels")
    n_documents, n_labels = shape_of(true)
    if len(answers) != n_documents or not len(answers):
        raise DataError(
            f"predictions for {len(answers)} documents, true labels for {n_documents}",
            expected="the same documents in both, at least one",
        )
    width = label_axis(predictions)
    if width not in (None, n_labels):
        raise DataError(
            f"predictions over {width} labels, true labels over {n_labels}",
            expected="the same labels in both",
        )
    check_label_ids(answers, n_labels)
    documents = np.repeat(np.arange(n_documents), np.diff(true.indptr))
    pairs, ranks = find_pairs(answers, documents, true.indices)
    repeated = np.flatnonzero(pairs[1:] == pairs[:-1])
    if len(repeated):
        pair = pairs[repeated[0]]
        raise DataError(
            f"document {documents[pair]} is answered with label {true.indices[pair]} twice",
            expected="each label once",
        )
    return RightAnswers(
        documents=documents[pairs],
        labels=true.indices[pairs],
        ranks=ranks,
        answers=answers,
        truth=true,
    )


def label_weights(right: RightAnswers, inverse_propensity: object) -> NDArray[np.float64]:
    """Inverse propensities, checked, ``[L]``.

    Raises:
        DataError: another shape, or a weight that is not positive.
    """
    weights = np.asarray(inverse_propensity, dtype=np.float64)
    if weights.shape != (right.n_labels,) or not np.all((weights > 0) & (weights < np.inf)):
        raise DataError(
            f"inverse propensities of shape {weights.shape}",
            expected=f"{right.n_labels} positive numbers, one for each label",
        )
    return weights


def best_weights(right: RightAnswers, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights that the best possible answers would gain at each rank, ``[N, k]``."""
    true = right.truth
    best = best_of_rows(weights[true.indices], true.indptr, right.k)[1]
    best[best == -np.inf] = 0
    return best
