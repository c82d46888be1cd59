"""Classifiers of labels of many documents."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.svm import LinearSVC

import dexa.lexical.frequent as module
from dexa.lexical import FrequentLabels, TextFeatures

TEXTS = [
    *(f"red stone number{n} by the sea" for n in range(30)),
    *(f"blue stone number{n} in the hills" for n in range(25)),
    *(f"green leaf number{n}" for n in range(10)),
]
RED, BLUE, GREEN, EVERY, NONE = range(5)


@pytest.fixture(scope="module")
def features() -> TextFeatures:
    return TextFeatures.fit(TEXTS, ["red", "blue", "green"])


def truth() -> csr_array:
    """Reds, blues (each tenth of them red as well), greens; one label all have, one none has."""
    said = np.zeros((len(TEXTS), 5), np.float32)
    said[:30, RED], said[30:55, BLUE], said[55:, GREEN], said[:, EVERY] = 1, 1, 1, 1
    said[30:55:10, RED] = 1
    return csr_array(said)


def fitted(features: TextFeatures, seed: int = 0) -> FrequentLabels:
    documents = features.transform(TEXTS)
    return FrequentLabels.fit(documents, truth(), len(features.words), seed)


def test_labels_of_twenty_documents_and_not_of_all(features: TextFeatures) -> None:
    assert fitted(features).labels.tolist() == [RED, BLUE]


def test_a_thousandth_of_the_documents_and_so_many_labels_at_most(
    features: TextFeatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHARE", 0.45)  # of 65 documents: 29.25
    assert fitted(features).labels.tolist() == [RED]
    monkeypatch.setattr(module, "_SHARE", 1e-3)
    monkeypatch.setattr(module, "_LEAST", 5)
    assert fitted(features).labels.tolist() == [RED, BLUE, GREEN]
    monkeypatch.setattr(module, "_MOST", 3)  # the label of all is one of them
    assert fitted(features).labels.tolist() == [RED, BLUE]


def test_chances_are_those_of_a_classifier_over_words(features: TextFeatures) -> None:
    said = ["red by the sea", "a blue hill", "green", "unheard of"]
    found = fitted(features).opinions(features.transform(said)).toarray()
    words = len(features.words)
    train, asked = (features.transform(some).toarray()[:, :words] for some in (TEXTS, said))
    for label in (RED, BLUE):
        machine = LinearSVC(C=2.0, random_state=0).fit(train, truth().toarray()[:, label])
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
    few = csr_array(truth()[:, [GREEN, NONE]])
    documents = features.transform(TEXTS)
    scorer = FrequentLabels.fit(documents, few, len(features.words), 0)
    assert len(scorer.labels) == 0
    found = scorer.opinions(documents)
    assert found.shape == (len(TEXTS), 2)
    assert found.nnz == 0


def test_arrays_and_more_labels(features: TextFeatures) -> None:
    scorer = fitted(features)
    again = FrequentLabels.restored(scorer.arrays(), 5).of_labels(7)
    asked = features.transform(["red", "blue"])
    first, second = scorer.opinions(asked), again.opinions(asked)
    assert second.shape == (2, 7)
    assert np.array_equal(first.toarray(), second.toarray()[:, :5])
