"""A sparse linear scorer: words of a text to labels.

The weights of a label stand only on features of its own text and of its training documents. How
they are found is in `dexa.lexical.fitting`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from dexa.data.features import width
from dexa.lexical.rows import with_rows, with_values


@final
@dataclass(frozen=True, eq=False)
class SparseLinear:
    """The chance ``1 / (1 + exp(-(x · w_l + b_l)))`` that label l belongs to text x.

    Attributes:
        weights: float32 ``[L, V]``.
        bias: float32 ``[L]``.
        heads: int64 ``[H]``, the labels with an opinion on every text, by their bias alone if
            need be; all others have one where a feature of theirs is in the text.
        prior: float64 ``[P]``, what all labels share, by which labels that come later get weights;
            see `dexa.lexical.fitting`.
    """

    weights: csr_array
    bias: NDArray[np.float32]
    heads: NDArray[np.int64]
    prior: NDArray[np.float64]

    def opinions(self, features: csr_array) -> csr_array:
        """Chances of labels, float32 ``[B, L]``, for features ``[B, V]`` of texts."""
        scores = self.margins(features)
        scores.data = 1 / (1 + np.exp(np.negative(scores.data)))
        return scores

    def margins(self, features: csr_array) -> csr_array:
        """What `opinions` are before they become chances: ``x · w_l + b_l``."""
        ends, last = features.indptr[1:], width(features)
        with_one = csr_array(
            (
                np.insert(features.data, ends, 1),
                np.insert(features.indices, ends, last),
                features.indptr + np.arange(features.indptr.size),
            ),
            shape=(len(ends), last + 1),
        )
        scores = csr_array(with_one @ self.by_feature)
        scores.data += self._bias_of_others[scores.indices]
        return scores

    @cached_property
    def _bias_of_others(self) -> NDArray[np.float32]:
        """The bias of all but the heads, whose own are in the last row of `by_feature`."""
        bias = self.bias.copy()
        bias[self.heads] = 0
        return bias

    def thinned(self, faintest: float) -> SparseLinear:
        """The same without weights below a share of the largest of their label, in size.

        Searching takes as long as there are labels with a weight on a text's features, and of
        common words most labels have a faint one.
        """
        sizes = np.abs(self.weights.data)
        rows = np.repeat(np.arange(len(self.bias)), np.diff(self.weights.indptr))
        largest = np.zeros(len(self.bias), np.float32)
        np.maximum.at(largest, rows, sizes)
        kept = (sizes >= faintest * largest[rows]) & (sizes > 0)
        entries = (self.weights.data[kept], (rows[kept], self.weights.indices[kept]))
        return replace(self, weights=csr_array(entries, shape=self.weights.shape))

    def changed(self, labels: NDArray[np.int64], rows: SparseLinear) -> SparseLinear:
        """The same with other weights and biases for some labels.

        Args:
            labels: int64 ``[n]``, of these labels; those behind the last are new, and follow it
                without a gap.
            rows: their weights ``[n, V]`` and biases.
        """
        return replace(
            self,
            weights=with_rows(self.weights, labels, rows.weights),
            bias=with_values(self.bias, labels, rows.bias),
        )

    @cached_property
    def by_feature(self) -> csr_array:
        """Weights ``[V + 1, L]``, the last row the bias of the heads."""
        transposed = csr_array(self.weights.T.tocsr())
        heads = (self.bias[self.heads], (np.zeros_like(self.heads), self.heads))
        return csr_array(
            vstack([transposed, csr_array(heads, shape=(1, len(self.bias)))], format="csr")
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The parts by name."""
        return {
            "data": self.weights.data,
            "indices": self.weights.indices,
            "indptr": self.weights.indptr,
            "features": np.array([width(self.weights)]),
            "bias": self.bias,
            "heads": self.heads,
            "prior": self.prior,
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> SparseLinear:
        """What `arrays` gave."""
        shape = (len(arrays["bias"]), int(arrays["features"][0]))
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        weights = csr_array(parts, shape=shape)
        return cls(weights, arrays["bias"], arrays["heads"], arrays["prior"])
