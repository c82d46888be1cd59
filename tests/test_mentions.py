"""Titles that stand in a text, and what finding them is worth, against plain loops."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from dexa.lexical import Mentions, TextFeatures

texts = st.lists(
    st.lists(st.sampled_from(["ab", "abacus", "abaci", "ÄB", "7"]), max_size=6).map(" ".join),
    min_size=1,
    max_size=5,
)


def naive_mentions(text: str, titles: list[str]) -> list[bool]:
    words = [re.findall(r"\w+", part.lower()) for part in [text, *titles]]
    runs = {tuple(words[0][i : i + n]) for n in range(1, 6) for i in range(len(words[0]) - n + 1)}
    return [tuple(title) in runs for title in words[1:]]


def naive_worth(documents: list[str], titles: list[str], truth: np.ndarray) -> list[float]:
    said = np.array([naive_mentions(document, titles) for document in documents])
    named, right = said.sum(axis=0), (said & truth).sum(axis=0)
    common = (right.sum() + 1) / (named.sum() + 2)
    return [(r + 2 * common) / (n + 2) for r, n in zip(right, named, strict=True)]


@settings(max_examples=100)
@given(documents=texts, titles=texts, queries=texts, seed=st.integers(0, 9))
def test_mentions_against_a_loop(
    documents: list[str], titles: list[str], queries: list[str], seed: int
) -> None:
    truth = np.random.default_rng(seed).random((len(documents), len(titles))) < 0.5
    features = TextFeatures.fit(documents, titles)
    matrix = csr_array(truth.astype(np.float32))
    mentions = Mentions.fit(titles, documents, matrix, features)
    worth = naive_worth(documents, titles, truth)
    expected = [
        [w * said for w, said in zip(worth, naive_mentions(query, titles), strict=True)]
        for query in queries
    ]
    for one in (mentions, Mentions.restored(mentions.arrays())):
        found = one.opinions(queries, features)
        assert found.toarray() == pytest.approx(np.array(expected), abs=1e-6)
        assert (found.data > 0).all()


def mentions_of(titles: list[str], documents: list[str]) -> tuple[Mentions, TextFeatures]:
    features = TextFeatures.fit(documents, titles)
    nothing = csr_array((len(documents), len(titles)), dtype=np.float32)
    return Mentions.fit(titles, documents, nothing, features), features


def test_mentions_do_not_cross_texts_or_unknown_words() -> None:
    mentions, features = mentions_of(["green castle"], ["green", "castle"])
    said = mentions.opinions(["a green", "castle", "green old castle", "Green castle!"], features)
    assert (said.toarray().ravel() > 0).tolist() == [False, False, False, True]


def test_other_titles_and_new_labels() -> None:
    documents = ["the green castle by the old bridge", "an old bridge"]
    mentions, features = mentions_of(["green castle", "bridge"], documents)
    changed = mentions.changed(np.array([0]), ["old bridge"], features)
    changed = changed.changed(np.array([2, 3]), ["castle", "a moat"], features)
    found = (changed.opinions(documents, features).toarray() > 0).tolist()
    assert found == [[True, True, True, False], [True, True, False, False]]
    assert (mentions.opinions(documents, features).toarray() > 0).tolist() == [
        [True, True],
        [False, True],
    ]
    assert changed.worth[[0, 2, 3]] == pytest.approx(float(mentions.common[0]))
    assert changed.worth[1] == mentions.worth[1]
