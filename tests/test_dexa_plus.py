"""Scorers that read words and neighbours, from training to the model folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dexa import Dataset, Dexa, metrics
from dexa.errors import DataError, InputError
from dexa.model import FUSION
from dexa.recipe import Recipe
from dexa.types import SCORERS, TopK
from tiny_models import tiny_recipe

EIGHT = SCORERS[:8]


@pytest.fixture(scope="module")
def recipe(tiny_encoder: Path) -> Recipe:
    changes = {"fusion.tree_weight": 0.5, "fusion.trees": 5}
    return tiny_recipe(tiny_encoder, name="dexa_plus").changed(changes)


@pytest.fixture(scope="module")
def model(recipe: Recipe, tiny_dataset: Dataset) -> Dexa:
    return Dexa(recipe, seed=3, device="cpu").fit(tiny_dataset)


def texts(dataset: Dataset) -> list[str]:
    assert dataset.test is not None
    assert dataset.test.texts is not None
    return list(dataset.test.texts)


def assert_same(one: dict[str, TopK], two: dict[str, TopK]) -> None:
    assert list(one) == list(two)
    for name in one:
        assert np.array_equal(one[name].labels, two[name].labels), name
        assert np.array_equal(one[name].scores, two[name].scores), name


def test_every_scorer_answers_and_is_fused(model: Dexa, tiny_dataset: Dataset) -> None:
    found = model.predict_scorers(texts(tiny_dataset), 4)
    assert list(found) == [*EIGHT, FUSION]
    proposed = np.concatenate([found[name].labels for name in EIGHT], axis=1)
    for row, labels in enumerate(found[FUSION].labels):
        assert len(set(labels)) == 4
        assert set(labels[:1]) <= set(proposed[row]) | set(labels)
    evaluation = model.evaluate(tiny_dataset).to_json()
    assert list(evaluation["scorers"]) == [*EIGHT, FUSION]


def test_candidates_have_the_scores_of_all(model: Dexa, tiny_dataset: Dataset) -> None:
    scorers = model.model.scorers
    some = texts(tiny_dataset)[:5]
    vectors = model.model.encode_documents(some)
    asked = scorers.ask(vectors, some)
    candidates = asked.candidates(asked.best(3))
    assert scorers.words is not None
    chances = scorers.words.opinions(some)["linear"].toarray()
    votes = scorers.neighbours.opinions(vectors).toarray() if scorers.neighbours else None
    assert votes is not None
    for row, labels in enumerate(candidates.labels.tolist()):
        for column, label in enumerate(labels):
            if label < 0:
                assert all(s[row, column] == -torch.inf for s in candidates.scores.values())
                continue
            assert float(candidates.scores["linear"][row, column]) == chances[row, label]
            assert float(candidates.scores["neighbours"][row, column]) == votes[row, label]


def test_saved_and_loaded(model: Dexa, tiny_dataset: Dataset, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    assert {"words.json", "words.safetensors", "neighbours.safetensors"} <= {
        path.name for path in (tmp_path / "model").iterdir()
    }
    again = Dexa.load(tmp_path / "model", device="cpu")
    some = texts(tiny_dataset)
    assert_same(model.predict_scorers(some, 6), again.predict_scorers(some, 6))


@pytest.mark.parametrize("name", SCORERS[:-1])  # a re-ranker has to be trained
def test_a_scorer_alone(recipe: Recipe, tiny_dataset: Dataset, name: str) -> None:
    alone = Dexa(recipe.changed({"fusion.scorers": [name]}), seed=3, device="cpu")
    found = alone.fit(tiny_dataset).predict_scorers(texts(tiny_dataset), 3)
    assert set(found) >= {name, FUSION}
    words = {"label_words", "linear", "frequent", "mentions", "word_neighbours", "bm25"}
    words = (words | {"centroids"}) - {name}
    assert not words & set(found)  # what is not asked for is not fitted
    # the odds rise with the score, so the fusion takes its candidates from this scorer alone
    for fused, own in zip(found[FUSION].labels, found[name].labels, strict=True):
        assert set(fused[:1]) <= set(own) | {-1} or len(set(own)) == 3


def test_tokens_alone_are_not_read(model: Dexa, tiny_dataset: Dataset) -> None:
    tokens = model.model.tokens(texts(tiny_dataset))
    with pytest.raises(InputError, match="scorers that read words"):
        model.predict_scorers(tokens, 3)
    read = model.model.predict_scorers(tokens, 3, words=texts(tiny_dataset))
    assert_same(read, model.predict_scorers(texts(tiny_dataset), 3))


def test_training_on_tokens_alone(recipe: Recipe) -> None:
    from dexa.training.further_scorers import Texts, check_texts

    for texts in (Texts(None, ["a"], ["a"]), Texts(["a"], None, None), Texts(None, None, None)):
        with pytest.raises(DataError, match="scorers that read words"):
            check_texts(recipe, texts)
    dense = recipe.changed({"fusion.scorers": ["label_search", "neighbours"]})
    check_texts(dense, Texts(None, None, None))


def test_the_dial_trades_precision_for_rare_labels(model: Dexa, tiny_dataset: Dataset) -> None:
    """With the whole weight on rarity, the first answer is the rarest candidate."""
    from dataclasses import replace

    fusion = replace(model.model.fusion, tail_weight=1e6)
    some = texts(tiny_dataset)
    vectors = model.model.encode_documents(some)
    asked = model.model.scorers.ask(vectors, some)
    candidates = asked.candidates(asked.best(5))
    first = fusion(candidates, 1).labels[:, 0]
    for row, label in enumerate(first):
        rarest = max(
            fusion.inverse_propensity[c] for c in candidates.labels[row].tolist() if c >= 0
        )
        assert fusion.inverse_propensity[label] == pytest.approx(rarest)


def test_metrics_of_every_scorer_are_numbers(model: Dexa, tiny_dataset: Dataset) -> None:
    assert tiny_dataset.test is not None
    for top in model.predict_scorers(texts(tiny_dataset), 5).values():
        assert np.isfinite(metrics.precision(top, tiny_dataset.test.labels)).all()
