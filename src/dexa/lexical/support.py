"""Which weights a sparse linear scorer has, and what speaks for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

WIDEST, FAINTEST = 1_000, 0.01
"""Defaults of `find_support`."""


@dataclass(frozen=True, eq=False)
class Support:
    """The pairs of a label and a feature that may have a weight: E of them, by label.

    Attributes:
        places: int32 ``[L, V]``, the place of each pair plus 1; nothing elsewhere.
        text: float32 ``[E]``, the feature's value in the label's own text.
        total: float32 ``[E]``, its sum over the label's documents.
        counts: float32 ``[L]``, documents of each label.
    """

    places: csr_array
    text: NDArray[np.float32]
    total: NDArray[np.float32]
    counts: NDArray[np.float32]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The label of each pair, ``[E]``."""
        return np.repeat(np.arange(len(self.counts)), np.diff(self.places.indptr))

    @property
    def features(self) -> NDArray[np.integer]:
        """The feature of each pair, ``[E]``."""
        return self.places.indices

    @property
    def mean(self) -> NDArray[np.float32]:
        """The label's documents at each pair, shrunk: ``total / (documents + 1)``, ``[E]``."""
        return self.total / (self.counts[self.labels] + 1)


def find_support(
    documents: csr_array, texts: csr_array, labels: csr_array, *, widest: int, faintest: float
) -> Support:
    """Features that stand in a label's text or in its documents, but for the faint ones.

    Args:
        documents: features ``[N, V]``.
        texts: features of label texts ``[L, V]``.
        labels: the true labels ``[N, L]``.
        widest: features of a label with a document or none; others have more, in proportion to
            a third of their documents, up to fifty times as many.
        faintest: share of a label's largest value that a value must reach.
    """
    ones = np.ones(labels.nnz, np.float32)
    members = csr_array(csr_array((ones, labels.indices, labels.indptr), shape=labels.shape).T)
    counts = np.diff(members.tocsr().indptr).astype(np.float32)
    total = csr_array(members.tocsr() @ documents)
    rows = np.repeat(np.arange(len(counts)), np.diff(total.indptr))
    mean = csr_array(
        (total.data / (counts[rows] + 1), total.indices, total.indptr), shape=total.shape
    )
    most = np.minimum(widest * (1 + counts / 3), 50 * widest).astype(np.int64)
    kept = _strongest(csr_array(mean + texts), most, faintest)
    at = (np.repeat(np.arange(len(counts)), np.diff(kept.indptr)), kept.indices)
    places = np.arange(1, kept.nnz + 1, dtype=np.int32)
    return Support(
        places=csr_array((places, kept.indices, kept.indptr), shape=kept.shape),
        text=values_at(texts, *at),
        total=values_at(total, *at),
        counts=counts,
    )


def values_at(
    matrix: csr_array, rows: NDArray[np.integer], columns: NDArray[np.integer]
) -> NDArray[Any]:
    """Entries of a sparse matrix at chosen places, 0 where it has none."""
    if not matrix.has_canonical_format:  # lets SciPy search in a row, rather than walk through it
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return np.asarray(matrix[rows, columns]).ravel() if len(rows) else matrix.data[:0]


def _strongest(matrix: csr_array, most: NDArray[np.int64], faintest: float) -> csr_array:
    """The `most` largest values of each row, and of them those that are not faint."""
    lengths = np.diff(matrix.indptr)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((np.negative(matrix.data), rows))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(matrix.indptr[:-1], lengths)
    largest = np.zeros(len(lengths), np.float32)
    np.maximum.at(largest, rows, matrix.data)
    kept = (rank < most[rows]) & (matrix.data >= faintest * largest[rows])
    entries = (matrix.data[kept], (rows[kept], matrix.indices[kept]))
    strongest = csr_array(entries, shape=matrix.shape)
    strongest.sum_duplicates()
    return strongest
