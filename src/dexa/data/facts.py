"""What a data set is like, in numbers: the facts that ``dexa info`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dexa.data.dataset import Dataset, Split

_QUANTILES = {"min": 0.0, "median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
_HEADS = {"1%": 0.01, "10%": 0.1, "20%": 0.2}
_TAIL_POINTS = 5


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    """The facts of a data set, ready for JSON.

    Returns:
        A dictionary with

        * ``name``, ``fields``, ``labels`` (L);
        * ``label_texts``: words a text and duplicates, None without texts;
        * ``train``, ``test`` (None when absent): ``points`` (N), ``labels_per_point``,
            ``points_per_label``, ``points_without_labels``, ``labels_without_points``,
            ``filter_pairs``, ``texts`` (as ``label_texts``), ``head_share`` (part of the pairs of
            document and label that fall on the most frequent 1, 10 and 20 % of the labels) and
            ``tail`` (the labels with at most 5 points: part of the labels, part of the pairs);
        * ``test_labels_unseen_in_train`` and ``test_texts_in_train`` (None when unknown).

        Shares are from 0 to 1; lengths are in words between white space.
    """
    train, test = dataset.train, dataset.test
    return {
        "name": dataset.name,
        "fields": list(dataset.fields),
        "labels": dataset.n_labels,
        "label_texts": _text_facts(dataset.label_texts),
        "train": None if train is None else _split_facts(train),
        "test": None if test is None else _split_facts(test),
        "test_labels_unseen_in_train": _unseen(train, test),
        "test_texts_in_train": _shared(train, test),
    }


def _split_facts(split: Split) -> dict[str, Any]:
    n_points, n_labels, n_pairs = split.n_documents, split.n_labels, split.labels.nnz
    frequency = _points_per_label(split)
    return {
        "points": n_points,
        "labels_per_point": n_pairs / max(n_points, 1),
        "points_per_label": n_pairs / max(n_labels, 1),
        "points_without_labels": int((np.diff(split.labels.indptr) == 0).sum()),
        "labels_without_points": int((frequency == 0).sum()),
        "filter_pairs": len(split.filter_pairs),
        "texts": _text_facts(split.texts),
        "head_share": _head_share(frequency),
        "tail": _tail(frequency),
    }


def _points_per_label(split: Split) -> NDArray[np.int64]:
    return np.bincount(split.labels.indices, minlength=split.n_labels)


def _head_share(frequency: NDArray[np.int64]) -> dict[str, float]:
    descending = np.sort(frequency)[::-1]
    covered = np.cumsum(descending) / max(descending.sum(), 1)
    return {name: float(covered[int(np.ceil(s * len(covered))) - 1]) for name, s in _HEADS.items()}


def _tail(frequency: NDArray[np.int64]) -> dict[str, float]:
    rare = frequency <= _TAIL_POINTS
    return {
        "labels": float(rare.mean()),
        "pairs": float(frequency[rare].sum() / max(frequency.sum(), 1)),
    }


def _text_facts(texts: Sequence[str] | None) -> dict[str, Any] | None:
    if texts is None:
        return None
    words = np.fromiter((len(text.split()) for text in texts), np.int64, len(texts))
    quantiles = np.quantile(words, list(_QUANTILES.values()), method="lower")
    return {
        "words": {
            "mean": float(words.mean()),
            **{name: int(n) for name, n in zip(_QUANTILES, quantiles, strict=True)},
        },
        "empty": int((words == 0).sum()),
        "duplicates": len(texts) - len(set(texts)),
    }


def _unseen(train: Split | None, test: Split | None) -> int | None:
    """Labels with a test document but no train document."""
    if train is None or test is None:
        return None
    return int(((_points_per_label(test) > 0) & (_points_per_label(train) == 0)).sum())


def _shared(train: Split | None, test: Split | None) -> int | None:
    """Test documents whose text is also that of a train document."""
    if train is None or test is None or train.texts is None or test.texts is None:
        return None
    seen = set(train.texts)
    return sum(text in seen for text in test.texts)
