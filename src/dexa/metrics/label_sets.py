"""The metrics that look at answers as sets: by label, or of two systems.

What `measures` says of graded labels, empty rows and ties holds here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.errors import DataError
from dexa.metrics.formulas import ratio
from dexa.metrics.ranking import Predictions, find_pairs, ranked
from dexa.metrics.right_answers import find_right_answers
from dexa.types import NO_LABEL


def coverage(predictions: Predictions, truth: csr_array, k: int = 5) -> NDArray[np.float64]:
    """Coverage: of all labels that are true somewhere, the share found right at least once.

    Arguments, result and errors as `precision`; 0 where no document has a label.
    """
    right = find_right_answers(predictions, truth, k)
    first = np.full(right.n_labels, k)
    np.minimum.at(first, right.labels, right.ranks)
    found = np.bincount(first, minlength=k + 1)[:k].cumsum()
    n_true_labels = np.count_nonzero(np.bincount(right.truth.indices))
    return found / max(1, n_true_labels)


def macro_f1(predictions: Predictions, truth: csr_array, k: int = 5) -> NDArray[np.float64]:
    """Macro F1: the F1 of each label, averaged over all L labels.

    ``1/L Σ_l 2 tp_l / (answered_l + true_l)``, where the first k answers of a document are its
    predicted labels. Labels that are neither answered nor true count 0, as in scikit-learn.
    Arguments, result and errors as `precision`.
    """
    right = find_right_answers(predictions, truth, k)
    n_labels = right.n_labels
    true = np.bincount(right.truth.indices, minlength=n_labels)
    answered, found = np.zeros(n_labels), np.zeros(n_labels)
    values = np.zeros(k)
    for rank in range(k):
        column = right.answers[:, rank]
        answered += np.bincount(column[column != NO_LABEL], minlength=n_labels)
        found += np.bincount(right.labels[right.ranks == rank], minlength=n_labels)
        values[rank] = ratio(2 * found, answered + true).mean()
    return values


def micro_f1(predictions: Predictions, truth: csr_array, k: int = 5) -> NDArray[np.float64]:
    """Micro F1: the F1 of all pairs of a document and a label.

    ``2 Σ_l tp_l / Σ_l (answered_l + true_l)``, where the first k answers of a document are its
    predicted labels. Arguments, result and errors as `precision`; 0 where there are no pairs.
    """
    right = find_right_answers(predictions, truth, k)
    answered = np.count_nonzero(right.answers != NO_LABEL, axis=0).cumsum()
    return ratio(2 * right.total(), answered + float(right.truth.nnz))


def jaccard(
    first: Predictions, second: Predictions, k: int = 5, truth: csr_array | None = None
) -> NDArray[np.float64]:
    """Jaccard similarity: how far the first k answers of two systems agree, averaged.

    ``1/N Σ_i |A_i ∩ B_i| / |A_i ∪ B_i|``, where A and B are the sets of the first k answers; 0
    where both are empty, as in pyxclib (which takes all that is stored instead of the first k).

    Args:
        first: answers for N documents, in any form of `Predictions`.
        second: answers of another system for the same documents.
        k: the largest cut-off.
        truth: the true labels, ``[N, L]``; with them only right answers are in the sets.

    Returns:
        ``[k]``, the values at 1 … k as fractions.

    Raises:
        DataError: shapes that do not fit, a label answered twice, or a NaN score; with `truth`
            as `precision`.
    """
    ours, theirs = (_answer_sets(predictions, truth, k) for predictions in (first, second))
    if len(ours) != len(theirs) or not len(ours):
        raise DataError(
            f"predictions for {len(ours)} documents, others for {len(theirs)}",
            expected="the same documents in both, at least one",
        )
    documents, rank_of_theirs = np.nonzero(theirs != NO_LABEL)
    pairs, rank_of_ours = find_pairs(ours, documents, theirs[documents, rank_of_theirs])
    joined = np.maximum(rank_of_ours, rank_of_theirs[pairs])  # from this rank on both have it
    common = np.bincount(documents[pairs] * k + joined, minlength=ours.size)
    common = common.reshape(ours.shape).cumsum(axis=1)
    sizes = (np.not_equal(a, NO_LABEL).cumsum(axis=1) for a in (ours, theirs))
    return ratio(common.astype(np.float64), sum(sizes) - common).mean(axis=0)


def _answer_sets(predictions: Predictions, truth: csr_array | None, k: int) -> NDArray[np.integer]:
    """The first k answers, ``[N, k]``; `NO_LABEL` for wrong ones where the truth is given."""
    if truth is None:
        answers = ranked(predictions, k)[0]
    else:
        right = find_right_answers(predictions, truth, k)
        answers = np.full(right.answers.shape, NO_LABEL)
        answers[right.documents, right.ranks] = right.labels
    ordered = np.sort(answers, axis=1)
    repeated = np.argwhere((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != NO_LABEL))
    if len(repeated):
        row, column = repeated[0]
        raise DataError(
            f"document {row} is answered with label {ordered[row, column]} twice",
            expected="each label once",
        )
    return answers
