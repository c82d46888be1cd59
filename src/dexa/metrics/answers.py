"""What is done to ranked answers: pairs taken out, the matrix form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.errors import DataError
from dexa.metrics.matrices import shape_of
from dexa.metrics.ranking import check_label_ids, find_pairs
from dexa.threads import side_by_side
from dexa.types import NO_LABEL, TopK

_DENSE_CELLS = 1 << 21  # scores of all labels that a thread holds at once


def drop_pairs(top: TopK, pairs: NDArray[np.integer]) -> TopK:
    """Remove answers that must not be counted, such as a document's own label.

    Args:
        top: answers of N documents, ``[N, K]``.
        pairs: ``[F, 2]`` rows of (document, label); those that were not answered do nothing.

    Returns:
        ``[N, K]``: the rest of a row moves up, `NO_LABEL` with score -inf fills its end.

    Raises:
        DataError: pairs of another shape, or with a document or label that cannot be.
    """
    pairs = np.asarray(pairs)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise DataError(
            f"filter pairs of type {pairs.dtype} and shape {pairs.shape}",
            expected="integers [F, 2], rows of (document, label)",
        )
    wrong = np.flatnonzero((pairs < 0).any(axis=1) | (pairs[:, 0] >= len(top)))
    if len(wrong):
        document, label = pairs[wrong[0]].tolist()
        raise DataError(
            f"filter pair {wrong[0]} is (document {document}, label {label})",
            expected=f"documents from 0 to {len(top) - 1} and labels from 0",
            do="give the filter file of the same split as the predictions",
        )
    found, ranks = find_pairs(top.labels, pairs[:, 0], pairs[:, 1])
    documents = pairs[found, 0]
    labels, scores = top.labels.copy(), top.scores.copy()
    worth = None if top.probabilities is None else top.probabilities.copy()
    labels[documents, ranks] = NO_LABEL
    rows = np.unique(documents)
    kept = labels[rows] != NO_LABEL
    left = np.arange(labels.shape[1]) < np.count_nonzero(kept, axis=1)[:, None]
    for answers, fill in ((labels, NO_LABEL), (scores, -np.inf), (worth, 0)):
        if answers is None:
            continue
        moved = np.full(kept.shape, fill, dtype=answers.dtype)
        moved[left] = answers[rows][kept]
        answers[rows] = moved
    return replace(top, labels=labels, scores=scores, probabilities=worth)


def to_csr(top: TopK, n_labels: int) -> csr_array:
    """Answers as a matrix ``[N, L]``, ids ascending in each row.

    Zero and negative scores are stored entries like any other; `NO_LABEL` is left out.

    Raises:
        DataError: a label id at or above `n_labels`.
    """
    check_label_ids(top.labels, n_labels)
    answered = top.labels != NO_LABEL
    ends = np.concatenate([[0], np.cumsum(np.count_nonzero(answered, axis=1))])
    parts = (top.scores[answered], top.labels[answered], ends)
    matrix = csr_array(parts, shape=(len(top), n_labels))
    matrix.sort_indices()
    return matrix


def chosen(opinions: csr_array, labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """The scores that a sparse scorer gives labels chosen for each text.

    Args:
        opinions: ``[B, L]``.
        labels: ``[B, K]``.

    Returns:
        float32 ``[B, K]``: 0 where there is no opinion, -inf for `NO_LABEL`.
    """
    scores = np.full(labels.shape, -np.inf, np.float32)
    if not labels.size:
        return scores
    rows = max(1, _DENSE_CELLS // shape_of(opinions)[1])

    def look_up(start: int) -> None:
        block = slice(start, start + rows)
        some = opinions if rows >= len(labels) else csr_array(opinions[block])
        dense = some.toarray()
        found = np.take_along_axis(dense, np.maximum(labels[block], 0), axis=1)
        np.copyto(scores[block], found, where=labels[block] != NO_LABEL)

    side_by_side(look_up, range(0, len(labels), rows))
    return scores
