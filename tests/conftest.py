"""What several test modules share: a tiny encoder, a tiny data set, a model trained on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from dexa import Dataset, Dexa, load_dataset
from dexa.recipe import Recipe
from tiny import write_dataset, write_encoder
from tiny_models import tiny_recipe as recipe_of

# Tensors here are tiny: several threads only wait for each other, for long on a busy machine.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the commands that tests run
settings.register_profile("untimed", deadline=None)  # on a busy machine any example can be slow
settings.load_profile("untimed")
os.environ["DEXA_CACHE"] = str(Path(__file__).parents[1] / "build" / "cache")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked ``gpu`` is skipped where there is none."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs an accelerator")


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer folder with random weights, 16 dimensions."""
    return write_encoder(tmp_path_factory.mktemp("encoder") / "tiny")


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """64 training and 16 test documents, 24 labels, whose words tell the labels."""
    folder = write_dataset(tmp_path_factory.mktemp("dataset") / "LF-TinyTitles-24")
    return load_dataset(folder)


@pytest.fixture(scope="session")
def tiny_recipe(tiny_encoder: Path) -> Recipe:
    """DEXA with a random bag of tokens and few epochs."""
    return recipe_of(tiny_encoder)


@pytest.fixture(scope="session")
def fitted(tiny_recipe: Recipe, tiny_dataset: Dataset) -> Dexa:
    """A model trained on the tiny data set; tests do not change it."""
    return Dexa(tiny_recipe, seed=108, device="cpu").fit(tiny_dataset)
