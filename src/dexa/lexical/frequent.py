"""Labels of many documents: each against all documents, by words.

Where a few labels are in most documents, whether a document has one of them matters more than all
else, and wrong documents are too many for a shortlist. So each gets a linear classifier of words
with squared hinge loss ``|w|²/2 + Σ max(0, 1 − y (x · w + b))²``, as in DiSMEC (WSDM 2017). A word
weighs ``1 + idf`` there, so that common ones tell something too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix, vstack

from dexa.data.features import of_unit_length, width

_LEAST, _SHARE, _MOST = 10, 1e-3, 300
"""A frequent label has so many documents, and this share of all; there are so many such labels."""

_OTHERS = 20_000
"""Documents without a label that stand for all of them."""

_FAINT = 0.02
"""Weights below this share of a label's largest are left out."""


@final
@dataclass(frozen=True, eq=False)
class FrequentLabels:
    """The chance ``1 / (1 + exp(-2 (x · w_l + b_l)))`` of labels that a margin does not exclude.

    Attributes:
        labels: int64 ``[H]``, the frequent ones, ascending.
        weights: float32 ``[H, W]``, of words, which are the first W features.
        rescaled: float32 ``[W]``, what makes a word weigh ``1 + idf`` instead of idf.
        bias: float32 ``[H]``.
        n_labels: L, of all.
    """

    labels: NDArray[np.int64]
    weights: csr_array
    rescaled: NDArray[np.float32]
    bias: NDArray[np.float32]
    n_labels: int

    @classmethod
    def fit(
        cls, documents: csr_array, truth: csr_array, idf: NDArray[np.float32], seed: int
    ) -> FrequentLabels:
        """Fit a classifier for each frequent label.

        Args:
            documents: features ``[N, V]``, of which the first are words.
            truth: the true labels ``[N, L]``.
            idf: of each word, ``[W]``.
            seed: of the documents drawn, and of the order in which they are looked at.
        """
        count, n_labels = truth.indptr.size - 1, width(truth)
        labels = _frequent(np.bincount(truth.indices, minlength=n_labels), count)
        rescaled = ((1 + idf) / np.maximum(idf, 1e-3)).astype(np.float32)
        plain = _plain(documents, rescaled)
        columns = csr_matrix(csr_matrix(truth).T.tocsr()[labels])
        draw = np.random.default_rng(seed)
        rows = [csr_array((0, len(idf)), dtype=np.float32)]
        bias = np.zeros(len(labels), np.float32)
        for place in range(len(labels)):
            right = np.zeros(count, bool)
            right[columns[place].indices] = True
            weights, bias[place] = _machine(plain, right, draw, seed)
            weights[np.abs(weights) < _FAINT * np.abs(weights).max()] = 0
            rows.append(csr_array(weights[None].astype(np.float32)))
        return cls(labels, csr_array(vstack(rows, format="csr")), rescaled, bias, n_labels)

    def opinions(self, features: csr_array) -> csr_array:
        """Chances of labels, float32 ``[B, L]``, for features ``[B, V]`` of texts.

        A label has none where its margin is below -1: its classifier is sure that it is wrong.
        """
        plain = _plain(features, self.rescaled)
        margins = (plain @ self.weights.T).toarray() + self.bias
        rows, places = np.nonzero(margins > -1)
        chances = 1 / (1 + np.exp(-2 * margins[rows, places]))
        entries = (chances.astype(np.float32), (rows, self.labels[places]))
        return csr_array(entries, shape=(len(margins), self.n_labels))

    def of_labels(self, n_labels: int) -> FrequentLabels:
        """The same among more labels: those that come after training are none of these."""
        return replace(self, n_labels=n_labels)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The parts by name."""
        return {
            "labels": self.labels,
            "data": self.weights.data,
            "indices": self.weights.indices,
            "indptr": self.weights.indptr,
            "rescaled": self.rescaled,
            "bias": self.bias,
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], n_labels: int) -> FrequentLabels:
        """What `arrays` gave."""
        shape = (len(arrays["labels"]), len(arrays["rescaled"]))
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        weights = csr_array(parts, shape=shape)
        return cls(arrays["labels"], weights, arrays["rescaled"], arrays["bias"], n_labels)


def _frequent(counts: NDArray[np.int64], documents: int) -> NDArray[np.int64]:
    """The labels that have enough documents, but not all, ascending."""
    most = np.argsort(-counts, kind="stable")[:_MOST]
    of = counts[most]
    return np.sort(most[(of >= max(_LEAST, _SHARE * documents)) & (of < documents)])


def _plain(features: csr_array, rescaled: NDArray[np.float32]) -> csr_matrix:
    """Unit vectors ``[B, W]`` of the features that are words, as scikit-learn takes them."""
    plain = csr_matrix(features)[:, : len(rescaled)]
    values = of_unit_length(plain.data * rescaled[plain.indices], plain.indptr)
    parts = (values, plain.indices.astype(np.int32), plain.indptr.astype(np.int32))
    return csr_matrix(parts, shape=plain.shape)


def _machine(
    documents: csr_matrix, right: NDArray[np.bool_], draw: np.random.Generator, seed: int
) -> tuple[NDArray[np.float64], float]:
    """The classifier ``[W]`` of a label, and its bias."""
    from sklearn.svm import LinearSVC

    others = draw.permutation(np.flatnonzero(~right))
    chosen = np.sort(np.concatenate([np.flatnonzero(right), others[:_OTHERS]]))
    weight = np.where(right[chosen], 1.0, max(1.0, len(others) / _OTHERS))
    machine = LinearSVC(random_state=seed)
    machine.fit(documents[chosen], right[chosen], sample_weight=weight)
    return np.array(machine.coef_[0]), float(np.ravel(machine.intercept_)[0])
