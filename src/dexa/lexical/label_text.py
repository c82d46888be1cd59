"""Search of label texts by their words, which needs no training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.lexical.rows import with_rows


@final
@dataclass(frozen=True, eq=False)
class LabelSearch:
    """Cosine between a text and each label's text that shares a feature with it.

    Attributes:
        by_feature: unit features of label texts, float32 ``[V, L]``.
    """

    by_feature: csr_array

    @classmethod
    def over(cls, texts: csr_array) -> LabelSearch:
        """Search over features ``[L, V]`` of label texts."""
        return cls(csr_array(texts.T.tocsr()))

    def changed(self, labels: NDArray[np.int64], texts: csr_array) -> LabelSearch:
        """The same with other texts for some labels, new labels behind the last ones.

        Args:
            labels: int64 ``[n]``, which; those from L on are new, and follow without a gap.
            texts: features of their texts, ``[n, V]``.
        """
        return LabelSearch.over(with_rows(csr_array(self.by_feature.T.tocsr()), labels, texts))

    def opinions(self, features: csr_array) -> csr_array:
        """Cosines, float32 ``[B, L]``, for features ``[B, V]`` of texts."""
        return csr_array(features @ self.by_feature)
