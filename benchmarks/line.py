"""The line of methods on the bundled data set, or on a part of it, with ablations.

    python benchmarks/line.py --labels 12000 --run siamesexml --run 'siamesexml++'
    python benchmarks/line.py --run 'deepxml;label_clusters.smoothed=false' --seeds 108 666 786

A run is ``RECIPE[;field=value…]``. Documents are a tenth of train that no run sees, or with
``--test`` the test split. With several seeds a run is an ensemble. A part of the data set has so
many labels, drawn at random, and the documents that have one of them. Every row is appended to
``--output`` as a line of JSON; a table of all scorers is printed at the end.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from accuracy import DATA, FIELDS, held_out, labelled, over_labels
from dexa import Dataset, Dexa, load_dataset
from dexa.cli.train import chosen_recipe
from dexa.training.devices import choose_device

METRICS = ("P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5", "R@10", "R@100")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", action="append", required=True)
    parser.add_argument("--fields", choices=list(FIELDS), default="titles")
    parser.add_argument("--labels", type=int, help="of a part of the data set")
    parser.add_argument("--test", action="store_true", help="figures of the test split")
    parser.add_argument("--seeds", type=int, nargs="+", default=[108])
    parser.add_argument("--encoder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("line.jsonl"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dataset = load_dataset(DATA, fields=FIELDS[options.fields])
    dataset = dataset if options.test else held_out(dataset)
    dataset = dataset if options.labels is None else part(dataset, options.labels)
    rows = []
    for text in options.run:
        rows.append(run(text, dataset, options))
        with options.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print("\n".join(table(rows[-1:])[2:]), flush=True)
    print("\n".join(["", *table(rows)]))


def run(text: str, dataset: Dataset, options: argparse.Namespace) -> dict[str, object]:
    """Train and evaluate one recipe."""
    name, *settings = text.split(";")
    recipe = chosen_recipe(name, options.encoder, settings)
    device = choose_device(options.device).type
    started, cpu = time.perf_counter(), time.process_time()
    model = Dexa(recipe, seed=options.seeds, device=options.device).fit(dataset)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
        size = sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file())
    fusion = model.model.fusion.tensors()
    return {
        "run": text,
        "seeds": options.seeds,
        "labels": dataset.n_labels,
        "device": torch.cuda.get_device_name() if device == "cuda" else "CPU",
        "train_s": round(seconds, 1),
        "train_cpu_s": round(cpu, 1),
        "mb": round(size / 2**20, 1),
        "weights": [round(w, 2) for w in fusion["weights"].tolist()] if "weights" in fusion else [],
        "losses": [round(record["loss"], 4) for record in model.model.history],
        "scorers": model.evaluate(dataset).to_json()["scorers"],
    }


def part(dataset: Dataset, labels: int) -> Dataset:
    """The data set of some of its labels, and of the documents that have one of them."""
    chosen = np.random.default_rng(1).permutation(dataset.n_labels)[:labels]
    kept = np.sort(chosen)
    dataset = over_labels(dataset, kept)
    train, test = (labelled(part) for part in (dataset.train, dataset.test) if part is not None)
    return replace(dataset, train=train, test=test)


def table(rows: list[dict]) -> list[str]:
    """Rows as a Markdown table."""
    head = ["run", "scorer", *METRICS, "train CPU s", "train s", "MB"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for row in rows:
        for scorer, figures in row["scorers"].items():
            values = [f"{figures[metric]:.2f}" for metric in METRICS]
            cells = [row["run"], scorer, *values, row["train_cpu_s"], row["train_s"], row["mb"]]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


if __name__ == "__main__":
    main()
