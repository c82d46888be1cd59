"""Accuracy and time of recipes on the bundled data set, or on any other, one row a run.

    python benchmarks/accuracy.py --run titles,bag,dexa,20 --run titles,bag,ngame,20 --seeds 1 2 3
    python benchmarks/accuracy.py --run further/FOLDOC,bag,dexa_plus,default
    python benchmarks/accuracy.py --run titles,none,ova,0 --run titles,none,knn,0

A run is ``DATA,ENCODER,RECIPE,EPOCHS[,field=value…]``: ``titles`` or ``full`` of the bundled data
set, or the folder of another; ``bag``, ``minilm`` or ``none``; a function of `dexa.recipes`; epochs
of the encoder stage, or ``default``. Figures are those of the test split after its filter, or with
``--held-out`` those of a tenth of train that no run sees, for choices. Every row is appended to
``--output`` as a line of JSON; a table is printed at the end.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa import Dataset, Dexa, load_dataset, recipes
from dexa.data import Split

DATA = Path(__file__).parent.parent / "datasets" / "LF-WordNet-98K"
FIELDS = {"titles": ("title",), "full": ("title", "content")}
METRICS = ("P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5", "R@10", "R@100")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", action="append", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[108])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minilm", default="minilm", help="folder of MiniLM, if not packaged")
    parser.add_argument("--set", action="append", default=[], help="field=value for all runs")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("accuracy.jsonl"))
    options = parser.parse_args()
    rows = []
    datasets: dict[str, Dataset] = {}
    for text in options.run:
        for seed in options.seeds:
            row = run(text, seed, options, datasets)
            rows.append(row)
            with options.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print("\n".join(table([row])[2:]), flush=True)
    print("\n".join(["", *table(rows)]))


def run(
    text: str, seed: int, options: argparse.Namespace, datasets: dict[str, Dataset]
) -> dict[str, object]:
    """Train and evaluate one recipe."""
    data, encoder, name, epochs, *changes = text.split(",")
    if data not in datasets:
        whole = load_dataset(DATA if data in FIELDS else Path(data), fields=FIELDS.get(data))
        datasets[data] = held_out(whole) if options.held_out else whole
    dataset = datasets[data]
    settings = dict(change.split("=", maxsplit=1) for change in [*options.set, *changes])
    if epochs != "default":
        settings["encoder_stage.epochs"] = epochs
    settings["encoder.name"] = {
        "bag": f"bag:{options.minilm}",
        "minilm": options.minilm,
        "none": "none",
    }[encoder]
    recipe = getattr(recipes, name)().changed(settings)
    started, cpu = time.perf_counter(), time.process_time()
    model = Dexa(recipe, seed=seed, device=options.device).fit(dataset)
    trained, trained_cpu = time.perf_counter() - started, time.process_time() - cpu
    evaluation = model.evaluate(dataset)
    stages = ("encoder_stage", "classifier_stage")
    return {
        "run": text,
        "seed": seed,
        "device": str(torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"),
        "train_s": round(trained, 1),
        "train_cpu_s": round(trained_cpu, 1),
        "evaluate_s": round(time.perf_counter() - started - trained, 1),
        "stages_s": {
            stage: round(sum(r["seconds"] for r in model.model.history if r["stage"] == stage), 1)
            for stage in stages
        },
        # of the process until now: give each run one of its own
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "peak_gpu_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2)
        if torch.cuda.is_available()
        else 0,
        "scorers": evaluation.to_json()["scorers"],
    }


def split_off(dataset: Dataset, share: float = 0.1) -> Dataset:
    """Train without a tenth of its documents, which stand in for the test split."""
    assert dataset.train is not None
    out = np.random.default_rng(0).random(dataset.train.n_documents) < share
    train, test = (rows_of(dataset.train, np.flatnonzero(chosen)) for chosen in (~out, out))
    return replace(dataset, train=train, test=test)


def held_out(dataset: Dataset, share: float = 0.1) -> Dataset:
    """The same over the labels that train still has a document of, as in a real test split.

    Otherwise many of the labels held out could be such as nobody was trained on, and label texts
    would seem to be all.
    """
    split = split_off(dataset, share)
    assert split.train is not None
    split = over_labels(split, np.unique(split.train.labels.indices))
    train, test = (labelled(part) for part in (split.train, split.test) if part is not None)
    return replace(split, train=train, test=test)


def over_labels(dataset: Dataset, known: NDArray[np.integer]) -> Dataset:
    """The same documents with some of the labels alone."""
    texts, titles = (
        None if every is None else [every[label] for label in known]
        for every in (dataset.label_texts, dataset.label_titles)
    )
    train, test = (
        None if split is None else _over(split, known) for split in (dataset.train, dataset.test)
    )
    return replace(
        dataset, train=train, test=test, label_texts=texts, label_titles=titles, folder=None
    )


def labelled(split: Split) -> Split:
    """The documents of a split that have a label."""
    return rows_of(split, np.flatnonzero(np.diff(split.labels.indptr)))


def rows_of(split: Split, rows: NDArray[np.integer]) -> Split:
    """Some documents of a split."""
    assert split.texts is not None
    place = np.full(split.n_documents, -1)
    place[rows] = np.arange(len(rows))
    pairs = split.filter_pairs[place[split.filter_pairs[:, 0]] >= 0]
    return Split(
        labels=csr_array(split.labels[rows]),
        texts=[split.texts[row] for row in rows],
        filter_pairs=np.stack([place[pairs[:, 0]], pairs[:, 1]], axis=1),
    )


def _over(split: Split, known: NDArray[np.integer]) -> Split:
    place = np.full(split.n_labels, -1)
    place[known] = np.arange(len(known))
    pairs = split.filter_pairs
    pairs = np.stack([pairs[:, 0], place[pairs[:, 1]]], axis=1)[place[pairs[:, 1]] >= 0]
    return replace(split, labels=csr_array(split.labels[:, known]), filter_pairs=pairs)


def table(rows: list[dict]) -> list[str]:
    """Rows as a Markdown table."""
    costs = ["encoder s", "classifiers s", "train s", "CPU-s", "GiB"]
    head = ["run", "seed", "scorer", *METRICS, *costs]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        for scorer, figures in row["scorers"].items():
            values = [f"{figures[metric]:.2f}" for metric in METRICS]
            seconds = [row["stages_s"]["encoder_stage"], row["stages_s"]["classifier_stage"]]
            cells = [row["run"], row["seed"], scorer, *values, *seconds, row["train_s"]]
            cells += [row["train_cpu_s"], row["peak_gib"]]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


if __name__ == "__main__":
    main()
