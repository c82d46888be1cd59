"""Classifiers of labels of many documents."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.preprocessing import normalize
from sklearn.svm import LinearSVC

import dexa.lexical.frequent as module
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
    return FrequentLabels.fit(features.transform(TEXTS), truth(), idf(features), seed)


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


def test_chances_are_those_of_a_classifier_over_words(features: TextFeatures) -> None:
    said = ["red by the sea", "a blue hill", "green", "unheard of"]
    found = fitted(features).opinions(features.transform(said)).toarray()
    words = idf(features)
    train, asked = (
        normalize(features.transform(some).toarray()[:, : len(words)] / words * (1 + words))
        for some in (TEXTS, said)
    )
    for label in (RED, BLUE):
        machine = LinearSVC(random_state=0).fit(train, truth().toarray()[:, label])
        kept = machine.coef_[0]
        kept = np.where(np.abs(kept) < 0.02 * np.abs(kept).max(), 0, kept)
        margins = asked @ kept + machine.intercept_[0]
        expected = np.where(margins > -1, 1 / (1 + np.exp(-2 * margins)), 0)
        assert np.allclose(found[:, label], expected, atol=1e-3)
    assert not found[:, GREEN:].any()
    assert found[0, RED] > 0.7 > 0.3 > found[0, BLUE]
    assert found[1, BLUE] > 0.7 > 0.3 > found[1, RED]


def test_few_documents_stand_for_many(
    features: TextFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fitted(features)
    monkeypatch.setattr(module, "_OTHERS", 12)
    part, again, other = (fitted(features, seed) for seed in (0, 0, 1))
    assert np.array_equal(part.weights.toarray(), again.weights.toarray())
    assert not np.array_equal(part.weights.toarray(), whole.weights.toarray())
    assert not np.array_equal(part.weights.toarray(), other.weights.toarray())
    asked = features.transform(["red stone by the sea", "blue stone in the hills"])
    best = part.opinions(asked).toarray().argmax(axis=1)
    assert best.tolist() == [RED, BLUE]


def test_no_label_is_frequent(features: TextFeatures) -> None:
    few = csr_array(truth()[:9, [GREEN, RED]])
    documents = features.transform(TEXTS[:9])
    scorer = FrequentLabels.fit(documents, few, idf(features), 0)
    assert len(scorer.labels) == 0
    found = scorer.opinions(documents)
    assert found.shape == (9, 2)
    assert found.nnz == 0


def test_arrays_and_more_labels(features: TextFeatures) -> None:
    scorer = fitted(features)
    again = FrequentLabels.restored(scorer.arrays(), 4).of_labels(6)
    asked = features.transform(["red", "blue"])
    first, second = scorer.opinions(asked), again.opinions(asked)
    assert second.shape == (2, 6)
    assert np.array_equal(first.toarray(), second.toarray()[:, :4])
