"""BM25: the classic search of label texts by the words of a text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.data.features import width
from dexa.lexical.rows import with_rows


@final
@dataclass(frozen=True, eq=False)
class Bm25:
    """Okapi BM25 of label texts (Robertson et al., TREC-3, 1994), asked with the words of a text.

    Attributes:
        by_feature: what a word is worth for a label, float32 ``[V, L]``.
        idf: of each word, float32 ``[V]``.
        length: words of a label text on average.
        k1: how much a word counts that stands several times in a label text.
        b: how much long label texts are held back, from 0 to 1.
    """

    by_feature: csr_array
    idf: NDArray[np.float32]
    length: float
    k1: float
    b: float

    @classmethod
    def over(cls, counts: csr_array, *, k1: float, b: float) -> Bm25:
        """Weigh how often each label text has each word, ``[L, V]``.

        Word w of label l is worth ``idf_w · f (k1 + 1) / (f + k1 (1 - b + b · n_l / n))``: f is
        how often l has w, ``n_l`` the words of l and n those of a label on average;
        ``idf_w = ln(1 + (L - df_w + 0.5) / (df_w + 0.5))`` with the df of w among the L labels.
        """
        n_labels = counts.indptr.size - 1
        frequency = np.bincount(counts.indices, minlength=width(counts))
        idf = np.log1p((n_labels - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)
        length = float(counts.data.sum()) / max(n_labels, 1) or 1.0  # if no text has a word
        none = cls(csr_array((width(counts), 0), dtype=np.float32), idf, length, k1, b)
        return none.changed(np.arange(n_labels), counts)

    def changed(self, labels: NDArray[np.int64], counts: csr_array) -> Bm25:
        """The same with other texts for some labels; what words are worth at all stays.

        Args:
            labels: int64 ``[n]``, which; those from L on are new, and follow without a gap.
            counts: how often each of their texts has each word, ``[n, V]``.
        """
        before = csr_array(self.by_feature.T.tocsr())
        after = with_rows(before, labels, self._worth(counts))
        return replace(self, by_feature=csr_array(after.T.tocsr()))

    def _worth(self, counts: csr_array) -> csr_array:
        """What each word of some texts is worth, ``[n, V]``."""
        n_labels = counts.indptr.size - 1
        rows = np.repeat(np.arange(n_labels), np.diff(counts.indptr))
        relative = np.bincount(rows, weights=counts.data, minlength=n_labels) / self.length
        held_back = self.k1 * (1 - self.b + self.b * relative[rows])
        worth = counts.data * (self.k1 + 1) / (counts.data + held_back) * self.idf[counts.indices]
        parts = (worth.astype(np.float32), counts.indices, counts.indptr)
        return csr_array(parts, shape=counts.shape)

    def opinions(self, features: csr_array) -> csr_array:
        """Sums over the distinct words of texts, float32 ``[B, L]``, for features ``[B, V]``."""
        ones = np.ones(features.nnz, np.float32)
        words = csr_array((ones, features.indices, features.indptr), shape=features.shape)
        return csr_array(words @ self.by_feature)
