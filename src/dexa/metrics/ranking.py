"""Predictions of any form, as answers in order.

Equal scores go to the smaller label id, everywhere. A NaN score is refused: it would rank
first or last by accident. pyxclib breaks ties by an unstable sort, in which the larger id often
wins (``top_k(…, larger_id_first=True)`` ranks so, always), and sorts the indices of the matrix it
is given; here nothing that is given is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix, issparse

from dexa.errors import DataError
from dexa.metrics.matrices import as_csr, scored_answers, shape_of
from dexa.types import NO_LABEL, TopK

Predictions: TypeAlias = TopK | csr_array | csr_matrix | NDArray[Any] | Mapping[str, NDArray[Any]]
"""Answers for N documents over L labels, in one of these forms:

* `TopK`: best first, as it stands;
* CSR ``[N, L]``: every stored entry is an answer, zero and negative scores too;
* integers ``[N, K]``: label ids, best first, `NO_LABEL` where there are no more;
* floats ``[N, L]``: a score for every label, -inf for none;
* ``{"indices": integers [N, K], "scores": floats [N, K]}``: answers in any order, with
  `NO_LABEL` or a score of -inf for none.
"""

_CELLS = 1 << 17  # cells held at once: bounds memory, and stays in the processor's cache
_PASSES = 16  # up to this k, finding the best one k times is faster than a partial sort


def top_k(predictions: Predictions, k: int, *, larger_id_first: bool = False) -> TopK:
    """The k best answers of each document, best first.

    Every metric ranks anew what it is given; of a `TopK` there is nothing left to rank.

    Args:
        predictions: answers for N documents, in any form of `Predictions`.
        k: answers to keep.
        larger_id_first: whether equal scores go to the larger label id, as in pyxclib.

    Returns:
        ``[N, k]``; rows with fewer answers end in `NO_LABEL` with score -inf. Id arrays carry
        no scores: theirs become 1, 1/2, 1/3, … It may share memory with `predictions`.

    Raises:
        DataError: a NaN score, or predictions that have none of the forms.
    """
    labels, scores = (
        _ranked_backwards(predictions, k) if larger_id_first else ranked(predictions, k)
    )
    if scores is None:
        scores = np.where(labels == NO_LABEL, -np.inf, 1 / cut_offs(k))
    return TopK(
        labels=labels.astype(np.int64, copy=False),
        scores=scores.astype(np.float32, copy=False),
        label_texts=predictions.label_texts if isinstance(predictions, TopK) else None,
    )


def ranked(
    predictions: Predictions, k: int
) -> tuple[NDArray[np.integer], NDArray[np.floating] | None]:
    """As `top_k`, in the types that the predictions have; no scores of id arrays.

    Raises:
        DataError: as `top_k`.
    """
    cut_offs(k)
    if isinstance(predictions, TopK):
        return _of_top_k(predictions, k)
    if issparse(predictions):
        return _of_csr(as_csr(predictions, "predictions"), k)
    if isinstance(predictions, Mapping):
        return _of_csr(scored_answers(predictions), k)
    array = np.asarray(predictions)
    if array.ndim == 2 and array.dtype.kind in "iu":
        labels = array[:, :k]
        if array.dtype.kind == "u":
            labels = labels.astype(np.int64)
        return _pad(labels, k, NO_LABEL), None
    if array.ndim == 2 and array.dtype.kind == "f":
        return _of_scores(array, k)
    raise DataError(
        f"predictions of type {array.dtype} and shape {array.shape}",
        expected="integers [N, K] (label ids, best first), floats [N, L] (scores), CSR, TopK, or "
        "a mapping of indices and scores",
    )


def _ranked_backwards(
    predictions: Predictions, k: int
) -> tuple[NDArray[np.integer], NDArray[np.floating] | None]:
    """As `ranked`, of labels counted from the last one, so that the larger id comes first."""
    if isinstance(predictions, Mapping):
        predictions = scored_answers(predictions)
    if (n_labels := label_axis(predictions)) is None:  # in order already
        return ranked(predictions, k)
    if isinstance(predictions, csr_array | csr_matrix):
        last = n_labels - 1 - predictions.indices
        parts = (predictions.data, last, predictions.indptr)
        labels, scores = ranked(csr_array(parts, shape=predictions.shape), k)
    else:
        labels, scores = ranked(np.asarray(predictions)[:, ::-1], k)
    return np.where(labels == NO_LABEL, NO_LABEL, n_labels - 1 - labels), scores


def best_of_rows(
    values: NDArray[np.floating],
    ends: NDArray[np.integer],
    k: int,
    labels: NDArray[np.integer] | None = None,
) -> tuple[NDArray[np.integer], NDArray[Any]]:
    """The k largest values of each row, largest first, equal ones as they stand.

    Args:
        values: of all rows, end to end, without NaN.
        ends: ``[N + 1]``; row n is ``values[ends[n]:ends[n + 1]]``.
        k: values to find.
        labels: the label of each value; without them, its place in the row.

    Returns:
        Their labels and the values, both ``[N, k]``; shorter rows end in `NO_LABEL` and -inf.
    """
    lengths = np.diff(ends)
    kind = np.int64 if labels is None else labels.dtype
    answers = np.full((len(lengths), k), NO_LABEL, dtype=kind)
    best = np.full((len(lengths), k), -np.inf, dtype=values.dtype)
    for rows, width in _similar_rows(lengths):
        # Rows are cut out as windows of one width. Some windows hold neighbours of a shorter row.
        first = np.minimum(ends[rows], len(values) - width)
        block = sliding_window_view(values, width)[first]
        before = (ends[rows] - first)[:, None]
        if lengths[rows[0]] < width:
            column = np.arange(width) - before
            block[(column < 0) | (column >= lengths[rows, None])] = -np.inf
        columns, found = _best_columns(block, k)
        chosen = columns - before if labels is None else labels[columns + first[:, None]]
        answers[rows, : found.shape[1]] = np.where(found == -np.inf, NO_LABEL, chosen)
        best[rows, : found.shape[1]] = found
    return answers, best


def find_pairs(
    labels: NDArray[np.integer], documents: NDArray[np.integer], wanted: NDArray[np.integer]
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
    step = max(1, _CELLS // max(1, labels.shape[1]))
    for start in range(0, max(1, len(wanted)), step):
        part = slice(start, start + step)
        pair, rank = np.nonzero(labels[documents[part]] == wanted[part, None])
        found.append(pair + start)
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
    if isinstance(predictions, TopK | Mapping):
        return None
    ranks = not issparse(predictions) and np.asarray(predictions).dtype.kind != "f"
    return None if ranks else shape_of(predictions)[1]


def check_label_ids(labels: NDArray[np.integer], n_labels: int) -> None:
    """Refuse ids that are neither a label nor `NO_LABEL`.

    Raises:
        DataError: an id below -1, or at or above `n_labels`; the message names the document.
    """
    if labels.size and not (labels.min() >= NO_LABEL and labels.max() < n_labels):
        row, column = np.argwhere((labels < NO_LABEL) | (labels >= n_labels))[0]
        raise DataError(
            f"document {row} is answered with label {labels[row, column]}",
            expected=f"ids from 0 to {n_labels - 1}, or {NO_LABEL} for no answer",
        )


def _of_top_k(top: TopK, k: int) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    if top.labels.ndim != 2 or top.labels.shape != top.scores.shape:
        raise DataError(
            f"labels of shape {top.labels.shape} with scores of shape {top.scores.shape}",
            expected="both [N, K]",
        )
    _refuse_nan(top.scores)
    return _pad(top.labels[:, :k], k, NO_LABEL), _pad(top.scores[:, :k], k, -np.inf)


def _of_scores(
    scores: NDArray[np.floating], k: int
) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    _refuse_nan(scores)
    return best_of_rows(scores.reshape(-1), np.arange(len(scores) + 1) * scores.shape[1], k)


def _of_csr(matrix: csr_array, k: int) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    entries: NDArray[Any] = matrix.data
    if entries.dtype.kind != "f":
        entries = entries.astype(np.float64)
    _refuse_nan(entries)
    if matrix.has_sorted_indices:
        return best_of_rows(entries, matrix.indptr, k, matrix.indices)
    # Only equal scores ask for the order of ids, so only what such rows keep is sorted.
    labels, best = best_of_rows(entries, matrix.indptr, k + 1, matrix.indices)
    tied = ((best[:, 1:] == best[:, :-1]) & (best[:, 1:] > -np.inf)).any(axis=1)
    labels, best = labels[:, :k], best[:, :k]
    if tied.any():
        lowest = np.where(tied, best[:, -1], np.inf)
        rows = np.repeat(np.arange(len(tied)), np.diff(matrix.indptr))
        kept = np.flatnonzero((entries >= lowest[rows]) & (entries > -np.inf))
        order = np.lexsort((matrix.indices[kept], -entries[kept], rows[kept]))
        rows, kept = rows[kept[order]], kept[order]
        ranks = np.arange(len(rows)) - np.searchsorted(rows, rows)
        first = ranks < k
        labels[rows[first], ranks[first]] = matrix.indices[kept[first]]
    return labels, best


def _similar_rows(lengths: NDArray[np.integer]) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Rows of about equal length, ascending, and the greatest length; rows of none left out."""
    order = np.argsort(lengths, kind="stable")
    ascending = lengths[order]
    start = int(np.searchsorted(ascending, 1))
    while start < len(order):
        longest = int(ascending[start]) * 5 // 4
        stop = int(np.searchsorted(ascending, longest, side="right"))
        stop = min(stop, start + max(1, _CELLS // longest))
        yield order[start:stop], int(ascending[stop - 1])
        start = stop


def _best_columns(scores: NDArray[Any], k: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Columns and scores of the k best of each row, in order; overwrites `scores`."""
    n, width = scores.shape
    if k > _PASSES:
        columns = _partially_sorted(scores, k)
        return columns, np.take_along_axis(scores, columns, axis=1)
    columns = np.empty((n, min(k, width)), dtype=np.int64)
    best = np.empty(columns.shape, dtype=scores.dtype)
    flat, row = scores.reshape(-1), np.arange(n) * width
    for rank in range(columns.shape[1]):
        columns[:, rank] = scores.argmax(axis=1)  # the first of equal ones
        place = row + columns[:, rank]
        best[:, rank] = flat[place]
        flat[place] = -np.inf
    return columns, best


def _partially_sorted(scores: NDArray[np.floating], k: int) -> NDArray[np.int64]:
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


def _pad(array: NDArray[Any], width: int, fill: float) -> NDArray[Any]:
    missing = width - array.shape[1]
    return np.pad(array, ((0, 0), (0, missing)), constant_values=fill) if missing > 0 else array


def _refuse_nan(scores: NDArray[np.floating]) -> None:
    if np.isnan(scores.max(initial=-np.inf)):  # needs no second array, unlike isnan of all
        raise DataError(
            f"{np.count_nonzero(np.isnan(scores))} scores are NaN",
            expected="numbers, or -inf for no answer",
            do="look for a run that diverged, or for a vector of zeros that was normalised",
        )
