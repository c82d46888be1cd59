"""The metrics that count a right answer the more, the rarer its label is in training.

All are ratios of means, by what the best possible answers would reach, so that 1 can be reached.
What `measures` says of graded labels, empty rows and ties holds here. They depend on the
constants A and B of `inverse_propensity`, which belong beside every figure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.metrics import formulas
from dexa.metrics.ranking import Predictions
from dexa.metrics.right_answers import best_weights, find_right_answers, label_weights


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
    right = find_right_answers(predictions, truth, k)
    weights = label_weights(right, inverse_propensity)
    return formulas.psp(right, weights, best_weights(right, weights))


def psndcg(
    predictions: Predictions,
    truth: csr_array,
    inverse_propensity: NDArray[np.floating],
    k: int = 5,
    *,
    by_size: bool = False,
) -> NDArray[np.float64]:
    """Propensity-scored discounted gain: as `psp`, with each ``w`` divided by ``log2(r+1)``.

    pyxclib, from which most published figures come, first divides the gains of each document,
    reached and possible, by ``Σ_{r≤min(|y_i|,k)} 1/log2(r+1)``, so that documents with few labels
    count more.

    Args:
        predictions: answers for N documents, in any form of `Predictions`.
        truth: the true labels, ``[N, L]``.
        inverse_propensity: the weight of each label, ``[L]``.
        k: the largest cut-off.
        by_size: divide as pyxclib does.

    Returns:
        ``[k]``, as `psp`.

    Raises:
        DataError: as `psp`.
    """
    right = find_right_answers(predictions, truth, k)
    weights = label_weights(right, inverse_propensity)
    best = best_weights(right, weights)
    if not by_size:
        return formulas.psndcg(right, weights, best)
    reached = formulas.by_size(right, weights[right.labels]).sum(axis=0)
    possible = (best * formulas.discounts(k)).cumsum(axis=1)
    possible /= formulas.ideal_gains(np.maximum(1, right.sizes), k)
    return formulas.ratio(reached, possible.sum(axis=0))


def ps_recall(
    predictions: Predictions,
    truth: csr_array,
    inverse_propensity: NDArray[np.floating],
    k: int = 5,
) -> NDArray[np.float64]:
    """Propensity-scored recall: as `psp`, each document divided by its number of true labels.

    ``PSR@k = (Σ_i Σ_{r≤k} y_ir w_ir / |y_i|) / (Σ_i best Σ_{r≤k} w / |y_i|)``; arguments, result
    and errors as `psp`.
    """
    right = find_right_answers(predictions, truth, k)
    weights = label_weights(right, inverse_propensity)
    return formulas.ps_recall(right, weights, best_weights(right, weights))
