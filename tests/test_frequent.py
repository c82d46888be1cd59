"""Classifiers of labels of many documents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

import dexa.lexical.frequent as module
from dexa.errors import ModelFolderError
from dexa.lexical import FrequentLabels, TextFeatures

TEXTS = [
    *(f"red stone number{n} by the sea" for n in range(30)),
    *(f"blue stone number{n} in the hills" for n in range(25)),
    *(f"green leaf number{n}" for n in range(9)),
]
RED, BLUE, GREEN, EVERY = range(4)


@pytest.fixture(scope="module")
def features() -> TextFeatures:
    return TextFeatures.fit(TEXTS, ["red", "blue", "green"])


def truth() -> csr_array:
    """Reds, blues (each tenth of them red as well), greens; one label all have."""
    said = np.zeros((len(TEXTS), 4), np.float32)
    said[:30, RED], said[30:55, BLUE], said[55:, GREEN], said[:, EVERY] = 1, 1, 1, 1
    said[30:55:10, RED] = 1
    return csr_array(said)


def idf(features: TextFeatures) -> np.ndarray:
    return features.weights[: len(features.words)]


def fitted(features: TextFeatures, seed: int = 0) -> FrequentLabels:
    return FrequentLabels.fit(features.transform(TEXTS), TEXTS, truth(), idf(features), seed)


def asked(
    scorer: FrequentLabels, features: TextFeatures, texts: Sequence[str]
) -> NDArray[np.float32]:
    return scorer.opinions(features.transform(texts), texts).toarray()


def margins(said: list[str], label: int, kind: str) -> NDArray[np.float64]:
    """Of a classifier of scikit-learn's own."""
    counter = (
        TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(3, 3), min_df=3)
        if kind == "trigrams"
        else TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+")
    )
    machine = LinearSVC(random_state=0).fit(
        counter.fit_transform(TEXTS), truth().toarray()[:, label]
    )
    kept = machine.coef_[0]
    kept = np.where(np.abs(kept) < 0.02 * np.abs(kept).max(), 0, kept)
    return counter.transform(said) @ kept + machine.intercept_[0]


def test_labels_of_ten_documents_and_not_of_all(features: TextFeatures) -> None:
    assert fitted(features).labels.tolist() == [RED, BLUE]


def test_a_thousandth_of_the_documents_and_so_many_labels_at_most(
    features: TextFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHARE", 0.45)  # of 64 documents: 28.8
    assert fitted(features).labels.tolist() == [RED]
    monkeypatch.setattr(module, "_SHARE", 1e-3)
    monkeypatch.setattr(module, "_LEAST", 5)
    assert fitted(features).labels.tolist() == [RED, BLUE, GREEN]
    monkeypatch.setattr(module, "_MOST", 3)  # the label of all is one of them
    assert fitted(features).labels.tolist() == [RED, BLUE]


@pytest.mark.parametrize("spelt", [0, 1, 2])
def test_chances_are_those_of_classifiers_over_words_and_trigrams(
    features: TextFeatures, spelt: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SPELT", spelt)
    said = ["red by the sea", "a blue hill", "green", "unheard of"]
    found = asked(fitted(features), features, said)
    for place, label in enumerate((RED, BLUE)):  # red has more documents
        margin = margins(said, label, "words")
        if place < spelt:
            margin = (margin + margins(said, label, "trigrams")) / 2
        expected = np.where(margin > -1, 1 / (1 + np.exp(-2 * margin)), 0)
        assert np.allclose(found[:, label], expected, atol=1e-3)
    assert not found[:, GREEN:].any()
    assert found[0, RED] > 0.7 > 0.3 > found[0, BLUE]
    assert found[1, BLUE] > 0.7 > 0.3 > found[1, RED]


def test_few_documents_stand_for_many(
    features: TextFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fitted(features)
    monkeypatch.setattr(module, "_OTHERS", {"words": 12, "trigrams": 12})
    part, again, other = (fitted(features, seed) for seed in (0, 0, 1))
    for kind in ("words", "trigrams"):
        first, *others = (
            getattr(one, kind).by_feature.toarray() for one in (part, again, whole, other)
        )
        assert [np.array_equal(first, weights) for weights in others] == [True, False, False]
    best = asked(part, features, ["red stone by the sea", "blue stone in the hills"]).argmax(axis=1)
    assert best.tolist() == [RED, BLUE]


def test_no_label_is_frequent(features: TextFeatures) -> None:
    few = csr_array(truth()[:9, [GREEN, RED]])
    documents = features.transform(TEXTS[:9])
    scorer = FrequentLabels.fit(documents, TEXTS[:9], few, idf(features), 0)
    assert len(scorer.labels) == 0
    found = scorer.opinions(documents, TEXTS[:9])
    assert found.shape == (9, 2)
    assert found.nnz == 0


def test_arrays_and_more_labels(features: TextFeatures) -> None:
    scorer = fitted(features)
    again = FrequentLabels.restored(scorer.arrays(), 4).of_labels(6)
    first, second = (asked(one, features, ["red", "blue"]) for one in (scorer, again))
    assert second.shape == (2, 6)
    assert np.array_equal(first, second[:, :4])


def test_arrays_without_trigrams_are_refused(features: TextFeatures) -> None:
    arrays = {n: array for n, array in fitted(features).arrays().items() if n != "spelt"}
    with pytest.raises(ModelFolderError, match="without classifiers of trigrams"):
        FrequentLabels.restored(arrays, 4)
