"""What a user would pick instead: other tools on any data set folder, one row of figures each.

    pip install omikuji bm25s napkinxc     # extras of this script, not of the project
    python benchmarks/peers.py further/FOLDOC datasets/LF-WordNet-98K --output peers.jsonl
    python benchmarks/peers.py datasets/LF-WordNet-98K --fields title --only bm25 tfidf

PECOS (``pip install libpecos "pyarrow<20"``) wants NumPy below 2, and so an environment of its own:
run the script there with ``--only pecos``. All linear tools see the same TF-IDF of words
(sub-linear, of train and label texts). Figures are those of the test split after its filter. Each
row runs in a process of its own, with one thread: seconds are CPU seconds, memory is the most that
it held.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from dexa import Dataset, load_dataset, metrics
from dexa.data import write_single_file
from dexa.types import NO_LABEL, TopK

DEPTH = 110  # 100 after the filter
CHUNK = 2_048
COLUMNS = ("P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5", "R@10", "R@100")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")

Answer = Callable[[], TopK]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A data set, and its texts as TF-IDF of words: rows of unit length."""

    dataset: Dataset
    train: csr_matrix
    test: csr_matrix
    labels: csr_matrix

    @property
    def truth(self) -> csr_matrix:
        """The labels of the training documents."""
        assert self.dataset.train is not None
        return csr_matrix(self.dataset.train.labels)


def tfidf(task: Task) -> Answer:
    """Cosine of a document to the label texts."""
    return lambda: best(lambda rows: csr_array(task.test[rows] @ task.labels.T), task)


def bm25(task: Task) -> Answer:
    """The best label texts for the words of a document, by bm25s with its defaults."""
    import bm25s

    search = bm25s.BM25()
    search.index(bm25s.tokenize(list(task.dataset.label_texts or ()), show_progress=False))

    def answer() -> TopK:
        assert task.dataset.test is not None
        words = bm25s.tokenize(
            list(task.dataset.test.texts or ()), return_ids=False, show_progress=False
        )
        k = min(DEPTH, task.dataset.n_labels)
        labels, scores = search.retrieve(words, k=k, show_progress=False)
        labels = np.where(scores > 0, labels, NO_LABEL).astype(np.int64)
        return TopK(labels=labels, scores=np.where(scores > 0, scores, -np.inf).astype(np.float32))

    return answer


def omikuji(task: Task, *, bonsai: bool, with_label_texts: bool = False) -> Answer:
    """Parabel is omikuji's default; Bonsai has wide, unbalanced, shallow trees (its README)."""
    from omikuji import Model

    settings = Model.default_hyper_param()
    if bonsai:
        settings.cluster_balanced, settings.cluster_k, settings.max_depth = False, 100, 3
    points = with_labels(task) if with_label_texts else (task.train, task.truth)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.txt"
        write_single_file(path, csr_array(points[0]), csr_array(points[1]))
        model = Model.train_on_data(str(path), settings, n_threads=1)

    def answer() -> TopK:
        rows = [
            model.predict(pairs(task.test, row), top_k=DEPTH) for row in range(task.test.shape[0])
        ]
        return padded(rows)

    return answer


def napkinxc(task: Task) -> Answer:
    """A probabilistic label tree with napkinXC's defaults."""
    from napkinxc.models import PLT

    folder = tempfile.TemporaryDirectory()  # goes when the model does
    model = PLT(folder.name, threads=1, tree_search_type="beam", seed=1)
    truth = task.truth
    ends = zip(truth.indptr, truth.indptr[1:], strict=False)
    model.fit(task.train, [truth.indices[start:end].tolist() for start, end in ends])

    def answer() -> TopK:
        model.load()
        rows = model.predict_proba(task.test, top_k=DEPTH)
        folder.cleanup()
        return padded(rows)

    return answer


def pecos(task: Task) -> Answer:
    """XR-Linear with PECOS's defaults: clusters of labels by their documents' words."""
    from pecos.xmc import Indexer, LabelEmbeddingFactory
    from pecos.xmc.xlinear.model import XLinearModel

    features = LabelEmbeddingFactory.create(task.truth, task.train, method="pifa")
    clusters = Indexer.gen(features)
    model = XLinearModel.train(task.train, task.truth, C=clusters, threads=1)
    k = min(DEPTH, task.dataset.n_labels)
    return lambda: metrics.top_k(csr_array(model.predict(task.test, only_topk=k, threads=1)), DEPTH)


PEERS: dict[str, Callable[[Task], Answer]] = {
    "tfidf": tfidf,
    "bm25": bm25,
    "parabel": lambda task: omikuji(task, bonsai=False),
    "bonsai": lambda task: omikuji(task, bonsai=True),
    "bonsai+labels": lambda task: omikuji(task, bonsai=True, with_label_texts=True),
    "napkinxc": napkinxc,
    "pecos": pecos,
}


def with_labels(task: Task) -> tuple[csr_matrix, csr_matrix]:
    """Training documents, and each label's text as one more document with that label."""
    from scipy.sparse import eye, vstack

    own = eye(task.dataset.n_labels, dtype=np.float32, format="csr")
    return csr_matrix(vstack([task.train, task.labels])), csr_matrix(vstack([task.truth, own]))


def pairs(matrix: csr_matrix, row: int) -> list[tuple[int, float]]:
    place = slice(matrix.indptr[row], matrix.indptr[row + 1])
    return list(zip(matrix.indices[place].tolist(), matrix.data[place].tolist(), strict=True))


def padded(rows: list[list[tuple[int, float]]]) -> TopK:
    """Answers of different number, best first, as one `TopK`."""
    labels = np.full((len(rows), DEPTH), NO_LABEL)
    scores = np.full((len(rows), DEPTH), -np.inf, np.float32)
    for place, found in enumerate(rows):
        row = sorted(found, key=lambda pair: -pair[1])[:DEPTH]
        labels[place, : len(row)] = [label for label, _ in row]
        scores[place, : len(row)] = [score for _, score in row]
    return TopK(labels=labels, scores=scores)


def best(opinions: Callable[[slice], csr_array], task: Task) -> TopK:
    """The best labels by a matrix of scores, some rows at once."""
    tops = [
        metrics.top_k(opinions(slice(start, start + CHUNK)), DEPTH)
        for start in range(0, task.test.shape[0], CHUNK)
    ]
    return TopK(
        labels=np.concatenate([top.labels for top in tops]),
        scores=np.concatenate([top.scores for top in tops]),
    )


def figures(top: TopK, dataset: Dataset) -> dict[str, float]:
    """P, PSP and R in percent, after the filter."""
    assert dataset.train is not None
    assert dataset.test is not None
    constants = metrics.propensity_constants(dataset.name)
    weights = metrics.inverse_propensity(dataset.train.labels, *constants)
    top = metrics.drop_pairs(top, dataset.test.filter_pairs)
    values = metrics.evaluate(top, dataset.test.labels, weights, k=100)
    cells: dict[str, NDArray[np.float64]] = {name: 100 * values[name] for name in ("P", "PSP", "R")}
    return {
        column: round(float(cells[name][int(k) - 1]), 2)
        for column in COLUMNS
        for name, k in [column.split("@")]
    }


def task_of(dataset: Dataset) -> Task:
    """The features that all linear tools share."""
    assert dataset.train is not None
    assert dataset.test is not None
    texts = [list(part or ()) for part in (dataset.train.texts, dataset.test.texts)]
    label_texts = list(dataset.label_texts or ())
    words = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, token_pattern=r"(?u)\b\w+\b")
    words.fit(texts[0] + label_texts)
    train, test, labels = (csr_matrix(words.transform(part)) for part in (*texts, label_texts))
    return Task(dataset=dataset, train=train, test=test, labels=labels)


def measure(folder: Path, fields: tuple[str, ...] | None, name: str) -> dict[str, Any]:
    """One row, in this process."""
    dataset = load_dataset(folder, fields=fields)
    task = task_of(dataset)
    started = time.process_time()
    answer = PEERS[name](task)
    trained = time.process_time() - started
    top = answer()
    answered = time.process_time() - started - trained
    return {
        "data": dataset.name,
        "fields": list(dataset.fields),
        "peer": name,
        **figures(top, dataset),
        "train_cpu_s": round(trained, 1),
        "cpu_ms_a_document": round(1_000 * answered / len(top), 3),
    }


def in_a_process(folder: Path, fields: list[str] | None, name: str) -> dict[str, Any]:
    """One row, with the memory that its process held at most."""
    command = [sys.executable, __file__, str(folder), "--row", name]
    command += ["--fields", *fields] if fields else []
    environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as noise:
        process = subprocess.Popen(command, stdout=output, stderr=noise, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        noise.seek(0)
        lines = output.read().splitlines()
        if process.returncode:
            sys.exit(f"{name} failed on {folder}:\n{noise.read()[-2_000:]}")
    return {**json.loads(lines[-1]), "gib": round(usage.ru_maxrss / 2**20, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--fields", nargs="+", choices=["title", "content"])
    parser.add_argument("--only", nargs="+", choices=list(PEERS))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--row", choices=list(PEERS), help="measure this one here, print JSON")
    options = parser.parse_args()
    if options.row:
        fields = tuple(options.fields) if options.fields else None
        print(json.dumps(measure(options.folders[0], fields, options.row)))
        return
    head = ["data", "peer", *COLUMNS, "train CPU-s", "CPU ms/doc", "GiB"]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    for folder in options.folders:
        for name in options.only or [name for name in PEERS if name != "pecos"]:
            row = in_a_process(folder, options.fields, name)
            keys = ["data", "peer", *COLUMNS, "train_cpu_s", "cpu_ms_a_document", "gib"]
            print("| " + " | ".join(str(row[key]) for key in keys) + " |", flush=True)
            if options.output:
                with options.output.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
