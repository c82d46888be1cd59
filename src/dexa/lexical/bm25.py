"""BM25: the classic search of label texts by the words of a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from scipy.sparse import csr_array

from dexa.data.features import width


@final
@dataclass(frozen=True, eq=False)
class Bm25:
    """Okapi BM25 of label texts (Robertson et al., TREC-3, 1994), asked with the words of a text.

    Attributes:
        by_feature: what a word is worth for a label, float32 ``[V, L]``.
    """

    by_feature: csr_array

    @classmethod
    def over(cls, counts: csr_array, *, k1: float, b: float) -> Bm25:
        """Weigh how often each label text has each word, ``[L, V]``.

        Word w of label l is worth ``idf_w · f (k1 + 1) / (f + k1 (1 - b + b · n_l / n))``: f is
        how often l has w, ``n_l`` the words of l and n those of a label on average;
        ``idf_w = ln(1 + (L - df_w + 0.5) / (df_w + 0.5))`` with the df of w among the L labels.
        """
        n_labels = counts.indptr.size - 1
        rows = np.repeat(np.arange(n_labels), np.diff(counts.indptr))
        lengths = np.bincount(rows, weights=counts.data, minlength=n_labels)
        relative = lengths / max(lengths.mean() if n_labels else 0, np.finfo(np.float64).tiny)
        frequency = np.bincount(counts.indices, minlength=width(counts))
        idf = np.log1p((n_labels - frequency + 0.5) / (frequency + 0.5))
        worth = counts.data * (k1 + 1) / (counts.data + k1 * (1 - b + b * relative[rows]))
        worth = (worth * idf[counts.indices]).astype(np.float32)
        weights = csr_array((worth, counts.indices, counts.indptr), shape=counts.shape)
        return cls(csr_array(weights.T.tocsr()))

    def opinions(self, features: csr_array) -> csr_array:
        """Sums over the distinct words of texts, float32 ``[B, L]``, for features ``[B, V]``."""
        ones = np.ones(features.nnz, np.float32)
        words = csr_array((ones, features.indices, features.indptr), shape=features.shape)
        return csr_array(words @ self.by_feature)
