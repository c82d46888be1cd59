"""Models of several seeds, whose fused scores are added."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dexa import Dataset, Dexa
from dexa.errors import RecipeError
from dexa.model import FUSION
from dexa.model.ensemble import summed
from dexa.recipe import Recipe
from dexa.types import NO_LABEL, TopK
from tiny_models import contents

SEEDS = (108, 7)


@pytest.fixture(scope="module")
def ensemble(tiny_recipe: Recipe, tiny_dataset: Dataset) -> Dexa:
    return Dexa(tiny_recipe, seed=SEEDS, device="cpu").fit(tiny_dataset)


def texts(dataset: Dataset) -> list[str]:
    assert dataset.test is not None
    return list(dataset.test.texts or [])


def top(labels: list[list[int]], scores: list[list[float]]) -> TopK:
    return TopK(labels=np.array(labels, np.int64), scores=np.array(scores, np.float32))


def test_a_sum_written_out() -> None:
    one = top([[3, 1, 2], [0, NO_LABEL, NO_LABEL]], [[5, 4, -1], [2, -np.inf, -np.inf]])
    two = top([[1, 4, 3], [NO_LABEL] * 3], [[0.9, 0.5, 0.2], [-np.inf] * 3])
    found = summed([one, two], 6, 3)
    # a label that is not answered counts as the last: -1 by the first, 0.2 by the second
    expected = {3: 5 + 0.2, 1: 4 + 0.9, 2: -1 + 0.2, 4: -1 + 0.5}
    best = sorted(expected, key=lambda label: -expected[label])[:3]
    assert found.labels[0].tolist() == best
    assert found.scores[0].tolist() == pytest.approx([expected[b] for b in best], abs=1e-4)
    assert found.labels[1].tolist() == [0, NO_LABEL, NO_LABEL]
    assert found.scores[1, 0] == pytest.approx(2, abs=1e-4)


def test_the_answers_are_the_sums_of_models_trained_alone(
    ensemble: Dexa, tiny_recipe: Recipe, tiny_dataset: Dataset
) -> None:
    alone = [Dexa(tiny_recipe, seed=s, device="cpu").fit(tiny_dataset) for s in SEEDS]
    depth = tiny_recipe.fusion.candidates
    parts = [m.predict(texts(tiny_dataset), depth) for m in alone]
    expected = summed(parts, tiny_dataset.n_labels, 4)
    found = ensemble.predict_scorers(texts(tiny_dataset), 4)
    assert np.array_equal(found[FUSION].labels, expected.labels)
    assert np.array_equal(found[FUSION].scores, expected.scores)
    first = alone[0].predict_scorers(texts(tiny_dataset), 4)
    assert np.array_equal(found["classifiers"].labels, first["classifiers"].labels)


def test_a_folder_holds_all_of_them(ensemble: Dexa, tiny_dataset: Dataset, tmp_path: Path) -> None:
    ensemble.save(tmp_path / "model")
    again = Dexa.load(tmp_path / "model", device="cpu")
    assert again.seeds == SEEDS
    one, two = (m.predict(texts(tiny_dataset), 5) for m in (ensemble, again))
    assert np.array_equal(one.labels, two.labels)
    again.save(tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(tmp_path / "model")


def test_each_seed_resumes_on_its_own(
    ensemble: Dexa, tiny_recipe: Recipe, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    model = Dexa(tiny_recipe, seed=SEEDS, device="cpu")
    model.fit(tiny_dataset, checkpoints=tmp_path / "kept")
    assert sorted(p.name for p in (tmp_path / "kept").iterdir()) == ["seed-108", "seed-7"]
    model.fit(tiny_dataset, checkpoints=tmp_path / "kept", resume=True)
    one, two = (m.predict(texts(tiny_dataset), 5) for m in (ensemble, model))
    assert np.array_equal(one.labels, two.labels)


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_seeds_that_make_no_ensemble(seeds: tuple[int, ...]) -> None:
    with pytest.raises(RecipeError, match="one or more, each once"):
        Dexa(seed=seeds)
