"""Labels of many documents: each against all documents, by words.

Where a few labels are in most documents, whether a document has one of them matters more than all
else, and wrong documents are too many for a shortlist. So each gets a linear classifier of words
with squared hinge loss ``|w|²/2 + C Σ max(0, 1 − y (x · w + b))²``, as in DiSMEC (WSDM 2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from dexa.data.features import width

_LEAST, _SHARE, _MOST = 20, 1e-3, 300
"""A frequent label has so many documents, and this share of all; there are so many such labels."""

_LOSS = 2.0
"""C above; words are about half of a document's unit length, the rest being pairs and parts."""

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
        bias: float32 ``[H]``.
        n_labels: L, of all.
    """

    labels: NDArray[np.int64]
    weights: csr_array
    bias: NDArray[np.float32]
    n_labels: int

    @classmethod
    def fit(cls, documents: csr_array, truth: csr_array, words: int, seed: int) -> FrequentLabels:
        """Fit a classifier for each frequent label.

        Args:
            documents: features ``[N, V]``, of which the first are words.
            truth: the true labels ``[N, L]``.
            words: how many features are words.
            seed: of the documents drawn, and of the order in which they are looked at.
        """
        count, n_labels = truth.indptr.size - 1, width(truth)
        labels = _frequent(np.bincount(truth.indices, minlength=n_labels), count)
        plain = _plain(documents, words)
        columns = csr_matrix(csr_matrix(truth).T.tocsr()[labels])
        draw = np.random.default_rng(seed)
        weights = np.zeros((len(labels), words), np.float32)
        bias = np.zeros(len(labels), np.float32)
        for place in range(len(labels)):
            right = np.zeros(count, bool)
            right[columns[place].indices] = True
            weights[place], bias[place] = _machine(plain, right, draw, seed)
        faint = _FAINT * np.abs(weights).max(axis=1, keepdims=True, initial=0)
        weights[np.abs(weights) < faint] = 0
        return cls(labels, csr_array(weights), bias, n_labels)

    def opinions(self, features: csr_array) -> csr_array:
        """Chances of labels, float32 ``[B, L]``, for features ``[B, V]`` of texts.

        A label has none where its margin is below -1: its classifier is sure that it is wrong.
        """
        plain = _plain(features, width(self.weights))
        margins = (plain @ self.weights.T).toarray() + self.bias
        rows, places = np.nonzero(margins > -1)
        chances = 1 / (1 + np.exp(-2 * margins[rows, places]))
        entries = (chances.astype(np.float32), (rows, self.labels[places]))
        return csr_array(entries, shape=(len(margins), self.n_labels))

    def of_labels(self, n_labels: int) -> FrequentLabels:
        """The same among more labels."""
        return replace(self, n_labels=n_labels)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The parts by name."""
        return {
            "labels": self.labels,
            "data": self.weights.data,
            "indices": self.weights.indices,
            "indptr": self.weights.indptr,
            "words": np.array([width(self.weights)]),
            "bias": self.bias,
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], n_labels: int) -> FrequentLabels:
        """What `arrays` gave."""
        shape = (len(arrays["labels"]), int(arrays["words"][0]))
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        return cls(arrays["labels"], csr_array(parts, shape=shape), arrays["bias"], n_labels)


def _frequent(counts: NDArray[np.int64], documents: int) -> NDArray[np.int64]:
    """The labels that have enough documents, but not all, ascending."""
    most = np.argsort(-counts, kind="stable")[:_MOST]
    of = counts[most]
    return np.sort(most[(of >= max(_LEAST, _SHARE * documents)) & (of < documents)])


def _plain(features: csr_array, words: int) -> csr_matrix:
    """The features that are words, in the form that scikit-learn takes."""
    plain = csr_matrix(features)[:, :words]
    parts = (plain.data, plain.indices.astype(np.int32), plain.indptr.astype(np.int32))
    return csr_matrix(parts, shape=plain.shape)


def _machine(
    documents: csr_matrix, right: NDArray[np.bool_], draw: np.random.Generator, seed: int
) -> tuple[NDArray[np.float64], float]:
    """The classifier ``[W]`` of a label, and its bias."""
    from sklearn.svm import LinearSVC

    others = draw.permutation(np.flatnonzero(~right))
    chosen = np.sort(np.concatenate([np.flatnonzero(right), others[:_OTHERS]]))
    weight = np.where(right[chosen], 1.0, max(1.0, len(others) / _OTHERS))
    machine = LinearSVC(C=_LOSS, random_state=seed)
    machine.fit(documents[chosen], right[chosen], sample_weight=weight)
    return np.asarray(machine.coef_)[0], float(np.ravel(machine.intercept_)[0])
