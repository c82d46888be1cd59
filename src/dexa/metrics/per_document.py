"""Metrics document by document, for significance tests and for looking at single documents.

A metric is what was reached, summed over documents, by what was possible, summed: so the
propensity-scored ones, which are ratios of means, have a value for any sample of documents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.metrics.formulas import discounts, ideal_gains, ratio
from dexa.metrics.ranking import Predictions, cut_offs
from dexa.metrics.right_answers import best_weights, find_right_answers, label_weights


@dataclass(frozen=True, kw_only=True)
class PerDocument:
    """What each document contributes to a metric.

    Attributes:
        reached: ``[N, k]``, at the cut-offs 1 … k.
        possible: ``[N, k]``, read-only where it is the same for all documents.
    """

    reached: NDArray[np.float64]
    possible: NDArray[np.float64]

    @property
    def values(self) -> NDArray[np.float64]:
        """The metric of each document by itself, ``[N, k]``; 0 where nothing is possible."""
        return ratio(self.reached, self.possible)

    @property
    def metric(self) -> NDArray[np.float64]:
        """The metric of all documents, ``[k]``, as the function of the same name gives it."""
        return ratio(self.reached.sum(axis=0), self.possible.sum(axis=0))

    def at(self, *cut_offs: int) -> PerDocument:
        """The same at some of the cut-offs only, ``[N, len(cut_offs)]``."""
        columns = [cut_off - 1 for cut_off in cut_offs]
        return PerDocument(reached=self.reached[:, columns], possible=self.possible[:, columns])


def precision(predictions: Predictions, truth: csr_array, k: int = 5) -> PerDocument:
    """Right answers of each document, of k; arguments and errors as `dexa.metrics.precision`."""
    reached = find_right_answers(predictions, truth, k).by_document()
    possible = np.broadcast_to(cut_offs(k).astype(np.float64), reached.shape)
    return PerDocument(reached=reached, possible=possible)


def recall(predictions: Predictions, truth: csr_array, k: int = 5) -> PerDocument:
    """The share of true labels found, of 1; arguments and errors as `dexa.metrics.recall`.

    Documents without true labels reach 0.
    """
    right = find_right_answers(predictions, truth, k)
    return _of_one(right.by_document(1 / right.sizes[right.documents]))


def ndcg(predictions: Predictions, truth: csr_array, k: int = 5) -> PerDocument:
    """Discounted gain by the best allowed, of 1; arguments and errors as `dexa.metrics.ndcg`.

    Documents without true labels reach 0.
    """
    right = find_right_answers(predictions, truth, k)
    reached = right.by_document(discounts(k)[right.ranks])
    return _of_one(reached / ideal_gains(np.maximum(1, right.sizes), k))


def psp(
    predictions: Predictions,
    truth: csr_array,
    inverse_propensity: NDArray[np.floating],
    k: int = 5,
) -> PerDocument:
    """Weights of right answers, of the best possible; arguments, errors as `dexa.metrics.psp`."""
    right = find_right_answers(predictions, truth, k)
    weights = label_weights(right, inverse_propensity)
    return PerDocument(
        reached=right.by_document(weights[right.labels]),
        possible=best_weights(right, weights).cumsum(axis=1),
    )


def _of_one(reached: NDArray[np.float64]) -> PerDocument:
    return PerDocument(reached=reached, possible=np.broadcast_to(1.0, reached.shape))
