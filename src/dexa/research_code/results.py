"""What a run leaves in its results folder, in the research code's formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, save_npz

from dexa import metrics
from dexa.data import Split
from dexa.research_code.config import ResultsChoice
from dexa.storage import atomic_file
from dexa.types import TopK

_CUT_OFF = 5
_RULE = "-" * 30

# the research code's word for a block of log_eval.txt, and our scorer
_BLOCKS = {"classifier": "classifiers", "shortlist": "label_search", "fusion": "fusion"}


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What a run took.

    Attributes:
        train_seconds: of training, clustering included.
        model_megabytes: of the model folder, in MiB.
        milliseconds: to answer one test document, tokens given.
    """

    train_seconds: float
    model_megabytes: float
    milliseconds: float


def write_predictions(
    folder: Path,
    predictions: Mapping[str, TopK],
    filter_pairs: NDArray[np.int64],
    n_labels: int,
    *,
    kept: int,
) -> None:
    """Write the answers as CSR ``[N, L]``: those of both scorers as they are, fused ones filtered.

    Args:
        folder: of the results.
        predictions: answers for N documents by ``label_search``, ``classifiers`` and ``fusion``.
        filter_pairs: ``[F, 2]``, document and label, dropped from ``score.npz``.
        n_labels: number of labels L.
        kept: fused answers of a document in ``score.npz``.
    """
    fused = metrics.top_k(metrics.drop_pairs(predictions["fusion"], filter_pairs), kept)
    files = {
        "tst_predictions_knn.npz": predictions["label_search"],
        "tst_predictions_clf.npz": predictions["classifiers"],
        "score.npz": fused,
    }
    for name, answers in files.items():
        with atomic_file(folder / name) as draft, draft.open("wb") as file:
            save_npz(file, metrics.to_csr(answers, n_labels), compressed=False)


def evaluation_text(
    predictions: Mapping[str, TopK],
    test: Split,
    train_labels: csr_array,
    choice: ResultsChoice,
    facts: RunFacts,
) -> str:
    """The contents of ``log_eval.txt``.

    A block a scorer: its name, then P, nDCG, PSP and PSnDCG at 1 … 5, in per cent, after the
    filter; at the end what the run took.
    """
    weights = metrics.inverse_propensity(train_labels, choice.a, choice.b)
    lines = []
    for block, scorer in _BLOCKS.items():
        answers = metrics.drop_pairs(predictions[scorer], test.filter_pairs)
        found = metrics.evaluate(answers, test.labels, weights, _CUT_OFF)
        lines += [block, *(_row(found[name]) for name in ("P", "nDCG", "PSP", "PSnDCG"))]
    lines += [
        "",
        _RULE,
        f"Training time (sec): {facts.train_seconds:.2f}",
        f"Model size (MB): {facts.model_megabytes:.2f}",
        f"Avg. Prediction time (msec): {facts.milliseconds:.2f}",
        _RULE,
    ]
    return "\n".join(lines) + "\n\n\n"


def _row(values: NDArray[np.float64]) -> str:
    return ",".join(f"{100 * value:.2f}" for value in values)
