"""Explanations add up to the scores that they explain, and say what a plain loop says."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from dexa import Dataset, Dexa
from dexa.cli import app
from dexa.errors import InputError, ModelFolderError
from dexa.fusion import (
    BoostedFusion,
    Candidates,
    TreeFusion,
    boosted_features,
    constant_tree,
    fit_forest,
    rising_features,
    shares,
)
from dexa.model import FUSION, explaining
from dexa.model.documents import StoredTexts, write_texts
from dexa.storage import sha256
from dexa.types import CLASSIFIERS, LABEL_SEARCH, LABEL_WORDS, LINEAR, SCORERS
from tiny import LABELS
from tiny_models import tiny_recipe

TEXT = "violet castle at the black station"


@pytest.fixture(scope="module", params=["dexa", "dexa_plus"])
def model(request: pytest.FixtureRequest, tiny_encoder: Path, tiny_dataset: Dataset) -> Dexa:
    recipe = tiny_recipe(tiny_encoder, name=request.param)
    if request.param == "dexa_plus":
        recipe = recipe.changed(
            {"fusion.trees": 20, "fusion.validation": 40, "fusion.keep_texts": True}
        )
    return Dexa(recipe, seed=5, device="cpu").fit(tiny_dataset)


@pytest.mark.parametrize("label", [0, LABELS.index("violet castle"), 23])
def test_the_parts_add_up_to_the_score(model: Dexa, label: int) -> None:
    found = model.explain(TEXT, label)
    given = [scorer.share for scorer in found.scorers if scorer.share is not None]
    assert sum(given) + found.base + found.rarity == pytest.approx(found.score, abs=1e-5)
    by_name = {scorer.name: scorer for scorer in found.scorers}
    assert list(by_name) == [name for name in SCORERS if name in by_name]
    assert found.label_text_part + found.auxiliary_part == pytest.approx(
        by_name[LABEL_SEARCH].score, abs=1e-6
    )
    answers = model.predict_scorers([TEXT], 24)
    for name, top in answers.items():
        scores = dict(zip(top.labels[0].tolist(), top.scores[0].tolist(), strict=True))
        expected = found.score if name == FUSION else by_name[name].score
        assert scores.get(label, 0.0) == pytest.approx(expected, abs=1e-6), name
    if found.rank is not None:
        fused = model.predict([TEXT], 10).labels[0]  # as many as each scorer proposes
        assert found.rank > 10 or fused[found.rank - 1] == label


def test_what_the_auxiliary_vector_gives(model: Dexa) -> None:
    parts = model.model
    label = LABELS.index("violet castle")
    text = parts.encode_documents([LABELS[label]])[0]
    own = parts.bank.of_labels()[label]
    length = (text + own).norm()
    asked = parts.encode_documents([TEXT])[0]
    found = model.explain(TEXT, label)
    assert found.auxiliary_part == pytest.approx(float(own @ asked / length), abs=1e-5)
    assert found.label_text_part == pytest.approx(float(text @ asked / length), abs=1e-5)


def test_each_word_is_left_out_once(model: Dexa) -> None:
    label = LABELS.index("violet castle")
    found = model.explain(TEXT, label)
    assert [token.text for token in found.tokens] == TEXT.split()
    for token in found.tokens:
        assert TEXT[token.start :].startswith(token.text)
        without = TEXT[: token.start] + TEXT[token.start + len(token.text) :]
        other = model.explain(without, label)
        cosines = [
            next(s.score for s in some.scorers if s.name == LABEL_SEARCH) for some in (found, other)
        ]
        assert token.label_search == pytest.approx(cosines[0] - cosines[1], abs=1e-6)
    if len(found.scorers) == 2:  # the tree needs no candidates beside the label
        others = [model.explain(TEXT.replace(word, "", 1), label).score for word in ("violet",)]
        assert found.tokens[0].score == pytest.approx(found.score - others[0], abs=1e-5)


def test_words_add_up_to_what_their_scorers_say(model: Dexa) -> None:
    label = LABELS.index("violet castle")
    found = model.explain(TEXT, label)
    words = model.model.scorers.words
    if words is None:
        assert (found.label_words, found.linear, found.linear_bias) == ((), (), None)
        return
    said = words.features.transform([TEXT]).toarray()[0]
    of_label = words.features.transform([LABELS[label]]).toarray()[0]
    weights = words.linear.weights.toarray()[label]
    names = {words.features.name(place): place for place in range(len(words.features))}
    for terms, values in ((found.label_words, of_label), (found.linear, weights)):
        assert 0 < len(terms) <= 10
        for term in terms:
            place = names[term.text]
            assert term.share == pytest.approx(said[place] * values[place], rel=1e-5)
        sizes = [abs(term.share) for term in terms]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] == pytest.approx(np.abs(said * values).max(), rel=1e-5)
    assert found.linear_bias == words.linear.bias[label]
    assert {term.kind for term in found.linear} <= {"words", "pairs", "parts"}
    assert "violet" in {term.text for term in found.label_words}


def test_voters_are_the_documents_with_the_label(model: Dexa, tiny_dataset: Dataset) -> None:
    votes = model.model.scorers.neighbours
    train = tiny_dataset.train
    assert train is not None
    assert train.texts is not None
    label = int(np.argmax(model.model.frequency))
    found = model.explain(LABELS[label], label)
    if votes is None:
        assert found.voters == ()
        return
    assert {voter.scorer for voter in found.voters} == {"neighbours", "word_neighbours"}
    for voter in found.voters:
        assert voter.document is not None
        assert label in train.labels[[voter.document]].indices
        assert voter.text == train.texts[voter.document]
        if voter.scorer == "word_neighbours":
            assert model.model.scorers.words is not None
            words = model.model.scorers.words.features.transform([LABELS[label], voter.text])
            vectors = words.toarray()
        else:
            vectors = model.encode([LABELS[label], voter.text])
        assert voter.similarity == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)
    for scorer in found.scorers:
        votes_of = [voter.vote for voter in found.voters if voter.scorer == scorer.name]
        if 0 < len(votes_of) < 10:
            assert sum(votes_of) == pytest.approx(scorer.score, abs=1e-5)


def test_changed_labels_are_explained_too(model: Dexa, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    mine = Dexa.load(tmp_path / "model", device="cpu")
    label = mine.add_labels(["amber station"], [["amber station at the valley"]])[0]
    found = mine.explain("amber station", "amber station")
    assert (found.label, found.rank, found.auxiliary_part) == (label, 1, 0.0)
    if found.voters:
        assert found.voters[0].document is None
        assert found.voters[0].text == "amber station at the valley"
    mine.hide([label])
    hidden = mine.explain("amber station", label)
    assert (hidden.hidden, hidden.rank) == (True, None)
    assert {s.name: s.score for s in hidden.scorers} == {s.name: s.score for s in found.scorers}
    mine.remove_labels([label])
    with pytest.raises(InputError, match="was removed"):
        mine.explain("amber station", label)
    with pytest.raises(InputError, match="expected one text"):
        mine.explain(["amber station"], 0)  # type: ignore[arg-type]


def test_long_and_empty_texts(model: Dexa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "_PIECES", 4)
    text = " a  bb the castle of\tviolet valley "
    found = model.explain(text, 3)
    assert [token.text for token in found.tokens] == ["a  bb", "the castle", "of\tviolet", "valley"]
    assert all(text[token.start :].startswith(token.text) for token in found.tokens)
    assert model.explain(" ", 3).tokens == ()


@pytest.fixture(scope="module")
def folder(model: Dexa, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("explained") / "model"
    model.save(place)
    return place


def test_on_the_command_line(model: Dexa, folder: Path) -> None:
    words = ["explain", str(folder), TEXT, "violet castle", "--device", "cpu"]
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0, shown.output
    for part in ("label_search", "auxiliary vector", "fused score", "What is lost", "violet"):
        assert part in shown.stdout
    assert "'violet castle'" in shown.stderr
    told = CliRunner().invoke(app, [*words, "--json"])
    assert json.loads(told.stdout) == json.loads(
        json.dumps(model.explain(TEXT, "violet castle").to_json())
    )
    wrong = CliRunner().invoke(app, ["explain", str(folder), TEXT, "violet castl"])
    assert wrong.exit_code == 2
    assert "did you mean" in wrong.stderr


def test_texts_of_documents_are_kept_where_the_recipe_asks(model: Dexa, folder: Path) -> None:
    kept = model.model.recipe.fusion.keep_texts
    assert (folder / "documents.jsonl.gz").is_file() == kept
    again = Dexa.load(folder, device="cpu").model
    assert (again.document_texts is None) != kept
    if kept:
        assert again.document_texts is not None
        assert model.model.document_texts is not None
        assert list(again.document_texts) == list(model.model.document_texts)
        assert len(again.document_texts) == len(model.model.document_texts)
        assert again.document_texts[1:3] == model.model.document_texts[1:3]


def test_changed_texts_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "documents.jsonl.gz"
    write_texts(path, ["a\nb", "ç"])
    texts = StoredTexts(path, sha256(path))
    assert list(texts) == ["a\nb", "ç"]
    write_texts(path, ["another model"])
    assert texts[1] == "ç"
    with pytest.raises(ModelFolderError, match="changed since the model was opened"):
        len(StoredTexts(path, "another checksum"))
    path.unlink()
    with pytest.raises(ModelFolderError, match="open the model again"):
        list(StoredTexts(path, "another checksum"))


# Shapley values


def naive_share(value, count: int, player: int) -> float:
    """The mean gain over all orders."""
    gains = []
    for order in itertools.permutations(range(count)):
        before = frozenset(order[: order.index(player)])
        gains.append(value(before | {player}) - value(before))
    return sum(gains) / math.factorial(count)


@settings(max_examples=15)
@given(seed=st.integers(0, 2**16), count=st.integers(1, 4))
def test_shares_are_shapley_values(seed: int, count: int) -> None:
    draw = np.random.default_rng(seed)
    names, width = SCORERS[:count], 6
    scores = {name: torch.from_numpy(draw.random((40, width), np.float32)) for name in names}
    labels = torch.arange(width).expand(40, -1)
    every = Candidates(labels=labels, scores=scores)
    rarity = draw.random(width) + 1
    features = boosted_features(every, names, rarity, 4)
    right = torch.from_numpy(draw.random(40 * width) < features[:, 0].numpy() / 2)
    forest = fit_forest(features, right, rising_features(names), trees=5, leaf=3, seed=0)
    fusion = BoostedFusion(
        forest=forest, scorers=names, depth=4, tail_weight=0.5, inverse_propensity=rarity
    )
    one = Candidates(labels=labels[:1], scores={name: scores[name][:1] for name in names})
    column = int(draw.integers(width))

    def value(speakers: frozenset[int]) -> float:
        said = {name: scores[name][:1].clone() for name in names}
        for number, name in enumerate(names):
            if number not in speakers:
                said[name][0, column] = said[name].min()
        top = fusion(Candidates(labels=labels[:1], scores=said), width)
        return float(top.scores[0][top.labels[0] == column][0])

    base, found = shares(fusion, one, column, names)
    assert base == pytest.approx(value(frozenset()), abs=1e-6)
    for number, name in enumerate(names):
        assert found[name] == pytest.approx(naive_share(value, count, number), abs=1e-5)


def test_shares_of_the_papers_fusion_are_its_terms() -> None:
    fusion = TreeFusion(
        tree=constant_tree(0.25), tree_weight=2.0, beta=3.0, inverse_propensity=np.ones(3)
    )
    scores = {
        LABEL_SEARCH: torch.tensor([[0.5, 0.25, 0.75]]),
        CLASSIFIERS: torch.tensor([[0.5, 0.625, 0.125]]),
    }
    candidates = Candidates(labels=torch.tensor([[0, 1, 2]]), scores=scores)
    base, found = shares(fusion, candidates, 0, (LABEL_SEARCH, CLASSIFIERS))
    assert found == pytest.approx({LABEL_SEARCH: 3 * 0.25, CLASSIFIERS: 0.375})
    assert base == pytest.approx(3 * (2 * 0.25 + 0.25) + 0.125)
    assert {LABEL_WORDS, LINEAR}.isdisjoint(found)
