"""Pairs of a document and a label to learn from, and where the two meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.data.features import width
from dexa.lexical.linear import SparseLinear
from dexa.lexical.support import Support, values_at
from dexa.metrics import top_k
from dexa.threads import side_by_side
from dexa.types import NO_LABEL

_CHUNK = 1_024
_ENTRIES = 1 << 21  # features looked up at once by a thread


@dataclass(frozen=True, eq=False)
class Candidates:
    """C pairs of a document and a label, by document; each once.

    Attributes:
        documents: int64 ``[C]``.
        labels: int64 ``[C]``.
        right: bool ``[C]``.
        meetings: float32 ``[C, E]``, the document's value of each feature that has a weight for
            the label.
    """

    documents: NDArray[np.int64]
    labels: NDArray[np.int64]
    right: NDArray[np.bool_]
    meetings: csr_array

    def __getitem__(self, kept: NDArray[np.bool_]) -> Candidates:
        rows = csr_array(self.meetings[np.flatnonzero(kept)])
        return Candidates(self.documents[kept], self.labels[kept], self.right[kept], rows)


def shortlist(scorer: SparseLinear, documents: csr_array, k: int) -> NDArray[np.int64]:
    """The k best labels of each document, ``[N, k]``; `NO_LABEL` fills."""
    scorer.by_feature  # noqa: B018, made once, not by every thread

    def found(start: int) -> NDArray[np.int64]:
        return top_k(scorer.margins(csr_array(documents[start : start + _CHUNK])), k).labels

    starts = range(0, documents.indptr.size - 1, _CHUNK)
    return np.concatenate([np.empty((0, k), np.int64), *side_by_side(found, starts)])


def meet(
    documents: csr_array,
    labels: csr_array,
    proposed: NDArray[np.int64],
    support: Support,
    most: int,
) -> Candidates:
    """The proposed labels of each document, and its own, with the features where they meet.

    Args:
        documents: features ``[N, V]``.
        labels: the true labels ``[N, L]``.
        proposed: ``[N, K]``, in any order, also more than once; `NO_LABEL` fills.
        support: which weights there are.
        most: meetings to keep at most; documents beyond are left out.
    """
    rows, columns, right = _pairs(proposed, labels)
    values, places, counts, total = [], [], [], 0
    slices = _slices(np.diff(documents.indptr)[rows])
    for part, found in _found(slices, documents, rows, columns, support):
        total += len(found[0])
        if total > most and part.start:
            kept = slice(part.start)
            rows, columns, right = rows[kept], columns[kept], right[kept]
            break
        for parts, array in zip((values, places, counts), found, strict=True):
            parts.append(array)
    ends = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    ends = ends.astype(np.int32 if ends[-1] < 2**31 else np.int64)
    parts = (np.concatenate(values), np.concatenate(places), ends)
    meetings = csr_array(parts, shape=(len(rows), len(support.text)))
    return Candidates(rows, columns, right, meetings)


def _pairs(
    proposed: NDArray[np.int64], labels: csr_array
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Document, label, and whether it is right, of what is proposed or right; each pair once."""

    def keys_of(start: int) -> NDArray[np.int64]:
        some = np.sort(proposed[start : start + _CHUNK], axis=1)
        rows, columns = np.nonzero(np.diff(some, axis=1, prepend=NO_LABEL))  # which sorts first
        return (start + rows) * n_labels + some[rows, columns]

    n_labels = width(labels)
    starts = range(0, len(proposed), _CHUNK)
    keys = np.concatenate([np.empty(0, np.int64), *side_by_side(keys_of, starts)])
    own = np.repeat(np.arange(len(proposed)), np.diff(labels.indptr)) * n_labels + labels.indices
    own = np.unique(own)
    at = np.searchsorted(keys, own)
    missing = np.append(keys, -1)[at] != own
    keys = np.insert(keys, at[missing], own[missing])
    right = np.zeros(len(keys), bool)
    right[np.searchsorted(keys, own)] = True
    rows, columns = np.divmod(keys, n_labels)
    return rows, columns, right


def _slices(lengths: NDArray[np.integer]) -> Iterator[slice]:
    """Consecutive slices of pairs whose documents have about `_ENTRIES` features together."""
    ends = np.cumsum(lengths)
    start = 0
    while start < len(lengths) or not start:
        before = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, before + _ENTRIES, side="right"))
        stop = max(start + 1, stop)
        yield slice(start, stop)
        start = stop


def _found(
    slices: Iterator[slice],
    documents: csr_array,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    support: Support,
) -> Iterator[tuple[slice, _Meetings]]:
    """`_meetings` of slices, of as many at once as there are threads."""
    while some := list(islice(slices, torch.get_num_threads())):
        found = side_by_side(
            lambda part: _meetings(documents, rows[part], columns[part], support), some
        )
        yield from zip(some, found, strict=True)


_Meetings: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]


def _meetings(
    documents: csr_array, rows: NDArray[np.int64], columns: NDArray[np.int64], support: Support
) -> _Meetings:
    """Values and places of the meetings of pairs, and how many each pair has."""
    lengths = np.diff(documents.indptr)[rows]
    pairs = np.repeat(np.arange(len(rows)), lengths)
    ends = np.cumsum(lengths)
    entries = np.arange(len(pairs)) + np.repeat(documents.indptr[rows] - ends + lengths, lengths)
    places = values_at(support.places, columns[pairs], documents.indices[entries])
    met = places > 0
    values = documents.data[entries[met]]
    return values, places[met] - 1, np.bincount(pairs[met], minlength=len(rows))
