"""Recall of each index against its queries a CPU-second.

    python benchmarks/index.py MODEL_DIR --queries 2000 --chart recall.svg

Vectors are the label embeddings and the classifiers of a model; queries are its vectors of test
documents of the bundled data set. Right are the answers of exact search. Approximate indexes are
measured at several efforts, those of the model if it has any, else built now.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from accuracy import DATA, FIELDS
from dexa import Dexa, load_dataset
from dexa.index import ExactIndex, FaissIndex, PqIndex
from dexa.types import CLASSIFIERS, LABEL_SEARCH, Index, TopK

EFFORTS = {PqIndex: (300, 400, 600), FaissIndex: (200, 300, 400, 600)}
K = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--chart", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = Dexa.load(options.model, device="cpu").model
    test = load_dataset(DATA, fields=FIELDS["titles"]).test
    assert test is not None
    assert test.texts is not None
    queries = model.encode_documents(test.texts[: options.queries])
    columns = ("vectors", "index", "effort", "R@10", "R@100", "queries a CPU-s", "CPU-ms of one")
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    curves = {}
    for name in (LABEL_SEARCH, CLASSIFIERS):
        index = model.scorers.indexes()[name]
        curves[name] = measured(name, index, queries)
    if options.chart is not None:
        draw(curves, options.chart)


def measured(name: str, index: Index, queries: torch.Tensor) -> dict[str, list]:
    """Recall@100 and queries a CPU-second of each index, by effort."""
    exact = ExactIndex(index.vectors)
    right, speed, single = asked(exact, queries)
    row(name, "exact", "", right, right, speed, single)
    points: dict[str, list] = {"exact": [(1.0, speed)]}
    for kind, efforts in EFFORTS.items():
        started = time.process_time()
        made = index if isinstance(index, kind) else kind(index.vectors)
        built = time.process_time() - started
        points[kind.kind] = []
        for effort in efforts:
            made.effort = effort
            found, speed, single = asked(made, queries)
            row(name, kind.kind, str(effort), found, right, speed, single)
            points[kind.kind].append((recall(found, right, K), speed))
        if built > 1:
            print(f"| {name} | {kind.kind} was built in {built:.0f} CPU-s |||||", flush=True)
    return points


def asked(index: Index, queries: torch.Tensor) -> tuple[TopK, float, float]:
    started = time.process_time()
    found = index.search(queries, K)
    speed = len(queries) / (time.process_time() - started)
    times = []
    for query in queries[:200].split(1):
        started = time.process_time()
        index.search(query, K)
        times.append(time.process_time() - started)
    return found, speed, 1000 * float(np.median(times))


def recall(found: TopK, right: TopK, k: int) -> float:
    pairs = zip(found.labels[:, :k], right.labels[:, :k], strict=True)
    return float(np.mean([len(set(a) & set(b)) / k for a, b in pairs]))


def row(
    name: str, kind: str, effort: str, found: TopK, right: TopK, speed: float, single: float
) -> None:
    figures = [f"{recall(found, right, k):.4f}" for k in (10, K)]
    cells = [name, kind, effort, *figures, f"{speed:,.0f}", f"{single:.2f}"]
    print("| " + " | ".join(cells) + " |", flush=True)


def draw(curves: dict[str, dict[str, list]], path: Path) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for name, kinds in curves.items():
        for kind, points in kinds.items():
            axes.plot(*zip(*points, strict=True), marker="o", label=f"{name}, {kind}")
    axes.set(xlabel="recall@100", ylabel="queries a CPU-second", yscale="log")
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()
