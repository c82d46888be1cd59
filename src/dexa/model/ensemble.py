"""Answers of models that differ in their seed become one answer (DeepXML: the sum over seeds)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from dexa import metrics
from dexa.types import NO_LABEL, TopK

_LEAST = 1e-6  # a label that a model answers last still counts as answered


def summed(answers: Sequence[TopK], n_labels: int, k: int) -> TopK:
    """The k labels of the highest sum of scores.

    A label that a model does not answer counts as much as the last one that it does.

    Args:
        answers: of each model to the same texts, ``[B, K]``.
        n_labels: L.
        k: answers a text.
    """
    total = csr_array((len(answers[0]), n_labels), dtype=np.float32)
    base = np.zeros((len(answers[0]), 1), np.float32)
    for top in answers:
        answered = top.labels != NO_LABEL
        last = np.where(answered, top.scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
        last[np.isinf(last)] = 0
        above = np.where(answered, top.scores - last + _LEAST, -np.inf).astype(np.float32)
        total = csr_array(total + metrics.to_csr(TopK(labels=top.labels, scores=above), n_labels))
        base += last.astype(np.float32)
    best = metrics.top_k(total, k)
    return TopK(
        labels=best.labels,
        scores=best.scores + base,
        label_texts=answers[0].label_texts,
    )
