from __future__ import annotations

import math
import re
from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from dexa.data import TextFeatures, fit_features
from dexa.errors import DataError, InputError

TEXTS = ["A poodle, a dog", "dog days", "poodles bark", "the bark", "", "!?"]
WORDS = st.sampled_from(["dog", "dogs", "Poodle", "a", "bark", "caf\u00e9", "\u72ac", "-", "x1"])


def words_of(text: str) -> list[str]:
    return re.findall(r"\b\w+\b", text.lower())


def grams_of(text: str) -> list[str]:
    grams = []
    for word in words_of(text):
        whole = f"<{word}>"
        for length in (3, 4, 5):
            grams += ["#" + whole[i : i + length] for i in range(len(whole) - length + 1)]
    return grams


def naive(texts: list[str], queries: list[str], share: float, least: int) -> tuple:
    """Names of the features and the vectors of the queries, by loops over single texts."""
    names, parts = [], []
    for terms_of, part in ((words_of, 1 - share), (grams_of, share)):
        frequency = Counter(term for text in texts for term in set(terms_of(text)))
        chosen = sorted(t for t, n in frequency.items() if least <= n <= len(texts))
        names += chosen
        vectors = np.zeros((len(queries), len(chosen)))
        for row, query in enumerate(queries):
            counts = Counter(terms_of(query))
            for column, term in enumerate(chosen):
                if counts[term]:
                    idf = 1 + math.log((1 + len(texts)) / (1 + frequency[term]))
                    vectors[row, column] = (1 + math.log(counts[term])) * idf
            if length := np.linalg.norm(vectors[row]):
                vectors[row] *= math.sqrt(part) / length
        parts.append(vectors)
    whole = np.hstack(parts)
    lengths = np.linalg.norm(whole, axis=1, keepdims=True)
    return names, np.divide(whole, lengths, out=np.zeros_like(whole), where=lengths > 0)


@given(
    texts=st.lists(st.lists(WORDS, max_size=5).map(" ".join), min_size=1, max_size=6),
    queries=st.lists(st.lists(WORDS, max_size=5).map(" ".join), min_size=1, max_size=3),
    share=st.floats(0.1, 0.9),
    least=st.integers(1, 2),
)
@settings(deadline=None, max_examples=60)
def test_as_by_loops(texts: list[str], queries: list[str], share: float, least: int) -> None:
    names, expected = naive(texts, queries, share, least)
    if not any(not name.startswith("#") for name in names):
        with pytest.raises(DataError, match="no word is in"):
            fit_features(texts, min_texts=least, max_share=1.0)
        return
    features = fit_features(texts, min_texts=least, max_share=1.0, subword_share=share)
    assert list(features.vocabulary) == names
    made = features.of(queries)
    assert made.dtype == np.float32
    assert made.has_canonical_format
    np.testing.assert_allclose(made.toarray(), expected, atol=1e-6)


def test_rows_have_unit_length_or_none() -> None:
    made = fit_features(TEXTS, min_texts=1).of([*TEXTS, "poodlepark", "unseen"])
    lengths = np.sqrt(made.multiply(made).sum(axis=1))
    np.testing.assert_allclose(lengths, [1, 1, 1, 1, 0, 0, 1, 0], atol=1e-6)


def test_subwords_bring_kin_together() -> None:
    with_them = fit_features(TEXTS, min_texts=1)
    without = fit_features(TEXTS, min_texts=1, max_subwords=0)
    texts = ["poodle", "poodles", "days"]
    for features, kin in ((with_them, True), (without, False)):
        vectors = features.of(texts).toarray()
        assert bool(vectors[0] @ vectors[1] > 0.2) is kin
        assert vectors[0] @ vectors[2] == 0
    assert without.subwords == ()
    assert fit_features(TEXTS, min_texts=1, subword_share=0.0).subwords == ()


def test_limits_on_how_many_texts_share_a_feature() -> None:
    texts = ["x a", "x a", "x b", "x c"]
    features = fit_features(texts, min_texts=2, max_share=0.5, max_subwords=0)
    assert features.words == ("a",)
    most = fit_features(texts, min_texts=1, max_share=1.0, max_words=2, max_subwords=1)
    assert most.words == ("a", "x")
    assert most.subwords == ("#<x>",)


def test_a_set_of_features_is_itself_again() -> None:
    features = fit_features(TEXTS, min_texts=1)
    again = TextFeatures(
        words=features.words,
        subwords=features.subwords,
        word_weights=features.word_weights,
        subword_weights=features.subword_weights,
        subword_share=features.subword_share,
    )
    assert np.array_equal(again.of(TEXTS).toarray(), features.of(TEXTS).toarray())


@pytest.mark.parametrize(
    "changed",
    [
        {"min_texts": 0},
        {"max_share": 0.0},
        {"max_share": 1.1},
        {"subword_share": 1.0},
        {"subword_share": -0.1},
        {"max_subwords": -1},
        {"max_words": 0},
    ],
)
def test_numbers_out_of_range(changed: dict) -> None:
    with pytest.raises(InputError, match=next(iter(changed))):
        fit_features(TEXTS, **changed)


@pytest.mark.parametrize("texts", [[], ["", "!"], ["a", "b"]])
def test_no_word_is_left(texts: list[str]) -> None:
    with pytest.raises(DataError, match=f"no word is in 2 of the {len(texts)} texts"):
        fit_features(texts)
