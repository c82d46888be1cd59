"""Recipes: JSON both ways, what they refuse, and what they fill in."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dexa import recipes
from dexa.errors import DataError, MissingFileError, RecipeError
from dexa.recipe import Recipe, Size, completed

WHOLE = st.integers(1, 10_000)
SHARE = st.floats(0, 0.99)
POSITIVE = st.floats(1e-6, 100)
EPOCHS = st.none() | st.lists(st.integers(0, 500), max_size=5)

# A strategy of values that every field takes.
VALUES: dict[str, st.SearchStrategy] = {
    "name": st.text(min_size=1),
    "encoder.name": st.text(min_size=1),
    "encoder.max_length": st.none() | st.integers(3, 512),
    "encoder.dropout": SHARE,
    "encoder.initial": st.sampled_from(["pretrained", "random"]),
    "encoder.pairs": st.none() | st.integers(0, 10_000),
    "auxiliary.shared_vectors": st.none() | st.integers(1, 10_000),  # 0 allows no head labels
    "auxiliary.head_labels": st.none() | st.integers(0, 10_000),
    "auxiliary.initial_norm": st.floats(0, 10),
    "auxiliary.learning_rate": st.none() | st.floats(0, 10),
    "encoder_stage.epochs": st.none() | st.integers(0, 1_000),
    "encoder_stage.batch_size": st.none() | WHOLE,
    "encoder_stage.texts_at_once": st.integers(0, 10_000),
    "encoder_stage.learning_rate": st.none() | POSITIVE,
    "encoder_stage.warmup_steps": st.none() | st.integers(0, 1_000),
    "encoder_stage.weight_decay": SHARE,
    "encoder_stage.margin": SHARE,
    "encoder_stage.negatives": WHOLE,
    "encoder_stage.loss": st.none(),
    "encoder_stage.temperature": st.none() | POSITIVE,
    "encoder_stage.rarity": st.floats(0, 10),
    "encoder_stage.cluster_size": WHOLE,
    "encoder_stage.cluster_from": st.none() | st.integers(0, 100),
    "encoder_stage.cluster_every": WHOLE,
    "encoder_stage.curriculum": EPOCHS,
    "encoder_stage.validations": st.integers(0, 100),
    "classifier_stage.epochs": st.none() | st.integers(0, 1_000),
    "classifier_stage.batch_size": st.none() | WHOLE,
    "classifier_stage.moments": st.sampled_from(["float32", "bfloat16"]),
    "classifier_stage.learning_rate": POSITIVE,
    "classifier_stage.warmup_steps": st.integers(0, 1_000),
    "classifier_stage.dropout": SHARE,
    "classifier_stage.margin": SHARE,
    "classifier_stage.positives": WHOLE,
    "classifier_stage.negatives": WHOLE,
    "classifier_stage.cluster_size": WHOLE,
    "classifier_stage.cluster_every": WHOLE,
    "classifier_stage.curriculum": EPOCHS,
    "further.neighbours": WHOLE,
    "further.word_temperature": POSITIVE,
    "further.temperature": POSITIVE,
    "further.rounds": WHOLE,
    "further.k1": st.floats(0, 10),
    "further.b": st.floats(0, 1),
    "encoder.activation": st.sampled_from(["relu", "gelu"]),
    "encoder.label_side": st.sampled_from(["text", "centroid"]),
    "encoder_stage.task": st.just("documents"),
    "label_batches.frequency_power": st.floats(0, 2),
    "label_batches.ceiling": st.floats(0.1, 0.9),
    "label_batches.sharpness": st.floats(0.1, 9),
    "label_batches.negatives": WHOLE,
    "label_batches.mixed": st.floats(0, 1),
    "label_clusters.clusters": st.none() | WHOLE,
    "label_clusters.smoothed": st.booleans(),
    "label_graph.steps": WHOLE,
    "label_graph.restart": st.floats(0.1, 0.9),
    "label_graph.neighbours": WHOLE,
    "label_graph.most_documents": WHOLE,
    "shortlist.length": WHOLE,
    "shortlist.sources": st.permutations(["centroids", "label_vectors"]),
    "shortlist.probes": st.integers(0, 100),
    "shortlist.votes_weight": st.floats(0, 1),
    "shortlist.neighbours": WHOLE,
    "shortlist.centroids": WHOLE,
    "shortlist.head_from": WHOLE,
    "reranker.epochs": st.just(0),
    "reranker.length": WHOLE,
    "reranker.learning_rate": st.floats(0, 1),
    "classifier_stage.start": st.sampled_from(["label_vectors", "smoothed"]),
    "classifier_stage.compared_with": st.just("batch"),
    "classifier_stage.loss": st.just("triplet"),
    "classifier_stage.encoder_share": st.floats(0, 1),
    "classifier_stage.own_block": st.just(False),
    "classifier_stage.random_negatives": st.integers(0, 100),
    "classifier_stage.shortlist_every": st.integers(0, 100),
    "classifier_stage.ceiling": st.floats(0.1, 0.9),
    "classifier_stage.sharpness": st.floats(0.1, 9),
    "fusion.validation": st.none() | st.integers(0, 10_000),
    "fusion.candidates": WHOLE,
    "fusion.depth": st.integers(1, 20),
    "fusion.leaf": WHOLE,
    "fusion.tree_weight": st.floats(0, 10),
    "fusion.beta": st.floats(0, 10),
    "fusion.scorers": st.permutations(["classifiers", "label_search"]),
    "fusion.method": st.sampled_from(["tree", "boosted", "blend"]),
    "fusion.trees": WHOLE,
    "fusion.tail_weight": st.floats(0, 10),
    "fusion.keep_texts": st.booleans(),
    "index.kind": st.sampled_from(["auto", "exact", "pq", "faiss"]),
}
CHANGES = st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=8).flatmap(
    lambda keys: st.fixed_dictionaries({key: VALUES[key] for key in keys})
)
PUBLISHED = Recipe(name="dexa")
TITLES = Size(documents=81_655, labels=97_787, pairs=10**8, width=384, titles=True)


def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= leaves(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def test_this_file_knows_every_field() -> None:
    assert set(leaves(PUBLISHED.to_json())) == set(VALUES)


# JSON


@given(CHANGES)
def test_json_both_ways(changes: dict[str, Any]) -> None:
    recipe = PUBLISHED.changed({k: json.dumps(v) for k, v in changes.items()})
    text = json.dumps(recipe.to_json())
    assert Recipe.from_json(json.loads(text)) == recipe
    flat = leaves(recipe.to_json())
    assert {key: flat[key] for key in changes} == changes
    rest = set(VALUES) - set(changes)
    published = leaves(PUBLISHED.to_json())
    assert {key: flat[key] for key in rest} == {key: published[key] for key in rest}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES)
def test_files_both_ways(tmp_path: Path, changes: dict[str, Any]) -> None:
    recipe = PUBLISHED.changed({k: json.dumps(v) for k, v in changes.items()})
    recipe.save(tmp_path / "recipe.json")
    assert Recipe.load(tmp_path / "recipe.json") == recipe


def test_missing_keys_take_their_defaults() -> None:
    recipe = Recipe.from_json({"name": "mine", "fusion": {"beta": 2}})
    assert recipe == dataclasses.replace(
        PUBLISHED, name="mine", fusion=dataclasses.replace(PUBLISHED.fusion, beta=2.0)
    )


def test_a_recipe_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        PUBLISHED.encoder.dropout = 0.5  # type: ignore[misc]


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"name": "mine", "fusion": {"bta": 1}}')
    with pytest.raises(RecipeError, match=r"mine\.json: no recipe field 'fusion\.bta'"):
        Recipe.load(path)
    path.write_text('{"name": "mine"\n')
    with pytest.raises(DataError, match=r"mine\.json:2: not JSON"):
        Recipe.load(path)
    with pytest.raises(MissingFileError):
        Recipe.load(tmp_path / "nothing.json")


# unknown keys


@pytest.mark.parametrize(
    ("given_", "nearest"),
    [
        ({"name": "x", "encodr": {}}, "encoder"),
        ({"name": "x", "clasifier_stage": {"epochs": 3}}, "classifier_stage"),
        ({"name": "x", "encoder_stage": {"epoch": 3}}, "encoder_stage.epochs"),
        ({"name": "x", "auxiliary": {"learningrate": 3}}, "auxiliary.learning_rate"),
        ({"name": "x", "fusion": {"Depth": 3}}, "fusion.depth"),
    ],
)
def test_an_unknown_key_names_the_nearest_at_any_depth(given_: dict, nearest: str) -> None:
    with pytest.raises(RecipeError, match=f"did you mean {nearest!r}"):
        Recipe.from_json(given_)


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("encoder_stage.epoch", "encoder_stage.epochs"),
        ("encoder.stage.epochs", "encoder_stage.epochs"),
        ("epochs", "epochs"),
        ("fusion", "fusion"),
        ("fusion.beta.x", "fusion.beta"),
        ("name.x", "name"),
        ("", ""),
    ],
)
def test_a_change_of_an_unknown_field_names_the_nearest(key: str, nearest: str) -> None:
    with pytest.raises(RecipeError, match=f"no recipe field {key!r}; did you mean '.*{nearest}"):
        PUBLISHED.changed({key: "1"})


# types and ranges


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("encoder_stage.epochs", "many", "a whole number or null"),
        ("encoder_stage.epochs", 2.5, "a whole number or null"),
        ("encoder_stage.epochs", True, "a whole number or null"),
        ("encoder_stage.margin", None, "a number"),
        ("encoder_stage.margin", "0,3", "a number"),
        ("encoder_stage.curriculum", [1, 2.5], "a list of whole numbers or null"),
        ("encoder_stage.curriculum", [True], "a list of whole numbers or null"),
        ("encoder_stage.curriculum", 3, "a list of whole numbers or null"),
        ("encoder.name", 7, "a text"),
        ("encoder.name", None, "a text"),
        ("encoder.dropout", False, "a number"),
        ("fusion.depth", [7], "a whole number"),
        ("fusion.depth", {"a": 1}, "a whole number"),
        ("name", None, "a text"),
    ],
)
def test_a_value_of_the_wrong_type(key: str, value: object, expected: str) -> None:
    with pytest.raises(RecipeError, match=f"{key} is .*; expected {expected}$"):
        PUBLISHED.changed({key: value})


@pytest.mark.parametrize("value", ["x", 3, None, [], True])
def test_a_part_that_is_no_object(value: object) -> None:
    with pytest.raises(RecipeError, match=r"fusion is .*; expected a JSON object"):
        Recipe.from_json({"name": "x", "fusion": value})
    with pytest.raises(RecipeError, match=r"the recipe is .*; expected a JSON object"):
        Recipe.from_json(value)


def test_a_recipe_has_a_name() -> None:
    with pytest.raises(RecipeError, match='without a name; add "name"'):
        Recipe.from_json({})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("encoder_stage.epochs", -1),
        ("encoder_stage.batch_size", 0),
        ("encoder_stage.learning_rate", -0.1),
        ("encoder_stage.warmup_steps", -1),
        ("encoder_stage.weight_decay", -0.1),
        ("encoder_stage.margin", -0.1),
        ("encoder_stage.negatives", 0),
        ("encoder_stage.temperature", 0),
        ("encoder_stage.cluster_size", 0),
        ("encoder_stage.cluster_from", -1),
        ("encoder_stage.cluster_every", 0),
        ("encoder_stage.validations", -2),
        ("classifier_stage.batch_size", 0),
        ("classifier_stage.dropout", 1),
        ("classifier_stage.dropout", -0.1),
        ("classifier_stage.positives", 0),
        ("encoder.dropout", 1.5),
        ("encoder.max_length", 0),
        ("encoder.max_length", 2),
        ("encoder.initial", "zeros"),
        ("auxiliary.shared_vectors", -1),
        ("auxiliary.head_labels", -1),
        ("auxiliary.initial_norm", -1),
        ("encoder_stage.task", "words"),
        ("label_batches.ceiling", 1),
        ("shortlist.votes_weight", 1.5),
        ("shortlist.length", 0),
        ("shortlist.sources", ["texts"]),
        ("classifier_stage.loss", "bce"),
        ("classifier_stage.start", "zero"),
        ("classifier_stage.own_block", True),
        ("reranker.epochs", 2),
        ("fusion.validation", -1),
        ("fusion.candidates", 0),
        ("fusion.depth", 0),
        ("fusion.leaf", 0),
        ("fusion.tree_weight", -1),
        ("fusion.beta", -1),
        ("fusion.beta", math.inf),
        ("fusion.beta", math.nan),
    ],
)
def test_a_value_that_no_run_could_use(key: str, value: object) -> None:
    with pytest.raises(RecipeError, match=key):
        PUBLISHED.changed({key: value})


# changes


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("encoder_stage.epochs", "40", 40),
        ("encoder_stage.epochs", "null", None),
        ("encoder_stage.curriculum", "[1, 5]", (1, 5)),
        ("encoder_stage.learning_rate", "2e-4", 2e-4),
        ("encoder_stage.learning_rate", "1", 1.0),
        ("encoder.name", "bag:some/path", "bag:some/path"),
        ("encoder.name", '"7"', "7"),
        ("encoder.initial", "random", "random"),
        ("name", "mine", "mine"),
        ("encoder_stage.curriculum", (2, 3), (2, 3)),
    ],
)
def test_changes_read_texts_as_json_where_they_are(key: str, text: object, value: object) -> None:
    changed: Any = PUBLISHED.changed({key: text})
    for part in key.split("."):
        changed = getattr(changed, part)
    assert changed == value
    assert type(changed) is type(value)


def test_changes_leave_the_recipe_itself_alone() -> None:
    before = PUBLISHED.to_json()
    PUBLISHED.changed({"fusion.beta": 3, "encoder_stage.epochs": 1})
    assert PUBLISHED.to_json() == before
    assert PUBLISHED.changed({}) == PUBLISHED


# what is filled in


@given(
    changes=CHANGES,
    documents=st.integers(1, 10**7),
    labels=st.integers(1, 10**7),
    bag=st.booleans(),
    titles=st.booleans(),
)
def test_completed_fills_every_gap_and_nothing_else(changes, documents, labels, bag, titles):
    recipe = PUBLISHED.changed({k: json.dumps(v) for k, v in changes.items()})
    width = None if bag else 768
    size = Size(documents=documents, labels=labels, pairs=9, width=width, titles=titles)
    full = completed(recipe, size)
    flat, before = leaves(full.to_json()), leaves(recipe.to_json())
    assert None not in flat.values()
    assert {k: v for k, v in before.items() if v is not None}.items() <= flat.items()
    other = Size(documents=3, labels=3, pairs=5, width=None, titles=True)
    assert completed(full, other) == full
    assert Recipe.from_json(full.to_json()) == full


def filled(size: Size, **changes: Any) -> dict[str, Any]:
    """What was filled in, by field."""
    recipe = PUBLISHED.changed({k.replace("__", "."): v for k, v in changes.items()})
    before = leaves(recipe.to_json())
    return {k: v for k, v in leaves(completed(recipe, size).to_json()).items() if before[k] is None}


def test_the_rules_for_a_transformer_on_titles() -> None:
    assert filled(TITLES) == {
        "encoder.max_length": 32,
        "encoder.pairs": 0,
        "auxiliary.shared_vectors": 32_596,
        "auxiliary.head_labels": 977,
        "auxiliary.initial_norm": 0.15,
        "auxiliary.learning_rate": 5e-4,
        "encoder_stage.epochs": 40,
        "encoder_stage.batch_size": 1_600,
        "encoder_stage.learning_rate": 1e-3,
        "encoder_stage.warmup_steps": 100,
        "encoder_stage.loss": "triplet",
        "encoder_stage.temperature": 0.1,
        "encoder_stage.cluster_from": 1,
        "encoder_stage.curriculum": [1, 3, 7, 10, 13, 17, 20, 27],
        "classifier_stage.epochs": 20,
        "label_clusters.clusters": 12_223,
        "classifier_stage.batch_size": 2_048,
        "classifier_stage.curriculum": [4],
        "fusion.validation": 4_082,
    }


def test_the_rules_for_a_bag_on_a_few_full_texts() -> None:
    rules = filled(Size(documents=100, labels=50, pairs=10**8, width=None, titles=False))
    assert rules == {
        "encoder.max_length": 128,
        "encoder.pairs": 1_024,
        "auxiliary.shared_vectors": 17,
        "auxiliary.head_labels": 0,
        "auxiliary.initial_norm": 0.0,
        "auxiliary.learning_rate": 1e-4,
        "encoder_stage.epochs": 60,
        "encoder_stage.batch_size": 12,
        "encoder_stage.learning_rate": 1e-2,
        "encoder_stage.warmup_steps": 50,
        "encoder_stage.loss": "triplet",
        "encoder_stage.temperature": 0.1,
        "encoder_stage.cluster_from": 2,
        "encoder_stage.curriculum": [2, 5, 10, 15, 20, 25, 30, 40],
        "classifier_stage.epochs": 20,
        "label_clusters.clusters": 6,
        "classifier_stage.batch_size": 12,
        "classifier_stage.curriculum": [4],
        "fusion.validation": 5,
    }


def test_the_rules_for_batches_of_labels() -> None:
    changes = {"encoder_stage__task": "labels", "auxiliary__shared_vectors": 0}
    size = Size(documents=100_000, labels=400_000, pairs=10**8, width=None, titles=True)
    likelihood = filled(size, **changes)
    assert likelihood["encoder_stage.loss"] == "likelihood"
    assert likelihood["encoder_stage.batch_size"] == 1_600
    softmax = filled(size, **changes, encoder_stage__loss="softmax")
    assert softmax["encoder_stage.batch_size"] == 3_200
    assert softmax["encoder_stage.temperature"] == 0.07
    assert softmax["encoder_stage.epochs"] == 20  # of 125 batches of labels, not 31 of documents
    for documents, loss, epochs in (
        (100_000, "softmax", 80),
        (100_000, "likelihood", 40),
        (20_000, "softmax", 40),
    ):
        tuned = dataclasses.replace(size, width=384, documents=documents)
        rules = filled(tuned, **changes, encoder_stage__loss=loss)
        assert rules["encoder_stage.epochs"] == epochs
    rare = Size(documents=100_000, labels=10**7, pairs=64_000, width=None, titles=True)
    assert filled(rare, **changes)["encoder_stage.epochs"] == 25  # 1,000 steps, 40 an epoch
    few = Size(documents=100, labels=800, pairs=10**8, width=None, titles=True)
    assert filled(few, **changes)["encoder_stage.warmup_steps"] == 100
    assert filled(few)["encoder_stage.warmup_steps"] == 50


@pytest.mark.parametrize("task", ["labels", "clusters"])
def test_auxiliary_vectors_are_for_batches_of_documents(task: str) -> None:
    rules = filled(TITLES, encoder_stage__task=task)
    assert (rules["auxiliary.shared_vectors"], rules["auxiliary.head_labels"]) == (0, 0)
    with pytest.raises(RecipeError, match=f"shared_vectors for the task '{task}'"):
        PUBLISHED.changed({"encoder_stage.task": task, "auxiliary.shared_vectors": 5})


@pytest.mark.parametrize(
    ("task", "loss", "advice"),
    [("documents", "likelihood", "triplet"), ("labels", "triplet", "likelihood")]
    + [("clusters", loss, "bce") for loss in ("triplet", "softmax", "likelihood")]
    + [(task, "hinge", "") for task in ("documents", "labels", "clusters")],
)
def test_a_loss_that_its_task_does_not_have(task: str, loss: str, advice: str) -> None:
    with pytest.raises(RecipeError, match=f"loss '{loss}' for the task '{task}'") as raised:
        PUBLISHED.changed({"encoder_stage.task": task, "encoder_stage.loss": loss})
    assert f"set encoder_stage.loss={advice}" in str(raised.value)


def test_the_published_curriculum_at_the_published_epochs() -> None:
    rules = filled(TITLES, encoder_stage__epochs=300, classifier_stage__epochs=100)
    assert rules["encoder_stage.curriculum"] == [10, 25, 50, 75, 100, 125, 150, 200]
    assert rules["encoder_stage.cluster_from"] == 10
    assert rules["classifier_stage.curriculum"] == [20]


def test_sizes_have_a_limit() -> None:
    rules = filled(Size(documents=10**7, labels=10**6, pairs=10**8, width=384, titles=True))
    assert rules["auxiliary.shared_vectors"] == 65_536
    assert rules["auxiliary.head_labels"] == 1_000
    assert rules["fusion.validation"] == 5_000


def test_pairs_of_a_bag_grow_with_its_texts() -> None:
    for documents, titles, pairs in [
        (1_000, True, 2_048),
        (1_000, False, 8_192),
        (10**6, 1, 2**18),
    ]:
        size = Size(documents=documents, labels=500, pairs=10**8, width=None, titles=bool(titles))
        assert filled(size)["encoder.pairs"] == pairs


@pytest.mark.parametrize(
    ("documents", "batch", "epochs"),
    [(60, 7, 60), (4_618, 288, 60), (40_000, 1_600, 40), (81_655, 1_600, 20), (10**7, 1_600, 20)],
)
def test_few_documents_are_seen_more_often(documents: int, batch: int, epochs: int) -> None:
    size = Size(documents=documents, labels=500, pairs=10**8, width=None, titles=True)
    stage = completed(PUBLISHED, size).encoder_stage
    assert (stage.batch_size, stage.epochs) == (batch, epochs)
    chosen = completed(PUBLISHED.changed({"encoder_stage.epochs": 3}), size).encoder_stage
    assert chosen.epochs == 3
    assert chosen.warmup_steps is not None
    assert chosen.warmup_steps <= max(1, 0.1 * 3 * documents / batch + 1)


def test_the_temperature_of_each_loss() -> None:
    assert filled(TITLES)["encoder_stage.temperature"] == 0.1
    assert completed(recipes.dexa_plus(), TITLES).encoder_stage.temperature == 0.05
    for width, task, documents, temperature in (
        (384, "labels", 20_000, 0.03),
        (384, "labels", 50_000, 0.05),
        (384, "documents", 20_000, 0.07),
        (384, "documents", 50_000, 0.07),
        (None, "labels", 20_000, 0.07),
    ):
        recipe = recipes.dexa_plus().changed({"encoder_stage.task": task})
        rules = completed(recipe, dataclasses.replace(TITLES, documents=documents, width=width))
        assert rules.encoder_stage.temperature == temperature
    given_ = PUBLISHED.changed({"encoder_stage.temperature": 0.5})
    assert completed(given_, TITLES).encoder_stage.temperature == 0.5


def test_head_vectors_alone_are_refused() -> None:
    with pytest.raises(RecipeError, match="head_labels without auxiliary"):
        PUBLISHED.changed({"auxiliary.shared_vectors": 0, "auxiliary.head_labels": 5})


def test_no_shared_vectors_are_no_vectors() -> None:
    none = PUBLISHED.changed({"auxiliary.shared_vectors": 0})
    assert completed(none, TITLES).auxiliary.head_labels == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fusion.scorers": '["words"]'}, "a scorer 'words'"),
        ({"fusion.scorers": "[]"}, "one or more, each once"),
        ({"fusion.scorers": '["linear", "linear"]'}, "one or more, each once"),
        ({"fusion.scorers": "linear"}, "a list of texts"),
        ({"fusion.scorers": "[1]"}, "a list of texts"),
        ({"fusion.scorers": '["linear"]'}, "set fusion.method=boosted"),
        ({"fusion.method": "forest"}, "'tree', 'boosted', 'blend' or 'single'"),
        ({"fusion.method": "single"}, "one scorer"),
        ({"encoder.name": "none"}, "set encoder.name"),
        ({"further.b": 1.5}, "from 0 to 1"),
        ({"classifier_stage.moments": "float16"}, "'float32' or 'bfloat16'"),
    ],
)
def test_scorers_and_fusions_that_there_are_not(changes: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError) as told:
        PUBLISHED.changed(changes)
    assert message in str(told.value)
