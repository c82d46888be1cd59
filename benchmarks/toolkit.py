"""The field's toolkit beside other tools: CPU-seconds and memory on synthetic data.

    python benchmarks/toolkit.py metrics
    python benchmarks/toolkit.py metrics --documents 10000

Sections:

* ``metrics``: P, nDCG, PSP and PSnDCG at 1 … 5 of the test split of LF-AmazonTitles-131K with 100
  answers a document, beside pyxclib when it is installed; then nDCG and macro F1 on few documents,
  beside scikit-learn, and ranx when it is installed.

Each row of the first table runs in a process of its own. Its first call counts whatever is compiled
or loaded late; imports are not counted. Memory is what the call allocates at most, beyond the
predictions, as tracemalloc sees it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

LABELS = 131_073
TRUE_PAIRS = 284_746 / 134_835  # true labels a document
A, B = 0.6, 2.6  # Amazon's


@dataclass(frozen=True)
class Answers:
    """Random answers, all scores of a document different, with a right one for most documents."""

    ids: NDArray[np.int32]  # [N, K], best first
    scores: NDArray[np.float32]
    truth: csr_array

    def csr(self, *, ordered: bool = True) -> csr_array:
        """As CSR; ids ascending, or best first."""
        n, width = self.ids.shape
        ends = np.arange(n + 1, dtype=np.int32) * width
        parts = (self.scores.reshape(-1), self.ids.reshape(-1), ends)
        matrix = csr_array(parts, shape=self.truth.shape)
        return matrix.sorted_indices() if ordered else matrix


def make_answers(documents: int, width: int) -> Answers:
    draw = np.random.default_rng(0)
    pairs = round(documents * TRUE_PAIRS)
    cells = (draw.integers(0, documents, pairs), draw.integers(0, LABELS, pairs))
    truth = csr_array((np.ones(pairs, dtype=np.float32), cells), shape=(documents, LABELS))
    truth.data[:] = 1
    first = draw.integers(0, LABELS, (documents, 1), dtype=np.int32)
    ids = ((first + np.arange(width, dtype=np.int32) * 1283) % LABELS).astype(np.int32)
    labelled = np.flatnonzero(np.diff(truth.indptr))
    label = truth.indices[truth.indptr[labelled]]
    fresh = ~(ids[labelled] == label[:, None]).any(axis=1)
    rank = draw.integers(0, min(width, 20), len(labelled))
    ids[labelled[fresh], rank[fresh]] = label[fresh]
    scores = np.tile(np.arange(width, 0, -1, dtype=np.float32) / (width + 1), (documents, 1))
    return Answers(ids=ids, scores=scores, truth=truth)


# What is measured: each takes its imports, makes its input, and returns the call.


def dexa_evaluate(form: str) -> Callable[[Answers, NDArray], Callable[[], list]]:
    def prepare(answers: Answers, weights: NDArray) -> Callable[[], list]:
        from dexa.metrics import evaluate

        predictions = as_form(answers, form)

        def call() -> list:
            values = evaluate(predictions, answers.truth, weights)
            return [values[name].tolist() for name in ("P", "nDCG", "PSP", "PSnDCG")]

        return call

    return prepare


def dexa_one_by_one(form: str) -> Callable[[Answers, NDArray], Callable[[], list]]:
    def prepare(answers: Answers, weights: NDArray) -> Callable[[], list]:
        from dexa.metrics import ndcg, precision, psndcg, psp

        predictions, truth = as_form(answers, form), answers.truth

        def call() -> list:
            plain = [metric(predictions, truth).tolist() for metric in (precision, ndcg)]
            scored = [metric(predictions, truth, weights).tolist() for metric in (psp, psndcg)]
            return plain + scored

        return call

    return prepare


def dexa_as_pyxclib(answers: Answers, weights: NDArray) -> Callable[[], list]:
    """From a `TopK`, PSnDCG by pyxclib's definition."""
    from dexa.metrics import ndcg, precision, psndcg, psp, top_k

    matrix, truth = answers.csr(), answers.truth

    def call() -> list:
        top = top_k(matrix, 5)
        plain = [metric(top, truth).tolist() for metric in (precision, ndcg)]
        scored = psp(top, truth, weights), psndcg(top, truth, weights, by_size=True)
        return plain + [values.tolist() for values in scored]

    return call


def pyxclib(form: str) -> Callable[[Answers, NDArray], Callable[[], list]]:
    def prepare(answers: Answers, weights: NDArray) -> Callable[[], list]:
        from xclib.evaluation.xc_metrics import Metrics  # pyright: ignore[reportMissingImports]

        predictions = csr_matrix(answers.csr()) if form == "csr" else answers.ids
        metrics = Metrics(csr_matrix(answers.truth), weights)

        def call() -> list:
            values = metrics.eval(predictions, K=5, sorted=form != "csr")
            return [np.ravel(family).tolist() for family in values]

        return call

    return prepare


ROWS: dict[str, Callable[[Answers, NDArray], Callable[[], list]]] = {
    "dexa evaluate, CSR": dexa_evaluate("csr"),
    "dexa evaluate, CSR, ids not in order": dexa_evaluate("unordered"),
    "dexa evaluate, ids": dexa_evaluate("ids"),
    "dexa evaluate, indices and scores": dexa_evaluate("mapping"),
    "dexa, four functions, CSR": dexa_one_by_one("csr"),
    "dexa, four functions, ids": dexa_one_by_one("ids"),
    "dexa, top_k of CSR, as pyxclib": dexa_as_pyxclib,
    "pyxclib, CSR": pyxclib("csr"),
    "pyxclib, ids": pyxclib("ids"),
}


def as_form(answers: Answers, form: str) -> Any:
    if form == "ids":
        return answers.ids
    if form == "mapping":
        return {"indices": answers.ids, "scores": answers.scores}
    return answers.csr(ordered=form == "csr")


def measure(name: str, documents: int, width: int) -> dict[str, Any]:
    """One row, in this process."""
    from dexa.metrics import inverse_propensity

    answers = make_answers(documents, width)
    call = ROWS[name](answers, inverse_propensity(answers.truth, A, B))
    seconds = []
    for _ in range(2):
        start = time.process_time()
        values = call()
        seconds.append(time.process_time() - start)
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    size = answers.ids.nbytes + (0 if name.endswith(", ids") else answers.scores.nbytes)
    return {"seconds": seconds, "values": values, "peak": peak, "size": size}


def metrics_section(documents: int, width: int) -> None:
    print(f"P, nDCG, PSP, PSnDCG at 1 to 5; {documents} × top-{width} over {LABELS} labels")
    print(f"{'':38} first CPU-s   later   MB beyond predictions (of MB)")
    rows = {}
    for name in ROWS:
        if name.startswith("pyxclib") and find_spec("xclib") is None:
            print(f"{name:38} not installed")
            continue
        shape = ["--documents", str(documents), "--answers", str(width)]
        command = [sys.executable, __file__, "metrics", "--row", name, *shape]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        row = rows[name] = json.loads(output.splitlines()[-1])
        first, later = row["seconds"]
        memory = f"{row['peak'] / 1e6:8.1f} ({row['size'] / 1e6:.1f})"
        print(f"{name:38} {first:11.3f} {later:7.3f} {memory}")
    if "pyxclib, CSR" in rows:
        pair = (
            np.array(rows[name]["values"])
            for name in ("dexa, top_k of CSR, as pyxclib", "pyxclib, CSR")
        )
        print(f"largest difference from pyxclib: {np.abs(np.subtract(*pair)).max():.2g}")
    beside_dense_tools()


def beside_dense_tools(documents: int = 2000, n_labels: int = 5000) -> None:
    """Where scikit-learn and ranx overlap: few documents, scores of all labels."""
    from sklearn.metrics import f1_score, ndcg_score

    from dexa.metrics import macro_f1, ndcg, top_k

    draw = np.random.default_rng(0)
    scores = draw.random((documents, n_labels))
    dense = draw.random(scores.shape) < 2 / n_labels
    dense[np.arange(documents), draw.integers(0, n_labels, documents)] = True  # ranx wants one each
    scores += dense * 0.3
    truth = csr_array(dense.astype(np.float32))
    answered = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(answered, top_k(scores, 5).labels, True, axis=1)
    print(f"\nnDCG@5 and macro F1@5; {documents} × {n_labels} scores")
    timed("dexa ndcg", lambda: ndcg(scores, truth)[4])
    timed("scikit-learn ndcg_score", lambda: ndcg_score(dense, scores, k=5))
    if find_spec("ranx") is None:
        print(f"{'ranx ndcg':38} not installed")
    else:
        beside_ranx(scores, truth)
    timed("dexa macro_f1", lambda: macro_f1(scores, truth)[4])
    sparse = csr_array(answered)
    timed(
        "scikit-learn f1_score, of CSR",
        lambda: f1_score(csr_array(dense), sparse, average="macro", zero_division=0),
    )


def beside_ranx(scores: NDArray[np.float64], truth: csr_array) -> None:
    """Of the 100 best answers of each document; its own structures are made before the clock."""
    from ranx import Qrels, Run, evaluate  # pyright: ignore[reportMissingImports]

    from dexa.metrics import top_k

    top = top_k(scores, 100)
    rows = zip(top.labels.tolist(), top.scores.tolist(), strict=True)
    run = {
        str(i): {str(label): score for label, score in zip(*row, strict=True)}
        for i, row in enumerate(rows)
    }
    true = {str(i): {str(label): 1 for label in truth[[i]].indices} for i in range(len(top))}
    answers, wanted = Run(run), Qrels(true)
    timed("ranx ndcg, of 100 answers", lambda: evaluate(wanted, answers, "ndcg@5"))


def timed(name: str, call: Callable[[], Any]) -> None:
    start = time.process_time()
    value = call()
    print(f"{name:38} {time.process_time() - start:11.3f}   value {float(value):.6f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("section", choices=["metrics"])
    parser.add_argument("--documents", type=int, default=134_835)
    parser.add_argument("--answers", type=int, default=100)
    parser.add_argument("--row", choices=list(ROWS), help="measure this one, print JSON")
    given = parser.parse_args()
    if given.row is not None:
        print(json.dumps(measure(given.row, given.documents, given.answers)))
    else:
        metrics_section(given.documents, given.answers)


if __name__ == "__main__":
    main()
