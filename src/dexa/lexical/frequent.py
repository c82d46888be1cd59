"""Labels of many documents: each against all documents, by words and by how they are spelt.

Where a few labels are in most documents, whether a document has one of them matters more than all
else, and wrong documents are too many for a shortlist. So each gets a linear classifier of words
with squared hinge loss ``|w|²/2 + Σ max(0, 1 − y (x · w + b))²``, as in DiSMEC (WSDM 2017), and the
most frequent ones another of runs of three characters; the margin is then the mean of both. A
feature weighs ``1 + idf``, so that common ones tell something too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix, vstack

from dexa.data.features import of_unit_length, width
from dexa.errors import ModelFolderError
from dexa.lexical.trigrams import BUCKETS, trigram_counts

_LEAST, _SHARE, _MOST = 10, 1e-3, 300
"""A frequent label has so many documents, and this share of all; there are so many such labels."""

_SPELT = 50
"""So many of them have a classifier of trigrams, which costs three to four times one of words."""

_OTHERS = {"words": 20_000, "trigrams": 5_000}
"""Documents without a label that stand for all of them."""

_RARE = 3  # documents that a trigram must stand in

_FAINT = 0.02
"""Weights below this share of a label's largest are left out."""


@final
@dataclass(frozen=True, eq=False)
class FrequentLabels:
    """The chance ``1 / (1 + exp(-2 margin))`` of labels that a margin does not exclude.

    Attributes:
        labels: int64 ``[H]``, the frequent ones, ascending.
        words: their classifiers, of words, which are the first features.
        spelt: int64 ``[S]``, places among `labels` of those that have a classifier of trigrams.
        trigrams: these classifiers.
        n_labels: L, of all.
    """

    labels: NDArray[np.int64]
    words: _Classifiers
    spelt: NDArray[np.int64]
    trigrams: _Classifiers
    n_labels: int

    @classmethod
    def fit(
        cls,
        documents: csr_array,
        texts: Sequence[str],
        truth: csr_array,
        idf: NDArray[np.float32],
        seed: int,
    ) -> FrequentLabels:
        """Fit classifiers for each frequent label.

        Args:
            documents: features ``[N, V]``, of which the first are words.
            texts: of the N documents.
            truth: the true labels ``[N, L]``.
            idf: what each word counts for in the features, ``[W]``.
            seed: of the documents drawn, and of the order in which they are looked at.
        """
        count, n_labels = truth.indptr.size - 1, width(truth)
        frequency = np.bincount(truth.indices, minlength=n_labels)
        labels = _frequent(frequency, count)
        spelt = np.sort(np.argsort(-frequency[labels], kind="stable")[:_SPELT])
        right = csr_matrix(csr_matrix(truth).T.tocsr()[labels])
        words = csr_matrix(documents)[:, : len(idf)]
        of_words = (_commonness(words) / np.maximum(idf, 1e-3)).astype(np.float32)
        runs = _damped(trigram_counts(texts if len(spelt) else []))
        of_runs = _commonness(runs, least=_RARE)
        return cls(
            labels,
            _Classifiers.fit(words, of_words, right, _OTHERS["words"], seed),
            spelt,
            _Classifiers.fit(runs, of_runs, right[spelt], _OTHERS["trigrams"], seed),
            n_labels,
        )

    def opinions(self, features: csr_array, texts: Sequence[str]) -> csr_array:
        """Chances of labels, float32 ``[B, L]``, for texts and their features ``[B, V]``.

        A label has none where its margin is below -1: its classifiers are sure that it is wrong.
        """
        margins = self.words.margins(csr_matrix(features)[:, : len(self.words.scales)])
        if len(self.spelt):
            margins[:, self.spelt] += self.trigrams.margins(_damped(trigram_counts(texts)))
            margins[:, self.spelt] /= 2
        rows, places = np.nonzero(margins > -1)
        chances = 1 / (1 + np.exp(-2 * margins[rows, places]))
        entries = (chances.astype(np.float32), (rows, self.labels[places]))
        return csr_array(entries, shape=(len(margins), self.n_labels))

    def of_labels(self, n_labels: int) -> FrequentLabels:
        """The same among more labels: those that come after training are none of these."""
        return replace(self, n_labels=n_labels)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The parts by name."""
        kinds = {"words": self.words, "trigrams": self.trigrams}
        return {"labels": self.labels, "spelt": self.spelt} | {
            f"{kind}.{name}": array
            for kind, classifiers in kinds.items()
            for name, array in classifiers.arrays().items()
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], n_labels: int) -> FrequentLabels:
        """What `arrays` gave.

        Raises:
            ModelFolderError: they are of a version without trigrams.
        """
        if "spelt" not in arrays:
            raise ModelFolderError(
                "a scorer of frequent labels without classifiers of trigrams",
                expected="one of this version",
                do="train the model again, or open it with the version that wrote it",
            )
        words, trigrams = (
            _Classifiers.restored(
                {
                    name.removeprefix(f"{kind}."): array
                    for name, array in arrays.items()
                    if name.startswith(f"{kind}.")
                }
            )
            for kind in ("words", "trigrams")
        )
        return cls(arrays["labels"], words, arrays["spelt"], trigrams, n_labels)


@dataclass(frozen=True, eq=False)
class _Classifiers:
    """Linear classifiers of some labels over unit vectors.

    Attributes:
        by_feature: float32 ``[W, H]``: the weights of each feature, so that a text looks at those
            of its own features alone.
        scales: float32 ``[W]``, what each feature is multiplied by before its text is made a unit
            vector.
        bias: float32 ``[H]``.
    """

    by_feature: csr_array
    scales: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        features: csr_matrix,
        scales: NDArray[np.float32],
        right: csr_matrix,
        others: int,
        seed: int,
    ) -> _Classifiers:
        """Fit one for each row of the true documents ``[H, N]`` of labels, to ``[N, W]``."""
        units, draw = _scaled(features, scales), np.random.default_rng(seed)
        rows = [csr_array((0, len(scales)), dtype=np.float32)]
        bias = np.zeros(right.indptr.size - 1, np.float32)
        for place in range(len(bias)):
            true = np.zeros(width(csr_array(right)), bool)
            true[right[place].indices] = True
            weights, bias[place] = _machine(units, true, others, draw, seed)
            weights[np.abs(weights) < _FAINT * np.abs(weights).max()] = 0
            rows.append(csr_array(weights[None].astype(np.float32)))
        by_label = csr_array(vstack(rows, format="csr"))
        return cls(csr_array(by_label.T.tocsr()), scales, bias)

    def margins(self, features: csr_matrix) -> NDArray[np.float32]:
        """Of features ``[B, W]``, ``[B, H]``."""
        products = csr_array(_scaled(features, self.scales) @ self.by_feature)
        return products.toarray() + self.bias

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The parts by name."""
        return {
            "data": self.by_feature.data,
            "indices": self.by_feature.indices,
            "indptr": self.by_feature.indptr,
            "scales": self.scales,
            "bias": self.bias,
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> _Classifiers:
        """What `arrays` gave."""
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        by_feature = csr_array(parts, shape=(len(arrays["scales"]), len(arrays["bias"])))
        return cls(by_feature, arrays["scales"], arrays["bias"])


def _frequent(counts: NDArray[np.int64], documents: int) -> NDArray[np.int64]:
    """The labels that have enough documents, but not all, ascending."""
    most = np.argsort(-counts, kind="stable")[:_MOST]
    of = counts[most]
    return np.sort(most[(of >= max(_LEAST, _SHARE * documents)) & (of < documents)])


def _commonness(features: csr_matrix, *, least: int = 1) -> NDArray[np.float32]:
    """``1 + idf`` of each feature ``[W]`` among documents ``[N, W]``; 0 of those in too few."""
    frequency = np.bincount(features.indices, minlength=width(csr_array(features)))
    idf = np.log(features.indptr.size / (frequency + 1))
    return np.where(frequency < least, 0, 1 + idf).astype(np.float32)


def _damped(counts: csr_array) -> csr_matrix:
    """``1 + log count`` for each count."""
    parts = (1 + np.log(counts.data), counts.indices, counts.indptr)
    return csr_matrix(parts, shape=(counts.indptr.size - 1, BUCKETS))


def _scaled(features: csr_matrix, scales: NDArray[np.float32]) -> csr_matrix:
    """Unit vectors ``[B, W]``, as scikit-learn takes them."""
    values = of_unit_length(features.data * scales[features.indices], features.indptr)
    parts = (values, features.indices.astype(np.int32), features.indptr.astype(np.int32))
    return csr_matrix(parts, shape=features.shape)


def _machine(
    documents: csr_matrix,
    right: NDArray[np.bool_],
    most: int,
    draw: np.random.Generator,
    seed: int,
) -> tuple[NDArray[np.float64], float]:
    """The classifier ``[W]`` of a label, and its bias."""
    from sklearn.svm import LinearSVC

    others = draw.permutation(np.flatnonzero(~right))
    chosen = np.sort(np.concatenate([np.flatnonzero(right), others[:most]]))
    weight = np.where(right[chosen], 1.0, max(1.0, len(others) / most))
    machine = LinearSVC(random_state=seed)
    machine.fit(documents[chosen], right[chosen], sample_weight=weight)
    return np.array(machine.coef_[0]), float(np.ravel(machine.intercept_)[0])
