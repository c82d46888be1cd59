"""Labels that come after training: how well they are found, beside a model trained with all.

    python benchmarks/labels.py
    python benchmarks/labels.py --held-out --variants text centroid documents

A tenth of the labels of the bundled titles is taken away before training and added afterwards, by
text, or by text and documents. Figures are on the true pairs of these labels in the test split,
after its filter, or with ``--held-out`` in a tenth of train that no model sees, for choices.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from accuracy import DATA, FIELDS, held_out
from dexa import Dataset, Dexa, load_dataset, recipes
from dexa.data import Split
from dexa.types import Silence

SHARE = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--recipe", default="dexa_plus")
    parser.add_argument("--encoder", default="bag")
    parser.add_argument("--epochs", type=int, default=5, help="of the encoder stage")
    parser.add_argument("--seed", type=int, default=108)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--work", type=Path, default=Path("labels-work"), help="keeps the models")
    options = parser.parse_args()
    dataset = load_dataset(DATA, fields=FIELDS["titles"])
    dataset = held_out(dataset) if options.held_out else dataset
    late = np.random.default_rng(options.seed).random(dataset.n_labels) < SHARE
    trained(without(dataset, late), "without", options)
    trained(dataset, "all", options)


def without(dataset: Dataset, late: np.ndarray) -> Dataset:
    """The data set as it was before the late labels came."""
    kept = np.flatnonzero(~late)
    assert dataset.train and dataset.label_texts
    place = np.full(len(late), -1)
    place[kept] = np.arange(len(kept))
    pairs = dataset.train.filter_pairs
    pairs = pairs[~late[pairs[:, 1]]]
    train = Split(
        labels=csr_array(dataset.train.labels[:, kept]),
        texts=dataset.train.texts,
        filter_pairs=np.stack([pairs[:, 0], place[pairs[:, 1]]], axis=1),
    )
    texts = [dataset.label_texts[label] for label in kept]
    return replace(dataset, train=train, test=None, label_texts=texts, folder=None)


def trained(dataset: Dataset, name: str, options: argparse.Namespace) -> Dexa:
    """The model of a data set, from the work folder if it is there."""
    folder = options.work / f"{name}-{'held-out' if options.held_out else 'test'}"
    if (folder / "model.json").is_file():
        return Dexa.load(folder, device="cpu")
    recipe = getattr(recipes, options.recipe)().changed(
        {"encoder.name": options.encoder, "encoder_stage.epochs": options.epochs}
    )
    started = time.perf_counter(), time.process_time()
    model = Dexa(recipe, seed=options.seed, device="cpu").fit(dataset, progress=Notes())
    print(
        f"{folder.name}: trained in {time.perf_counter() - started[0]:.0f} s,"
        f" {time.process_time() - started[1]:.0f} CPU seconds",
        flush=True,
    )
    model.save(folder)
    return model


class Notes(Silence):
    """Shows the lines of a training."""

    def note(self, text: str) -> None:
        print(text, flush=True)


if __name__ == "__main__":
    main()
