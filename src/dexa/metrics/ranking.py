"""Predictions of any form, as answers in order.

Equal scores go to the smaller label id, everywhere. A NaN score is refused: it would rank
first or last by accident.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix, issparse

from dexa.errors import DataError
from dexa.metrics.matrices import as_csr, shape_of
from dexa.types import NO_LABEL, TopK

Predictions: TypeAlias = TopK | csr_array | csr_matrix | NDArray[Any]
"""Answers for N documents over L labels, in one of these forms:

* `TopK`: best first, as it stands;
* CSR ``[N, L]``: every stored entry is an answer, zero and negative scores too;
* integers ``[N, K]``: label ids, best first, `NO_LABEL` where there are no more;
* floats ``[N, L]``: a score for every label, -inf for none.
"""

_CELLS = 1 << 22  # cells held at once: bounds memory, and stays near the processor's cache


def top_k(predictions: Predictions, k: int) -> TopK:
    """The k best answers of each document, best first.

    Args:
        predictions: answers for N documents, in any form of `Predictions`.
        k: answers to keep.

    Returns:
        ``[N, k]``; rows with fewer answers end in `NO_LABEL` with score -inf. Id arrays carry
        no scores: theirs become 1, 1/2, 1/3, …

    Raises:
        DataError: a NaN score, or an array that is none of the forms.
    """
    labels, scores = ranked(predictions, k)
    names = predictions.label_texts if isinstance(predictions, TopK) else None
    return TopK(labels=labels, scores=scores.astype(np.float32), label_texts=names)


def ranked(predictions: Predictions, k: int) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """As `top_k`, with the scores in their own precision.

    Raises:
        DataError: as `top_k`.
    """
    cut_offs(k)
    if isinstance(predictions, TopK):
        return _of_top_k(predictions, k)
    if issparse(predictions):
        return _of_csr(as_csr(predictions, "predictions"), k)
    array = np.asarray(predictions)
    if array.ndim == 2 and array.dtype.kind in "iu":
        labels = _pad(array[:, :k].astype(np.int64), k, NO_LABEL)
        scores = np.where(labels == NO_LABEL, -np.inf, 1 / cut_offs(k))
        return labels, scores
    if array.ndim == 2 and array.dtype.kind == "f":
        return _of_scores(array, k)
    raise DataError(
        f"predictions of type {array.dtype} and shape {array.shape}",
        expected="integers [N, K] (label ids, best first), floats [N, L] (scores), CSR or TopK",
    )


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
    labels[documents, ranks] = NO_LABEL
    scores[documents, ranks] = -np.inf
    rows = np.unique(documents)
    kept = labels[rows] != NO_LABEL
    left = np.arange(labels.shape[1]) < np.count_nonzero(kept, axis=1)[:, None]
    for answers, fill in ((labels, NO_LABEL), (scores, -np.inf)):
        moved = np.full(kept.shape, fill, dtype=answers.dtype)
        moved[left] = answers[rows][kept]
        answers[rows] = moved
    return TopK(labels=labels, scores=scores, label_texts=top.label_texts)


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


def find_pairs(
    labels: NDArray[np.int64], documents: NDArray[np.integer], wanted: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where pairs of a document and a label stand among the answers.

    Args:
        labels: answers ``[N, K]``.
        documents: ``[E]``, the row of each pair.
        wanted: ``[E]``, the label of each pair.

    Returns:
        The pairs that were answered, ascending, and their ranks from 0; both ``[H]``.
    """
    # Comparing each pair with its whole row of K beats a binary search up to K of hundreds.
    found, ranks = [], []
    for part in _slices(len(wanted), labels.shape[1]):
        pair, rank = np.nonzero(labels[documents[part]] == wanted[part, None])
        found.append(pair + part.start)
        ranks.append(rank)
    return np.concatenate(found), np.concatenate(ranks)


def cut_offs(k: int) -> NDArray[np.int64]:
    """The ranks 1 … k.

    Raises:
        DataError: k is below 1.
    """
    if k < 1:
        raise DataError(f"k is {k}", expected="at least 1")
    return np.arange(1, k + 1)


def label_axis(predictions: Predictions) -> int | None:
    """L where the columns of predictions are the labels; None where they are ranks."""
    if isinstance(predictions, TopK):
        return None
    ranks = not issparse(predictions) and np.asarray(predictions).dtype.kind != "f"
    return None if ranks else shape_of(predictions)[1]


def check_label_ids(labels: NDArray[np.int64], n_labels: int) -> None:
    """Refuse ids that are neither a label nor `NO_LABEL`.

    Raises:
        DataError: an id below -1, or at or above `n_labels`; the message names the document.
    """
    wrong = (labels < NO_LABEL) | (labels >= n_labels)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(
            f"document {row} is answered with label {labels[row, column]}",
            expected=f"ids from 0 to {n_labels - 1}, or {NO_LABEL} for no answer",
        )


def _of_top_k(top: TopK, k: int) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    if top.labels.ndim != 2 or top.labels.shape != top.scores.shape:
        raise DataError(
            f"labels of shape {top.labels.shape} with scores of shape {top.scores.shape}",
            expected="both [N, K]",
        )
    _refuse_nan(top.scores)
    return _pad(top.labels[:, :k], k, NO_LABEL), _pad(top.scores[:, :k], k, -np.inf)


def _of_scores(scores: NDArray[np.floating], k: int) -> tuple[NDArray[Any], NDArray[Any]]:
    _refuse_nan(scores)
    labels = np.full((len(scores), k), NO_LABEL, dtype=np.int64)
    best = np.full((len(scores), k), -np.inf, dtype=scores.dtype)
    for part in _slices(*scores.shape):
        positions = _best_positions(scores[part], k)
        width = positions.shape[1]
        best[part, :width] = np.take_along_axis(scores[part], positions, axis=1)
        labels[part, :width] = positions
    labels[best == -np.inf] = NO_LABEL
    return labels, best


def _of_csr(matrix: csr_array, k: int) -> tuple[NDArray[Any], NDArray[Any]]:
    if not matrix.has_sorted_indices:
        matrix = matrix.sorted_indices()
    entries: NDArray[Any] = matrix.data
    if entries.dtype.kind != "f":
        entries = entries.astype(np.float64)
    _refuse_nan(entries)
    lengths = np.diff(matrix.indptr)
    labels = np.full((len(lengths), k), NO_LABEL, dtype=np.int64)
    best = np.full((len(lengths), k), -np.inf, dtype=entries.dtype)
    for part in _slices(len(lengths), int(lengths.max(initial=0))):
        present = np.arange(lengths[part].max(initial=0)) < lengths[part, None]
        first, last = matrix.indptr[part.start], matrix.indptr[part.stop]
        scores: NDArray[Any] = np.full(present.shape, -np.inf, dtype=entries.dtype)
        scores[present] = entries[first:last]
        ids = np.full(present.shape, NO_LABEL, dtype=np.int64)
        ids[present] = matrix.indices[first:last]
        positions = _best_positions(scores, k)
        width = positions.shape[1]
        best[part, :width] = np.take_along_axis(scores, positions, axis=1)
        labels[part, :width] = np.take_along_axis(ids, positions, axis=1)
    labels[best == -np.inf] = NO_LABEL
    return labels, best


def _best_positions(scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
    """Columns of the k best of each row, best first, equal scores from left to right."""
    n, width = scores.shape
    if k >= width:
        return np.argsort(-scores, axis=1, kind="stable")
    threshold = np.partition(scores, width - k, axis=1)[:, width - k, None]
    chosen = scores >= threshold
    crowded = np.flatnonzero(np.count_nonzero(chosen, axis=1) > k)  # ties at the threshold
    ties = scores[crowded] == threshold[crowded]
    above = chosen[crowded] & ~ties
    room = k - np.count_nonzero(above, axis=1)
    chosen[crowded] = above | (ties & (np.cumsum(ties, axis=1) <= room[:, None]))
    columns = np.nonzero(chosen)[1].reshape(n, k)
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def _slices(rows: int, width: int) -> Iterator[slice]:
    """Consecutive slices of `rows` rows with about `_CELLS` cells each; at least one slice."""
    step = max(1, _CELLS // max(1, width))
    for start in range(0, max(1, rows), step):
        yield slice(start, min(start + step, rows))


def _pad(array: NDArray[Any], width: int, fill: float) -> NDArray[Any]:
    missing = width - array.shape[1]
    return np.pad(array, ((0, 0), (0, missing)), constant_values=fill) if missing > 0 else array


def _refuse_nan(scores: NDArray[np.floating]) -> None:
    count = np.count_nonzero(np.isnan(scores))
    if count:
        raise DataError(
            f"{count} scores are NaN",
            expected="numbers, or -inf for no answer",
            do="look for a run that diverged, or for a vector of zeros that was normalised",
        )
