"""The metrics of extreme classification that count right answers, for all cut-offs 1 … k at once.

A label is right or wrong: a stored value above 0 in `truth` counts as 1 (pyxclib multiplies by
the value, so that graded labels give it a precision above 1), all else as 0. Documents without
true labels stay in every mean, with 0; take their rows out of both matrices to leave them out,
as pyxclib's ``remove_invalid`` does. A row with fewer than k answers is wrong at the ranks it
leaves empty. Equal scores go to the smaller label id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from dexa.metrics import formulas
from dexa.metrics.ranking import Predictions, cut_offs
from dexa.metrics.right_answers import best_weights, find_right_answers, label_weights
from dexa.types import TopK


def evaluate(
    predictions: Predictions,
    truth: csr_array,
    inverse_propensity: NDArray[np.floating] | None = None,
    k: int = 5,
) -> dict[str, NDArray[np.float64]]:
    """Many metrics from one ranking.

    Args:
        predictions: answers for N documents, in any form of `Predictions`.
        truth: the true labels, ``[N, L]``.
        inverse_propensity: the weight of each label, ``[L]``; without it, PSP, PSnDCG and PSR are
            left out.
        k: the largest cut-off.

    Returns:
        ``P``, ``nDCG``, ``R``, ``hits``, ``PSP``, ``PSnDCG``, ``PSR``: what `precision`, `ndcg`,
        `recall`, `hits`, `psp`, `psndcg` and `ps_recall` give, ``[k]`` each.

    Raises:
        DataError: as `psp`.
    """
    right = find_right_answers(predictions, truth, k)
    values = {
        "P": formulas.precision(right),
        "nDCG": formulas.ndcg(right),
        "R": formulas.recall(right),
        "hits": formulas.hits(right),
    }
    if inverse_propensity is not None:
        weights = label_weights(right, inverse_propensity)
        best = best_weights(right, weights)
        values["PSP"] = formulas.psp(right, weights, best)
        values["PSnDCG"] = formulas.psndcg(right, weights, best)
        values["PSR"] = formulas.ps_recall(right, weights, best)
    return values


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
    return formulas.precision(find_right_answers(predictions, truth, k))


def recall(predictions: Predictions, truth: csr_array, k: int = 5) -> NDArray[np.float64]:
    """Recall: the share of a document's true labels among its first k answers, averaged.

    ``R@k = 1/N Σ_i Σ_{r≤k} y_ir / |y_i|``; arguments, result and errors as `precision`.
    """
    return formulas.recall(find_right_answers(predictions, truth, k))


def micro_recall(predictions: Predictions, truth: csr_array, k: int = 5) -> NDArray[np.float64]:
    """Micro recall: the share of all true labels of all documents among the first k answers.

    ``Σ_i Σ_{r≤k} y_ir / Σ_i |y_i|``; arguments, result and errors as `precision`; 0 where no
    document has a label.
    """
    right = find_right_answers(predictions, truth, k)
    return right.total() / max(1, right.truth.nnz)


def recall_at_truth(predictions: Predictions, truth: csr_array) -> float:
    """Recall at ground truth: each document has as many answers as it has true labels.

    ``1/N Σ_i Σ_{r≤|y_i|} y_ir / |y_i|``, in which recall and precision are the same; arguments and
    errors as `precision`. pyxclib gives NaN where a document has no labels.
    """
    right = find_right_answers(predictions, truth, _depth(predictions, truth))
    sizes = right.sizes[right.documents]
    return float(np.sum(1 / sizes[right.ranks < sizes]) / right.n_documents)


def micro_recall_at_truth(predictions: Predictions, truth: csr_array) -> float:
    """Micro recall at ground truth: each document has as many answers as it has true labels.

    ``Σ_i Σ_{r≤|y_i|} y_ir / Σ_i |y_i|``; arguments and errors as `precision`; 0 where no document
    has a label.
    """
    right = find_right_answers(predictions, truth, _depth(predictions, truth))
    found = np.count_nonzero(right.ranks < right.sizes[right.documents])
    return found / max(1, right.truth.nnz)


def ndcg(predictions: Predictions, truth: csr_array, k: int = 5) -> NDArray[np.float64]:
    """Discounted gain, relative to the best that a document allows, averaged over documents.

    ``nDCG@k = 1/N Σ_i (Σ_{r≤k} y_ir / log2(r+1)) / (Σ_{r≤min(|y_i|,k)} 1 / log2(r+1))``;
    arguments, result and errors as `precision`.
    """
    return formulas.ndcg(find_right_answers(predictions, truth, k))


def hits(predictions: Predictions, truth: csr_array, k: int = 5) -> NDArray[np.float64]:
    """Hits: the share of documents with at least one right answer among the first k.

    ``1/N Σ_i max_{r≤k} y_ir``; arguments, result and errors as `precision`.
    """
    return formulas.hits(find_right_answers(predictions, truth, k))


def abandonment(predictions: Predictions, truth: csr_array, k: int = 5) -> NDArray[np.float64]:
    """Abandonment: the share of documents without a right answer among the first k.

    ``1 - hits``; arguments, result and errors as `precision`. Documents without true labels
    count as abandoned.
    """
    return 1 - hits(predictions, truth, k)


def auc(predictions: Predictions, truth: csr_array, k: int = 5) -> NDArray[np.float64]:
    """Area under the ROC curve of the first k answers, averaged over documents.

    The share of pairs of a right and a wrong answer in which the right one comes first:
    ``1/N Σ_i Σ_{r<s≤k} y_ir (1 - y_is) / (n_i (k - n_i))`` with ``n_i = Σ_{r≤k} y_ir``. A document
    without such a pair, be it that all answers are right, counts 0, as in pyxclib. With k = L it
    is the area over all labels.

    Arguments, result and errors as `precision`.
    """
    right = find_right_answers(predictions, truth, k)
    found = right.by_document()
    wrong = 1 - np.diff(found, axis=1, prepend=0)
    in_order = (found * wrong).cumsum(axis=1)
    return (in_order / np.maximum(1, found * (cut_offs(k) - found))).mean(axis=0)


def _depth(predictions: Predictions, truth: csr_array) -> int:
    """The last rank that recall at ground truth can look at: of an answer, and of a true label."""
    rows: Any = predictions
    if isinstance(predictions, TopK):
        most = predictions.labels.shape[1]
    elif issparse(predictions):
        most = np.diff(rows.indptr).max(initial=0)
    else:
        most = np.shape(rows["indices"] if isinstance(predictions, Mapping) else rows)[-1]
    return max(1, min(int(most), int(np.diff(truth.indptr).max(initial=0))))
