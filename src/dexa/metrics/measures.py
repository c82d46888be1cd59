"""The metrics of extreme classification, for all cut-offs 1 … k at once.

A label is right or wrong: a stored value above 0 in `truth` counts as 1 (graded labels would
give a precision above 1), all else as 0. Documents without true labels stay in every mean,
with 0. A row with fewer than k answers is wrong at the ranks it leaves empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.errors import DataError
from dexa.metrics.matrices import relevant, shape_of
from dexa.metrics.ranking import (
    Predictions,
    check_label_ids,
    cut_offs,
    find_pairs,
    label_axis,
    ranked,
)


def precision(predictions: Predictions, truth: csr_array, k: int = 5) -> NDArray[np.float64]:
    """Precision: the share of the first k answers that are right, averaged over documents.

    ``P@k = 1/N Σ_i Σ_{r≤k} y_ir / k``.

    Args:
        predictions: answers for N documents, in any form of `Predictions`.
        truth: the true labels, ``[N, L]``.
        k: the largest cut-off.

    Returns:
        ``[k]``, the values at 1 … k as fractions.

    Raises:
        DataError: shapes that do not fit, an unknown label id, a right label answered twice, or
            a NaN score.
    """
    hits = _find_hits(predictions, truth, k)
    return hits.cumulated(None) / (hits.n_documents * cut_offs(k))


def recall(predictions: Predictions, truth: csr_array, k: int = 5) -> NDArray[np.float64]:
    """Recall: the share of a document's true labels among its first k answers, averaged.

    ``R@k = 1/N Σ_i Σ_{r≤k} y_ir / |y_i|``; arguments, result and errors as `precision`.
    """
    hits = _find_hits(predictions, truth, k)
    return hits.cumulated(1 / hits.sizes[hits.documents]) / hits.n_documents


def ndcg(predictions: Predictions, truth: csr_array, k: int = 5) -> NDArray[np.float64]:
    """Discounted gain, relative to the best that a document allows, averaged over documents.

    ``nDCG@k = 1/N Σ_i (Σ_{r≤k} y_ir / log2(r+1)) / (Σ_{r≤min(|y_i|,k)} 1 / log2(r+1))``;
    arguments, result and errors as `precision`.
    """
    hits = _find_hits(predictions, truth, k)
    discount = 1 / np.log2(cut_offs(k) + 1)
    # Documents with equally many labels (beyond k it makes no difference) share a denominator,
    # so the gains are summed by size [k] × rank [k] first and divided afterwards.
    size = np.minimum(hits.sizes[hits.documents], k) - 1
    gains = np.bincount(size * k + hits.ranks, weights=discount[hits.ranks], minlength=k * k)
    reached = gains.reshape(k, k).cumsum(axis=1)
    best = discount.cumsum()[np.minimum.outer(np.arange(k), np.arange(k))]
    return (reached / best).sum(axis=0) / hits.n_documents


def psp(
    predictions: Predictions,
    truth: csr_array,
    inverse_propensity: NDArray[np.floating],
    k: int = 5,
) -> NDArray[np.float64]:
    """Propensity-scored precision: the rarer a right answer, the more it counts.

    A ratio of means, by what the best possible answers would reach:
    ``PSP@k = (Σ_i Σ_{r≤k} y_ir w_ir) / (Σ_i best Σ_{r≤k} w)``, w the inverse propensity.

    Args:
        predictions: answers for N documents, in any form of `Predictions`.
        truth: the true labels, ``[N, L]``.
        inverse_propensity: the weight of each label, ``[L]``.
        k: the largest cut-off.

    Returns:
        ``[k]``, the values at 1 … k as fractions; 0 where no document has a label.

    Raises:
        DataError: as `precision`, or weights of another shape or that are not positive.
    """
    same = np.ones(len(cut_offs(k)))
    return _propensity_scored(predictions, truth, inverse_propensity, same)


def psndcg(
    predictions: Predictions,
    truth: csr_array,
    inverse_propensity: NDArray[np.floating],
    k: int = 5,
) -> NDArray[np.float64]:
    """Propensity-scored discounted gain: as `psp`, with each ``w`` divided by ``log2(r+1)``."""
    discount = 1 / np.log2(cut_offs(k) + 1)
    return _propensity_scored(predictions, truth, inverse_propensity, discount)


def coverage(predictions: Predictions, truth: csr_array, k: int = 5) -> NDArray[np.float64]:
    """Coverage: of all labels that are true somewhere, the share found right at least once.

    Arguments, result and errors as `precision`; 0 where no document has a label.
    """
    hits = _find_hits(predictions, truth, k)
    first = np.full(hits.n_labels, k, dtype=np.int64)
    np.minimum.at(first, hits.labels, hits.ranks)
    found = np.bincount(first, minlength=k + 1)[:k].cumsum()
    n_true_labels = np.count_nonzero(np.bincount(hits.truth.indices))
    return found / max(1, n_true_labels)


@dataclass(frozen=True, kw_only=True)
class _Hits:
    """The right answers: one entry for each, H in all.

    Attributes:
        documents: ``[H]``.
        labels: ``[H]``.
        ranks: ``[H]``, from 0.
        truth: ones where a label is true, ``[N, L]``.
        k: the largest cut-off.
    """

    documents: NDArray[np.int64]
    labels: NDArray[np.int64]
    ranks: NDArray[np.int64]
    truth: csr_array
    k: int

    @property
    def n_documents(self) -> int:
        return shape_of(self.truth)[0]

    @property
    def n_labels(self) -> int:
        return shape_of(self.truth)[1]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """True labels of each document, ``[N]``."""
        return np.diff(self.truth.indptr)

    def cumulated(self, weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """The weights ``[H]`` (or the number) of the hits among the first 1 … k, ``[k]``."""
        by_rank = np.bincount(self.ranks, weights=weights, minlength=self.k)
        return by_rank.astype(np.float64).cumsum()


def _find_hits(predictions: Predictions, truth: csr_array, k: int) -> _Hits:
    labels = ranked(predictions, k)[0]
    true = relevant(truth, "true labels")
    n_documents, n_labels = shape_of(true)
    if len(labels) != n_documents or not len(labels):
        raise DataError(
            f"predictions for {len(labels)} documents, true labels for {n_documents}",
            expected="the same documents in both, at least one",
        )
    width = label_axis(predictions)
    if width not in (None, n_labels):
        raise DataError(
            f"predictions over {width} labels, true labels over {n_labels}",
            expected="the same labels in both",
        )
    check_label_ids(labels, n_labels)
    documents = np.repeat(np.arange(len(labels)), np.diff(true.indptr))
    pairs, ranks = find_pairs(labels, documents, true.indices)
    repeated = np.flatnonzero(pairs[1:] == pairs[:-1])
    if len(repeated):
        pair = pairs[repeated[0]]
        raise DataError(
            f"document {documents[pair]} is answered with label {true.indices[pair]} twice",
            expected="each label once",
        )
    return _Hits(
        documents=documents[pairs],
        labels=true.indices[pairs].astype(np.int64),
        ranks=ranks,
        truth=true,
        k=k,
    )


def _propensity_scored(
    predictions: Predictions,
    truth: csr_array,
    weights: NDArray[np.floating],
    discount: NDArray[np.float64],
) -> NDArray[np.float64]:
    k = len(discount)
    hits = _find_hits(predictions, truth, k)
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (hits.n_labels,) or not np.all((weights > 0) & (weights < np.inf)):
        raise DataError(
            f"inverse propensities of shape {weights.shape}",
            expected=f"{hits.n_labels} positive numbers, one for each label",
        )
    reached = hits.cumulated(weights[hits.labels] * discount[hits.ranks])
    parts = (weights[hits.truth.indices], hits.truth.indices, hits.truth.indptr)
    best = ranked(csr_array(parts, shape=hits.truth.shape), k)[1]
    possible = np.where(best == -np.inf, 0, best).sum(axis=0) * discount
    possible = possible.cumsum()
    return np.divide(reached, possible, out=np.zeros(k), where=possible > 0)
