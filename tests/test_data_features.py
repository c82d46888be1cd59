"""Features of words, pairs and parts of words, against plain loops."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dexa.data import TextFeatures
from dexa.data.features import GROUPS
from dexa.errors import ModelFolderError

SOME = ["Green castles, green bridges", "the green castle", "", "Über-Brücke 42", "?!"]
TITLES = ["green castle", "Bridge", "42", "castle", "green", "the green castle stands there now"]

texts = st.lists(
    st.lists(st.sampled_from(["ab", "ab", "abacus", "abaci", "ÄB", "7"]), max_size=6).map(" ".join),
    min_size=1,
    max_size=5,
)


def naive_counts(text: str) -> Counter[tuple[str, str]]:
    words = re.findall(r"\w+", text.lower())
    counts = Counter(("words", word) for word in words)
    counts.update(("pairs", f"{a} {b}") for a, b in itertools.pairwise(words))
    for word in words:
        marked = f"<{word}>"
        counts.update(("parts", marked[i : i + 5]) for i in range(len(marked) - 4))
    return counts


def naive_vectors(
    documents: list[str], labels: list[str], queries: list[str]
) -> list[dict[tuple[str, str], float]]:
    known = [naive_counts(text) for text in [*documents, *labels]]
    of_labels = {pair for counts in known[len(documents) :] for pair in counts}
    frequency = Counter(feature for counts in known for feature in counts)
    kept = {
        (kind, term): math.log((len(known) + 1) / (count + 1))
        for (kind, term), count in frequency.items()
        if kind == "words"
        or (kind == "pairs" and count >= 2 and (kind, term) in of_labels)
        or (kind == "parts" and 2 <= count <= 50)
    }
    vectors = []
    for text in queries:
        counts = naive_counts(text)
        values = {f: (1 + math.log(n)) * kept[f] for f, n in counts.items() if f in kept}
        length = math.sqrt(sum(value**2 for value in values.values())) or 1.0
        vectors.append({feature: value / length for feature, value in values.items()})
    return vectors


def names_of(features: TextFeatures) -> list[tuple[str, str]]:
    n = len(features.words)
    pairs = [f"{features.words[key // n]} {features.words[key % n]}" for key in features.pairs]
    terms = [*features.words, *pairs, *features.parts]
    return [(GROUPS[g], term) for g, term in zip(features.groups, terms, strict=True)]


@settings(max_examples=100)
@given(documents=texts, labels=texts, queries=texts)
def test_features_against_a_loop(
    documents: list[str], labels: list[str], queries: list[str]
) -> None:
    features = TextFeatures.fit(documents, labels)
    names = names_of(features)
    matrix = features.transform(queries)
    assert matrix.dtype == np.float32
    assert matrix.shape == (len(queries), len(features))
    expected = naive_vectors(documents, labels, queries)
    for row, values in zip(matrix.toarray(), expected, strict=True):
        assert {n: v for n, v in zip(names, row, strict=True) if v} == pytest.approx(
            {n: v for n, v in values.items() if v}, abs=1e-5
        )


def test_unknown_words_count_by_their_parts() -> None:
    features = TextFeatures.fit(["reaction", "action"], ["an actor"])
    row = features.transform(["inaction"]).toarray()[0]
    assert {name for name, value in zip(names_of(features), row, strict=True) if value} == {
        ("parts", part) for part in ("actio", "ction", "tion>")
    }


def test_texts_without_known_features_are_zero() -> None:
    features = TextFeatures.fit(["a b"], ["c"])
    assert features.transform(["", "zz"]).nnz == 0
    assert features.transform([]).shape == (0, len(features))


def test_parts_that_stand_everywhere_are_dropped() -> None:
    features = TextFeatures.fit(["common"] * 60 + ["rarely"] * 2, ["x"])
    assert features.parts == sorted({"<rare", "rarel", "arely", "rely>"})


def test_counting_a_few_texts_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TextFeatures.fit(SOME, TITLES)
    vectors = whole.transform(SOME)
    monkeypatch.setattr("dexa.data.features._AT_ONCE", 2)
    again = TextFeatures.fit(SOME, TITLES)
    assert again.vocabulary == whole.vocabulary
    np.testing.assert_array_equal(again.weights, whole.weights)
    np.testing.assert_array_equal(again.transform(SOME).toarray(), vectors.toarray())


def test_features_survive_json() -> None:
    features = TextFeatures.fit(SOME, TITLES)
    again = TextFeatures.restored(json.loads(json.dumps(features.terms())), features.arrays())
    assert (again.transform(SOME) != features.transform(SOME)).nnz == 0
    with pytest.raises(ModelFolderError, match="weights for"):
        TextFeatures.restored(features.terms() | {"parts": []}, features.arrays())


def test_what_features_are_called() -> None:
    features = TextFeatures.fit(["a duck", "a duck"], ["a duck"])
    assert features.vocabulary == ["a", "duck", "a duck", "#<duck", "#duck>"]
    assert len(features) == 5
    assert TextFeatures.fit([], []).vocabulary == []


def test_without_parts_words_have_no_kin() -> None:
    words = TextFeatures.fit(SOME, TITLES, parts=False)
    assert words.parts == []
    assert words.transform(["castled"]).nnz == 0
    assert TextFeatures.fit(SOME, TITLES).transform(["castled"]).nnz > 0


def test_words_are_counted() -> None:
    features = TextFeatures.fit(SOME, TITLES)
    counts = features.word_counts(["castle castle unheard", ""]).tocoo()
    assert counts.shape == (2, len(features))
    assert (counts.row.tolist(), counts.data.tolist()) == ([0], [2])
    assert features.vocabulary[counts.col[0]] == "castle"


def test_features_have_names() -> None:
    features = TextFeatures.fit(SOME, TITLES)
    groups = features.groups
    for place in range(len(features)):
        name = features.name(place)
        found = features.transform([name.strip("<>")]).toarray()[0]
        if GROUPS[groups[place]] == "words":
            assert found[place] > 0 or features.weights[place] == 0
        elif GROUPS[groups[place]] == "pairs":
            assert name.split(" ")[0] in features.words
            assert name.split(" ")[1] in features.words
            assert found[place] > 0 or features.weights[place] == 0
        else:
            assert name in features.parts
