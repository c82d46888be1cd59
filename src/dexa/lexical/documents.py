"""What is near to a text by words: documents, and the mean of a label's documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.sparse import csr_array, hstack

from dexa.data.features import width
from dexa.metrics import top_k
from dexa.types import TopK

_FAINT = 0.05  # share of a label's largest value


@final
@dataclass(frozen=True, eq=False)
class WordIndex:
    """Search of documents by the cosine of their words.

    Attributes:
        by_feature: unit features of the documents, float32 ``[V, N]``.
    """

    by_feature: csr_array

    @classmethod
    def over(cls, documents: csr_array) -> WordIndex:
        """Search over unit features ``[N, V]``."""
        return cls(csr_array(documents.T.tocsr()))

    def joined_by(self, documents: csr_array) -> WordIndex:
        """The same with more documents, unit features ``[M, V]``."""
        every = hstack([self.by_feature, documents.T], format="csr")
        return WordIndex(csr_array(every))

    def search(self, features: csr_array, k: int) -> TopK:
        """The k nearest documents to features ``[B, V]``; those that share nothing are none."""
        return top_k(csr_array(features @ self.by_feature), k)


def centroids(documents: csr_array, texts: csr_array, labels: csr_array) -> csr_array:
    """What a label's documents and its own text say together: the sum of their unit vectors.

    Args:
        documents: features ``[N, V]``, unit vectors.
        texts: features of label texts ``[L, V]``, likewise.
        labels: the true labels ``[N, L]``; every entry counts as 1.

    Returns:
        Unit vectors, float32 ``[L, V]``, without values below a twentieth of a label's largest,
        which cost more time than they are worth.
    """
    ones = np.ones(labels.nnz, np.float32)
    members = csr_array((ones, labels.indices, labels.indptr), shape=labels.shape).T.tocsr()
    sums = csr_array(members @ documents + texts)
    rows = np.repeat(np.arange(width(labels)), np.diff(sums.indptr))
    largest = np.zeros(width(labels), np.float32)
    np.maximum.at(largest, rows, sums.data)
    kept = sums.data >= _FAINT * largest[rows]
    rows, columns, values = rows[kept], sums.indices[kept], sums.data[kept]
    values /= np.sqrt(np.bincount(rows, weights=values**2, minlength=len(largest)))[rows]
    return csr_array((values, (rows, columns)), shape=sums.shape)
