"""The published methods, and in what they differ."""

from __future__ import annotations

import dataclasses

import pytest

from dexa import recipes
from dexa.recipe import AuxiliaryChoice, Recipe, Size, completed
from dexa.types import SCORERS


@pytest.mark.parametrize("name", recipes.__all__)
def test_a_recipe_is_called_after_its_method(name: str) -> None:
    recipe = getattr(recipes, name)()
    assert isinstance(recipe, Recipe)
    assert recipe.name == name.replace("_joint", "++").replace("_", "-")
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_ngame_is_dexa_without_auxiliary_vectors() -> None:
    dexa, ngame = recipes.dexa(), recipes.ngame()
    differing = {
        f.name
        for f in dataclasses.fields(Recipe)
        if getattr(dexa, f.name) != getattr(ngame, f.name)
    }
    assert differing == {"name", "auxiliary"}
    assert ngame.auxiliary == AuxiliaryChoice(shared_vectors=0, head_labels=0)


def test_dexa_plus_differs_in_its_batches_and_fusion() -> None:
    plus, dexa = recipes.dexa_plus(), recipes.dexa()
    changed = ("name", "auxiliary", "encoder_stage", "label_batches", "fusion")
    own = {name: getattr(dexa, name) for name in changed}
    assert dataclasses.replace(plus, **own) == dexa
    assert (plus.encoder_stage.task, plus.encoder_stage.loss) == ("labels", "softmax")
    assert plus.fusion.scorers == SCORERS[:8]


@pytest.mark.parametrize("name", ["bm25", "centroid", "knn", "ova"])
def test_a_baseline_is_one_scorer_without_an_encoder(name: str) -> None:
    recipe = getattr(recipes, name)()
    assert recipe.encoder.absent
    assert (recipe.fusion.method, len(recipe.fusion.scorers)) == ("single", 1)


def test_no_size_of_data_gives_ngame_vectors() -> None:
    size = Size(documents=10**6, labels=10**6, pairs=10**8, width=None, titles=True)
    full = completed(recipes.ngame(), size).auxiliary
    assert (full.shared_vectors, full.head_labels) == (0, 0)
    assert completed(recipes.dexa(), size).auxiliary.shared_vectors == 65_536


def test_the_published_numbers() -> None:
    """DEXA's configuration for LF-AmazonTitles-131K, where it does not depend on the data."""
    size = Size(documents=294_805, labels=131_073, pairs=10**8, width=768, titles=True)
    dexa = completed(recipes.dexa(), size)
    first, second = dexa.encoder_stage, dexa.classifier_stage
    assert (first.loss, first.rarity) == ("triplet", 0)
    assert (first.margin, first.negatives, first.temperature) == (0.3, 10, 0.1)
    assert (first.warmup_steps, first.weight_decay, first.cluster_every) == (100, 0.01, 5)
    assert first.cluster_size == 4
    assert (second.margin, second.positives, second.negatives) == (0.2, 3, 5)
    assert (second.dropout, second.learning_rate, second.cluster_size) == (0.5, 1e-3, 32)
    assert (dexa.fusion.depth, dexa.fusion.beta) == (7, 1.0)
