"""Recipes without an encoder, from training to the model folder, and their parts by plain loops."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from dexa import Dataset, Dexa, recipes
from dexa.errors import DataError, InputError
from dexa.lexical import Bm25, TextFeatures, WordIndex, centroids
from dexa.model import FUSION
from dexa.neighbours import NeighbourVotes
from dexa.recipe import Recipe
from dexa.types import NO_LABEL

BASELINES = {"ova": "linear", "knn": "word_neighbours", "centroid": "centroids", "bm25": "bm25"}
TEXTS = st.lists(
    st.lists(st.sampled_from(["ab", "ab", "abacus", "cd", "7"]), max_size=5).map(" ".join),
    min_size=1,
    max_size=5,
)


def texts(dataset: Dataset) -> list[str]:
    assert dataset.test is not None
    assert dataset.test.texts is not None
    return list(dataset.test.texts)


def baseline(name: str) -> Dexa:
    recipe: Recipe = getattr(recipes, name)().changed({"further.neighbours": 5})
    return Dexa(recipe, seed=3, device="cpu")


@pytest.mark.parametrize(("name", "scorer"), BASELINES.items())
def test_a_baseline_learns_and_survives_its_folder(
    name: str, scorer: str, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    model = baseline(name).fit(tiny_dataset)
    evaluation = model.evaluate(tiny_dataset, report=tmp_path / "report.html").to_json()
    assert list(evaluation["scorers"]) == [scorer, FUSION]
    assert evaluation["scorers"][scorer]["P@1"] > 25  # at random: 6
    assert (tmp_path / "report.html").read_text().count(scorer.replace("_", " ")) > 1
    model.save(tmp_path / "model")
    there = {path.name for path in (tmp_path / "model").iterdir()}
    assert not there & {"encoder", "index", "neighbours.safetensors"}
    again = Dexa.load(tmp_path / "model", device="cpu")
    first, second = (m.predict_scorers(texts(tiny_dataset), 6) for m in (model, again))
    for of in (scorer, FUSION):
        assert np.array_equal(first[of].labels, second[of].labels)
        assert np.array_equal(first[of].scores, second[of].scores)
    assert np.array_equal(first[scorer].labels, first[FUSION].labels)
    assert (
        f"| scorers | {scorer.replace('_', ' ')} |"
        in (tmp_path / "model" / "README.md").read_text()
    )


def test_a_text_of_unknown_words_has_no_answer(tiny_dataset: Dataset) -> None:
    for name in ("knn", "centroid", "bm25"):
        top = baseline(name).fit(tiny_dataset).predict(["zzzz", ""], 3)
        assert (top.labels == NO_LABEL).all()


def test_only_some_labels_may_be_answered(tiny_dataset: Dataset) -> None:
    some = texts(tiny_dataset)
    for name in BASELINES:
        model = baseline(name).fit(tiny_dataset)
        only = model.predict(some, 3, labels=[1, 5, 7]).labels
        assert set(only.ravel().tolist()) <= {NO_LABEL, 1, 5, 7}
        first = model.predict(some, 1).labels
        others = model.predict(some, 3, exclude=sorted({*first.ravel().tolist()} - {NO_LABEL}))
        assert not np.isin(others.labels[others.labels != NO_LABEL], first).any()


def test_words_are_searched_as_they_are(tiny_dataset: Dataset, tmp_path: Path) -> None:
    model = baseline("knn").fit(tiny_dataset)
    model.save(tmp_path / "model")
    again = Dexa.load(tmp_path / "model", device="cpu", index="exact")
    some = texts(tiny_dataset)
    assert np.array_equal(again.predict(some, 3).labels, model.predict(some, 3).labels)
    assert model.model.calibration is None  # it learns from all documents
    with pytest.raises(InputError, match="without calibration"):
        model.threshold(0.5)


@pytest.mark.parametrize("name", BASELINES)
def test_labels_come_and_go_without_an_encoder(
    name: str, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    folder, asked = tmp_path / "model", ["the amber station"]
    baseline(name).fit(tiny_dataset).save(folder)
    model = Dexa.load(folder, device="cpu")
    texts_before = [label.text for label in model.labels()]
    before = model.predict_scorers(texts(tiny_dataset), 30)[FUSION]
    came = [["amber station at the valley", "the amber station", "Amber station"], []]
    first, second = model.add_labels(["amber station", "the harbour museum"], came)
    assert [first, second] == [24, 25]
    assert model.predict(asked, 1).labels.tolist() == [[first]]
    others = model.predict(texts(tiny_dataset), 30, exclude=[first, second])
    if name != "knn":  # there documents that came are neighbours, and voices sum to 1
        assert np.array_equal(others.labels[:, :24], before.labels[:, :24])
        assert np.array_equal(others.scores[:, :24], before.scores[:, :24])
    found = model.explain(asked[0], first)
    assert (found.rank, found.label_text_part, found.auxiliary_part) == (1, None, None)
    assert found.base + sum(s.share or 0 for s in found.scorers) == pytest.approx(found.score)
    assert [token.label_search for token in found.tokens] == [None] * 3
    if name == "knn":
        assert {voter.document for voter in found.voters} == {None}
    model.rename_label(second, "station of the harbour")
    model.hide([0])
    model.remove_labels([1])
    with pytest.raises(InputError, match="did you mean 'amber station'"):
        model.hide(["amber stations"])
    with pytest.raises(InputError, match="dexa labels list MODEL_DIR shows all"):
        model.hide(["zzzz"])
    again = Dexa.load(folder, device="cpu")
    again.save(tmp_path / "whole")
    for other in (again, Dexa.load(tmp_path / "whole", device="cpu")):
        assert [label.text for label in other.labels()] == [
            texts_before[0],
            *texts_before[2:],
            "amber station",
            "station of the harbour",
        ]
        for some in (asked, texts(tiny_dataset)):
            mine, theirs = model.predict(some, 30), other.predict(some, 30)
            assert not np.isin(theirs.labels, [0, 1]).any()
            assert np.array_equal(mine.labels, theirs.labels)
            assert np.array_equal(mine.scores, theirs.scores)
    renamed = model.predict(["the station of the harbour"], 3).labels
    assert (second in renamed) == (name != "knn")  # a label without documents has no votes


def test_several_additions_at_once_are_as_one_after_the_other(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    scorers = [
        "linear",
        "frequent",
        "bm25",
        "word_neighbours",
        "mentions",
        "centroids",
        "label_words",
    ]
    changes = {"fusion.method": "boosted", "fusion.scorers": scorers, "fusion.validation": 8}
    recipe = recipes.ova().changed({**changes, "fusion.trees": 3})
    Dexa(recipe, seed=3, device="cpu").fit(tiny_dataset).save(tmp_path / "model")
    model = Dexa.load(tmp_path / "model", device="cpu")
    model.add_labels(["amber station"], [["amber station at the valley"]])
    model.add_labels(["the harbour museum"])
    model.add_labels(["a castle of ice"], [["ice castle", "a castle, all of ice"]])
    again = Dexa.load(tmp_path / "model", device="cpu")  # applies the three as one
    for some in (["amber station at the harbour", "castle of ice"], texts(tiny_dataset)):
        mine, theirs = (m.predict_scorers(some, 10) for m in (model, again))
        assert list(mine) == [
            "label_words",
            "linear",
            "frequent",
            "word_neighbours",
            "mentions",
            "bm25",
            "centroids",
            FUSION,
        ]
        for of in mine:
            assert np.array_equal(mine[of].labels, theirs[of].labels)
            assert np.array_equal(mine[of].scores, theirs[of].scores)


def test_no_vectors_without_an_encoder(tiny_dataset: Dataset) -> None:
    model = baseline("bm25").fit(tiny_dataset)
    for side in ("document", "label"):
        with pytest.raises(InputError, match=r"recipe bm25, which has no encoder.*encoder\.name"):
            model.encode(["a text"], side=side)


def test_texts_are_needed(tiny_dataset: Dataset) -> None:
    from dataclasses import replace

    train = replace(tiny_dataset.train, texts=None)
    with pytest.raises(DataError, match="scorers that read words"):
        baseline("bm25").fit(replace(tiny_dataset, train=train))
    model = baseline("bm25").fit(tiny_dataset)
    with pytest.raises(InputError, match="scorers that read words"):
        model.evaluate(replace(tiny_dataset, test=replace(tiny_dataset.test, texts=None)))


def test_neighbours_by_the_vectors_of_a_named_encoder(
    tiny_encoder: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    recipe = recipes.knn().changed(
        {"encoder.name": f"bag:{tiny_encoder}", "fusion.scorers": ["neighbours"]}
    )
    model = Dexa(recipe, seed=3, device="cpu").fit(tiny_dataset)
    assert model.model.scorers.words is None
    found = model.predict_scorers(texts(tiny_dataset), 4)
    assert np.array_equal(found["neighbours"].labels, found[FUSION].labels)
    model.save(tmp_path / "model")
    again = Dexa.load(tmp_path / "model", device="cpu").predict(texts(tiny_dataset), 4)
    assert np.array_equal(again.labels, found[FUSION].labels)


def test_scorers_that_read_words_are_fused_without_an_encoder(
    tiny_dataset: Dataset, tmp_path: Path
) -> None:
    changes = {
        "fusion.method": "boosted",
        "fusion.scorers": '["linear", "bm25", "word_neighbours"]',
    }
    recipe = recipes.ova().changed({**changes, "fusion.validation": 8, "fusion.trees": 3})
    model = Dexa(recipe, seed=3, device="cpu").fit(tiny_dataset)
    found = model.predict_scorers(texts(tiny_dataset), 4)
    assert list(found) == ["linear", "word_neighbours", "bm25", FUSION]
    model.save(tmp_path / "model")
    again = Dexa.load(tmp_path / "model", device="cpu").predict(texts(tiny_dataset), 4)
    assert np.array_equal(again.scores, found[FUSION].scores)


def naive_bm25(label: list[str], labels: list[list[str]], words: set[str], k1: float, b: float):
    mean = sum(map(len, labels)) / len(labels)
    counts, score = Counter(label), 0.0
    for word in words & set(label):
        holding = sum(word in other for other in labels)
        idf = math.log(1 + (len(labels) - holding + 0.5) / (holding + 0.5))
        held_back = k1 * (1 - b + b * len(label) / mean)
        score += idf * counts[word] * (k1 + 1) / (counts[word] + held_back)
    return score


@settings(max_examples=80)
@given(labels=TEXTS, queries=TEXTS, k1=st.floats(0, 3), b=st.floats(0, 1))
def test_bm25_against_a_loop(labels: list[str], queries: list[str], k1: float, b: float) -> None:
    features = TextFeatures.fit(queries, labels)
    scorer = Bm25.over(features.word_counts(labels), k1=k1, b=b)
    found = scorer.opinions(features.transform(queries)).toarray()
    words = [re.findall(r"\w+", text) for text in labels]
    for row, query in zip(found, queries, strict=True):
        asked = set(re.findall(r"\w+", query))
        expected = [naive_bm25(label, words, asked, k1, b) for label in words]
        assert row == pytest.approx(expected, abs=1e-4)


@settings(max_examples=40)
@given(labels=TEXTS, others=TEXTS, keep=st.integers(0, 5))
def test_bm25_of_other_texts_weighs_words_as_before(
    labels: list[str], others: list[str], keep: int
) -> None:
    features = TextFeatures.fit(labels, others)
    scorer = Bm25.over(features.word_counts(labels), k1=1.2, b=0.75)
    first = min(keep, len(labels))
    places = first + np.arange(len(others))
    found = scorer.changed(places, features.word_counts(others))
    expected = np.zeros((len(features), max(len(labels), first + len(others))), np.float32)
    expected[:, : len(labels)] = scorer.by_feature.toarray()
    words = [re.findall(r"\w+", text) for text in labels]
    mean = sum(map(len, words)) / len(words) or 1
    for place, text in zip(places, others, strict=True):
        said = re.findall(r"\w+", text)
        expected[:, place] = 0
        for word, count in Counter(said).items():
            holding = sum(word in other for other in words)
            idf = math.log(1 + (len(words) - holding + 0.5) / (holding + 0.5))
            held_back = 1.2 * (0.25 + 0.75 * len(said) / mean)
            expected[features.words.index(word), place] = idf * count * 2.2 / (count + held_back)
    assert found.by_feature.toarray() == pytest.approx(expected, abs=1e-4)


def test_centroids_are_unit_sums_without_faint_values() -> None:
    documents = np.array([[0.6, 0.8, 0], [1, 0, 0], [0, 0.02, 0.9998]], np.float32)
    own = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)
    labels = np.array([[2, 0, 0], [1, 0, 0], [1, 1, 0]], np.float32)  # any entry counts as 1
    found = centroids(csr_array(documents), csr_array(own), csr_array(labels)).toarray()
    for label in range(3):
        row = own[label] + sum(documents[i] for i in range(3) if labels[i, label])
        row = np.where(row >= 0.05 * row.max(), row, 0)
        length = np.linalg.norm(row) or 1.0
        assert found[label] == pytest.approx(row / length, abs=1e-6)


def test_votes_of_documents_that_share_a_word() -> None:
    features = TextFeatures.fit(["green castle", "green bridge", "old market"], ["castle"])
    index = WordIndex.over(features.transform(["green castle", "green bridge", "old market"]))
    votes = NeighbourVotes(index=index, labels=csr_array(np.eye(3)), neighbours=3, temperature=1)
    said = votes.opinions(features.transform(["green", "market", "unheard of"])).toarray()
    assert said[0, :2].sum() == pytest.approx(1)
    assert said.tolist()[1:] == [[0, 0, 1], [0, 0, 0]]
