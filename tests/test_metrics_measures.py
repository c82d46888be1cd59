"""The metrics of pyxclib and beyond against loops over single documents, and by hand."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.metrics import f1_score

from dexa import metrics
from dexa.errors import DataError
from dexa.metrics import per_document
from dexa.types import NO_LABEL
from test_metrics import SEEDS, mean, random_ids, random_truth, true_sets

Rows = list[list[int]]
Sets = list[set[int]]
SCALAR = st.integers(1, 7)


# Naive references: plain loops, straight from the formulae.


def naive_hits(rows: Rows, sets: Sets, k: int) -> float:
    return mean([float(any(i in y for i in row[:k])) for row, y in zip(rows, sets, strict=True)])


def naive_micro_recall(rows: Rows, sets: Sets, k: int) -> float:
    found = sum(sum(i in y for i in row[:k]) for row, y in zip(rows, sets, strict=True))
    return found / max(1, sum(map(len, sets)))


def naive_auc(rows: Rows, sets: Sets, k: int) -> float:
    values = []
    for row, y in zip(rows, sets, strict=True):
        right = [i in y for i in row[:k]] + [False] * (k - len(row))
        pairs = [(r, s) for r in range(k) for s in range(k) if right[r] and not right[s]]
        values.append(sum(r < s for r, s in pairs) / max(1, len(pairs)))
    return mean(values)


def naive_f1(rows: Rows, sets: Sets, k: int, n_labels: int) -> tuple[float, float]:
    """Macro and micro."""
    both, one = [0] * n_labels, [0] * n_labels
    for row, y in zip(rows, sets, strict=True):
        answered = {i for i in row[:k] if i != NO_LABEL}
        for label in range(n_labels):
            both[label] += 2 * (label in answered and label in y)
            one[label] += (label in answered) + (label in y)
    macro = mean([b / max(1, o) for b, o in zip(both, one, strict=True)])
    return macro, sum(both) / max(1, sum(one))


def naive_jaccard(rows: Rows, others: Rows, k: int, sets: Sets | None = None) -> float:
    values = []
    for number, (row, other) in enumerate(zip(rows, others, strict=True)):
        a, b = set(row[:k]) - {NO_LABEL}, set(other[:k]) - {NO_LABEL}
        if sets is not None:
            a, b = a & sets[number], b & sets[number]
        values.append(len(a & b) / max(1, len(a | b)))
    return mean(values)


def naive_by_document(
    rows: Rows, sets: Sets, weights: list[float], k: int, gain: Callable[[int, set[int]], float]
) -> float:
    """Weights of right answers times `gain(rank, true labels)`, by the best possible."""
    reached = possible = 0.0
    for row, y in zip(rows, sets, strict=True):
        reached += sum(weights[i] * gain(r, y) for r, i in enumerate(row[:k]) if i in y)
        best = sorted((weights[i] for i in y), reverse=True)[:k]
        possible += sum(w * gain(r, y) for r, w in enumerate(best))
    return reached / possible if possible else 0.0


@settings(max_examples=60)
@given(seed=SEEDS, n=st.integers(1, 6), n_labels=st.integers(1, 9), k=SCALAR)
def test_metrics_agree_with_loops(seed: int, n: int, n_labels: int, k: int) -> None:
    draw = np.random.default_rng(seed)
    truth = random_truth(draw, n, n_labels)
    ids = random_ids(draw, n, n_labels, int(draw.integers(1, n_labels + 1)))
    others = random_ids(draw, n, n_labels, int(draw.integers(1, n_labels + 1)))
    weights = 1 + draw.random(n_labels) * 10
    rows, sets, cuts = ids.tolist(), true_sets(truth), range(1, k + 1)

    def ideal(y: set[int], c: int) -> float:
        return sum(1 / math.log2(r + 2) for r in range(min(len(y), c)))

    def agree(values: np.ndarray, expected: list[float]) -> None:
        assert values.shape == (k,)
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9)

    agree(metrics.hits(ids, truth, k), [naive_hits(rows, sets, c) for c in cuts])
    agree(metrics.abandonment(ids, truth, k), [1 - naive_hits(rows, sets, c) for c in cuts])
    agree(metrics.micro_recall(ids, truth, k), [naive_micro_recall(rows, sets, c) for c in cuts])
    agree(metrics.auc(ids, truth, k), [naive_auc(rows, sets, c) for c in cuts])
    f1 = [naive_f1(rows, sets, c, n_labels) for c in cuts]
    agree(metrics.macro_f1(ids, truth, k), [macro for macro, _ in f1])
    agree(metrics.micro_f1(ids, truth, k), [micro for _, micro in f1])
    agree(metrics.jaccard(ids, others, k), [naive_jaccard(rows, others.tolist(), c) for c in cuts])
    agree(
        metrics.jaccard(ids, others, k, truth),
        [naive_jaccard(rows, others.tolist(), c, sets) for c in cuts],
    )
    agree(
        metrics.ps_recall(ids, truth, weights, k),
        [naive_by_document(rows, sets, weights, c, lambda _, y: 1 / len(y)) for c in cuts],
    )
    agree(
        metrics.psndcg(ids, truth, weights, k, by_size=True),
        [
            naive_by_document(
                rows, sets, weights, c, lambda r, y, c=c: 1 / math.log2(r + 2) / ideal(y, c)
            )
            for c in cuts
        ],
    )


@settings(max_examples=60)
@given(seed=SEEDS, n=st.integers(1, 6), n_labels=st.integers(1, 9))
def test_recall_at_truth_agrees_with_loops(seed: int, n: int, n_labels: int) -> None:
    draw = np.random.default_rng(seed)
    truth = random_truth(draw, n, n_labels)
    ids = random_ids(draw, n, n_labels, n_labels)
    sets = true_sets(truth)
    found = [len(y & set(row[: len(y)])) for row, y in zip(ids.tolist(), sets, strict=True)]
    macro = mean([f / max(1, len(y)) for f, y in zip(found, sets, strict=True)])
    micro = sum(found) / max(1, sum(map(len, sets)))
    top = metrics.top_k(ids, n_labels)
    scores = np.where(ids == NO_LABEL, -np.inf, top.scores)
    mapping = {"indices": ids, "scores": scores}
    for predictions in (ids, top, metrics.to_csr(top, n_labels), mapping):
        assert metrics.recall_at_truth(predictions, truth) == pytest.approx(macro)
        assert metrics.micro_recall_at_truth(predictions, truth) == pytest.approx(micro)


@settings(max_examples=60)
@given(seed=SEEDS, n=st.integers(1, 6), n_labels=st.integers(1, 9), k=SCALAR)
def test_evaluate_and_per_document_agree_with_single_metrics(seed, n, n_labels, k) -> None:
    draw = np.random.default_rng(seed)
    truth = random_truth(draw, n, n_labels)
    ids = random_ids(draw, n, n_labels, n_labels)
    weights = 1 + draw.random(n_labels) * 10
    values = metrics.evaluate(ids, truth, weights, k)
    assert list(metrics.evaluate(ids, truth, k=k)) == ["P", "nDCG", "R", "hits"]
    for name in ("precision", "ndcg", "recall", "hits", "psp", "psndcg", "ps_recall"):
        key = {"precision": "P", "ndcg": "nDCG", "recall": "R", "ps_recall": "PSR"}.get(
            name, {"psp": "PSP", "psndcg": "PSnDCG"}.get(name, name)
        )
        extra = (weights,) if name.startswith("ps") else ()
        expected = getattr(metrics, name)(ids, truth, *extra, k)
        assert values[key].tolist() == expected.tolist()
        if name in ("precision", "ndcg", "recall", "psp"):
            each = getattr(per_document, name)(ids, truth, *extra, k)
            assert each.reached.shape == each.possible.shape == (n, k)
            np.testing.assert_allclose(each.metric, expected, atol=1e-12)
            for row in range(n):
                one = getattr(metrics, name)(ids[row : row + 1], truth[[row]], *extra, k)
                np.testing.assert_allclose(each.values[row], one, atol=1e-12)
            assert each.at(k, 1).reached.tolist() == each.reached[:, [k - 1, 0]].tolist()


def test_figures_of_pyxclib() -> None:
    """Recorded from its definitions, worked out apart from this code; no scores are equal."""
    truth = csr_array(np.array([[1, 1, 0, 0, 1, 0], [0, 0, 0, 1, 0, 0], [0, 1, 1, 0, 0, 0]]))
    scores = np.array(
        [
            [0.9, 0.1, 0.8, 0.2, 0.7, 0.3],
            [0.5, 0.4, 0.9, 0.6, 0.2, 0.1],
            [0.1, 0.2, 0.3, 0.9, 0.8, 0.7],
        ]
    )
    weights = np.array([1.5, 2.0, 4.0, 3.0, 2.5, 1.0])
    third, fourth = 1 / math.log2(3), 0.5
    np.testing.assert_allclose(metrics.precision(scores, truth, 3), [1 / 3, 2 / 6, 3 / 9])
    np.testing.assert_allclose(
        metrics.ndcg(scores, truth, 3),
        [1 / 3, (1 / (1 + third) + third) / 3, ((1 + fourth) / (1.5 + third) + third) / 3],
    )
    np.testing.assert_allclose(
        metrics.psp(scores, truth, weights, 3), [1.5 / 9.5, 4.5 / 13.5, 7 / 15]
    )
    np.testing.assert_allclose(
        metrics.psndcg(scores, truth, weights, 2, by_size=True)[1],
        (1.5 / (1 + third) + 3 * third)
        / ((2.5 + 2 * third) / (1 + third) + 3 + (4 + 2 * third) / (1 + third)),
    )
    np.testing.assert_allclose(
        metrics.ps_recall(scores, truth, weights, 2),
        [(1.5 / 3) / (2.5 / 3 + 3 + 2), (1.5 / 3 + 3) / (4.5 / 3 + 3 + 3)],
    )
    np.testing.assert_allclose(metrics.auc(scores, truth, 3), [0, 1 / 3, (0.5 + 0.5) / 3])
    assert metrics.recall_at_truth(scores, truth) == pytest.approx((2 / 3 + 0 + 0) / 3)
    assert metrics.micro_recall_at_truth(scores, truth) == pytest.approx(2 / 6)


def test_f1_agrees_with_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    truth = csr_array((draw.random((40, 12)) < 0.2).astype(np.float32))
    ids = random_ids(draw, 40, 12, 3)
    answered = np.zeros((40, 13), dtype=int)
    np.put_along_axis(answered, ids, 1, axis=1)  # NO_LABEL falls into the last column
    for name in ("macro", "micro"):
        expected = f1_score(truth.toarray(), answered[:, :12], average=name, zero_division=0)
        assert getattr(metrics, f"{name}_f1")(ids, truth, 3)[2] == pytest.approx(expected)


def test_area_over_all_labels_is_the_share_of_pairs_in_order() -> None:
    truth = csr_array(np.array([[1, 0, 1, 0]]))
    scores = np.array([[0.9, 0.8, 0.7, 0.6]])
    assert metrics.auc(scores, truth, 4)[3] == pytest.approx(3 / 4)
    assert metrics.auc(scores, csr_array(np.ones((1, 4))), 4).tolist() == [0, 0, 0, 0]


def test_nothing_true_and_nothing_answered_give_zero() -> None:
    ids, weights = np.array([[0, 1]]), np.ones(2)
    nothing = csr_array((1, 2))
    for predictions, truth in ((ids, nothing), (nothing, csr_array(np.array([[1, 1]])))):
        for metric in ("hits", "micro_recall", "auc", "macro_f1", "micro_f1"):
            assert getattr(metrics, metric)(predictions, truth, 3).tolist() == [0, 0, 0]
        assert metrics.abandonment(predictions, truth, 3).tolist() == [1, 1, 1]
        assert metrics.ps_recall(predictions, truth, weights, 3).tolist() == [0, 0, 0]
        assert metrics.psndcg(predictions, truth, weights, 3, by_size=True).tolist() == [0, 0, 0]
        assert metrics.recall_at_truth(predictions, truth) == 0
        assert metrics.micro_recall_at_truth(predictions, truth) == 0
        assert per_document.psp(predictions, truth, weights).metric.tolist() == [0] * 5
    assert metrics.jaccard(nothing, nothing, 2).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.array([[0], [1]]), np.array([[0]]), "for 2 documents, others for 1"),
        (np.array([[1, 0, 1]]), np.array([[0]]), "document 0 is answered with label 1 twice"),
        (np.empty((0, 1), int), np.empty((0, 1), int), "for 0 documents"),
    ],
)
def test_sets_that_cannot_be_compared_are_refused(first, second, message: str) -> None:
    with pytest.raises(DataError, match=message):
        metrics.jaccard(first, second)


def test_many_metrics_at_the_size_of_amazon_titles_are_fast_from_csr() -> None:
    n, n_labels, width, nnz = 134_835, 131_073, 100, 284_746
    draw = np.random.default_rng(0)
    cells = (draw.integers(0, n, nnz), draw.integers(0, n_labels, nnz))
    truth = csr_array((np.ones(nnz, dtype=np.float32), cells), shape=(n, n_labels))
    ids = np.tile(np.arange(width, dtype=np.int32) * 1283, n)
    ends = np.arange(n + 1, dtype=np.int32) * width
    scores = draw.random(n * width, dtype=np.float32)
    predictions = csr_array((scores, ids, ends), shape=(n, n_labels))
    start = time.process_time()
    metrics.evaluate(predictions, truth, np.ones(n_labels))
    assert time.process_time() - start < 1.0  # 0.1 on an idle machine
