"""The metrics that `evaluate` takes from one ranking, as sums over right answers.

`measures` and `propensity_scored` describe them. Each gives the values at 1 … k, ``[k]``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dexa.metrics.ranking import cut_offs
from dexa.metrics.right_answers import RightAnswers


def precision(right: RightAnswers) -> NDArray[np.float64]:
    """Right answers by answers."""
    return right.total() / (right.n_documents * cut_offs(right.k))


def recall(right: RightAnswers) -> NDArray[np.float64]:
    """Right answers by true labels, a mean over documents."""
    return right.total(1 / right.sizes[right.documents]) / right.n_documents


def ndcg(right: RightAnswers) -> NDArray[np.float64]:
    """Discounted gain by the best possible, a mean over documents."""
    return by_size(right, None).sum(axis=0) / right.n_documents


def hits(right: RightAnswers) -> NDArray[np.float64]:
    """Documents with a right answer by documents."""
    first = np.full(right.n_documents, right.k)
    np.minimum.at(first, right.documents, right.ranks)
    return np.bincount(first, minlength=right.k + 1)[:-1].cumsum() / right.n_documents


def psp(
    right: RightAnswers, weights: NDArray[np.float64], best: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights of right answers by the best possible, which `best_weights` gives."""
    return ratio(right.total(weights[right.labels]), best.sum(axis=0).cumsum())


def psndcg(
    right: RightAnswers, weights: NDArray[np.float64], best: NDArray[np.float64]
) -> NDArray[np.float64]:
    """As `psp`, discounted."""
    discount = discounts(right.k)
    reached = right.total(weights[right.labels] * discount[right.ranks])
    return ratio(reached, (best.sum(axis=0) * discount).cumsum())


def ps_recall(
    right: RightAnswers, weights: NDArray[np.float64], best: NDArray[np.float64]
) -> NDArray[np.float64]:
    """As `psp`, each document divided by its number of true labels."""
    share = 1 / np.maximum(1, right.sizes)
    reached = right.total(weights[right.labels] * share[right.documents])
    return ratio(reached, (share @ best).cumsum())


def by_size(right: RightAnswers, weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Discounted gains by the best that right answers of weight 1 allow, summed by size.

    Documents with equally many labels (beyond k it makes no difference) share a denominator, so
    the gains are summed first and divided afterwards.

    Args:
        right: the right answers.
        weights: of each right answer, ``[H]``; 1 if None.

    Returns:
        ``[k, k]``: documents of min(size, k) = 1 … k, by cut-offs 1 … k.
    """
    k = right.k
    gains = discounts(k)[right.ranks]
    if weights is not None:
        gains *= weights
    size = np.minimum(right.sizes[right.documents], k) - 1
    summed = np.bincount(size * k + right.ranks, weights=gains, minlength=k * k)
    return summed.reshape(k, k).cumsum(axis=1) / ideal_gains(np.arange(k) + 1, k)


def ideal_gains(sizes: NDArray[np.integer], k: int) -> NDArray[np.float64]:
    """``Σ_{r≤min(size,c)} 1/log2(r+1)`` for each size of at least 1 and cut-off c, ``[S, k]``."""
    return discounts(k).cumsum()[np.minimum.outer(sizes, cut_offs(k)) - 1]


def discounts(k: int) -> NDArray[np.float64]:
    """``1/log2(r+1)`` at the ranks r = 1 … k."""
    return 1 / np.log2(cut_offs(k) + 1)


def ratio(reached: NDArray[np.float64], possible: NDArray[np.float64]) -> NDArray[np.float64]:
    """`reached` by `possible`; 0 where nothing was possible."""
    return np.divide(reached, possible, out=np.zeros(possible.shape), where=possible > 0)
