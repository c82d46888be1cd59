"""Models that train within a second, and what their folders hold."""

from __future__ import annotations

import signal
from pathlib import Path

import torch

from dexa import Dexa, load_dataset, recipes
from dexa.recipe import Recipe
from dexa.types import Silence

LOG = "run.jsonl"  # holds seconds, which no two runs share


def tiny_recipe(encoder: Path, *, name: str = "dexa") -> Recipe:
    """A recipe with a random bag of tokens over an encoder's vocabulary, and few epochs.

    Every value that training depends on is given, so that better defaults change no test.
    """
    recipe = getattr(recipes, name)()
    kind = "sparse" if recipe.encoder.name == "sparse" else "bag"
    return recipe.changed(
        {
            "encoder.name": f"{kind}:{encoder}",
            "encoder.initial": "random",
            "encoder.max_length": 12,
            "encoder.pairs": 0,
            **(
                {"auxiliary.shared_vectors": 5, "auxiliary.head_labels": 2}
                if recipe.auxiliary.shared_vectors is None
                else {}
            ),
            "auxiliary.initial_norm": 0.15,
            "auxiliary.learning_rate": 0.005,
            **({"encoder_stage.epochs": 3} if recipe.encoder_stage.epochs is None else {}),
            "label_clusters.clusters": 6,
            "label_graph.steps": 20,
            "shortlist.length": 6,
            "shortlist.neighbours": 8,
            "encoder_stage.batch_size": 16,
            "encoder_stage.learning_rate": 0.01,
            "encoder_stage.warmup_steps": 1,
            "encoder_stage.temperature": 0.1,
            "encoder_stage.cluster_size": 4,
            "encoder_stage.cluster_from": 1,
            "encoder_stage.cluster_every": 1,
            "encoder_stage.curriculum": [2],
            "classifier_stage.epochs": 2,
            "classifier_stage.batch_size": 16,
            "classifier_stage.learning_rate": 0.001,
            "classifier_stage.random_negatives": 3,
            **({"classifier_stage.shortlist_every": 1} if name == "deepxml_anns" else {}),
            "classifier_stage.cluster_size": 4,
            "classifier_stage.curriculum": [1],
            "fusion.validation": 8,
            "fusion.candidates": 10,
            "fusion.leaf": 2,
            "fusion.tree_weight": 1.0,
        }
    )


def contents(folder: Path, *, log: bool = False) -> dict[str, bytes]:
    """Every file of a folder by its name below it, without the log unless it is asked for."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (log or path.name != LOG)
    }


class _Started(Silence):
    """Makes a file when the first stage begins."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, task: str, total: int) -> None:
        if task == "encoder_stage":
            self.path.touch()


def train_in_a_process(recipe: Recipe, dataset: Path, work: Path) -> None:
    """Train with checkpoints, from the last one if there is one, and save ``work/model``."""
    torch.set_num_threads(1)
    # A shell's background jobs, and all that they start, ignore SIGINT; not this process.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    estimator = Dexa(recipe, seed=108, device="cpu")
    estimator.fit(
        load_dataset(dataset),
        checkpoints=work / "checkpoints",
        resume=True,
        progress=_Started(work / "started"),
    )
    estimator.save(work / "model")
