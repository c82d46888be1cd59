"""The forms that predictions come in, ranked as a stable sort ranks them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from dexa import metrics
from dexa.errors import DataError
from dexa.types import NO_LABEL
from test_metrics import SEEDS, random_ids, random_truth


@settings(max_examples=80)
@given(
    seed=SEEDS,
    n=st.integers(0, 8),
    n_labels=st.integers(1, 40),
    k=st.sampled_from([1, 2, 5, 16, 17, 30]),
    cells=st.sampled_from([1, 50, 1 << 17]),
)
def test_ragged_rows_in_any_order(seed: int, n: int, n_labels: int, k: int, cells: int) -> None:
    """CSR of rows of any length, and the mapping, with many equal scores and any order of ids."""
    draw = np.random.default_rng(seed)
    ids = random_ids(draw, n, n_labels, n_labels)
    scores = draw.integers(-2, 3, ids.shape).astype(np.float32)
    scores[draw.random(ids.shape) < 0.1] = -np.inf
    present = ids != NO_LABEL
    expected = np.full((n, k), NO_LABEL)
    for row in range(n):
        kept = [c for c in range(n_labels) if present[row, c] and scores[row, c] > -np.inf]
        kept.sort(key=lambda c: (-scores[row, c], ids[row, c]))
        expected[row, : min(k, len(kept))] = ids[row, kept[:k]]
    ends = np.concatenate([[0], np.cumsum(present.sum(axis=1))])
    matrix = csr_array((scores[present], ids[present], ends), shape=(n, n_labels))
    before = [part.copy() for part in (ids, scores, matrix.data, matrix.indices)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dexa.metrics.ranking._CELLS", cells)
        for predictions in (matrix, matrix.sorted_indices(), {"indices": ids, "scores": scores}):
            top = metrics.top_k(predictions, k)
            assert top.labels.tolist() == expected.tolist()
            assert top.labels.dtype == np.int64
            assert ((top.scores == -np.inf) == (expected == NO_LABEL)).all()
    for part, old in zip((ids, scores, matrix.data, matrix.indices), before, strict=True):
        np.testing.assert_array_equal(part, old)  # pyxclib sorts what it is given


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint32, np.int32, np.int64])
def test_ids_of_any_integer_type(kind: type) -> None:
    truth = csr_array(np.array([[0, 1, 1, 0]]))
    ids = np.array([[2, 0, 1]], dtype=kind)
    mapping = {"indices": ids, "scores": np.array([[3.0, 2.0, 1.0]])}
    for predictions in (ids, mapping):
        np.testing.assert_allclose(
            metrics.precision(predictions, truth, 4) * [1, 2, 3, 4], [1, 1, 2, 2]
        )


def test_equal_scores_go_to_the_smaller_id_where_pyxclib_takes_the_larger() -> None:
    row = csr_array(np.array([[0.5, 0.5, 0.5, 0.1]]))
    assert metrics.top_k(row, 3).labels.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "a mapping of nothing; expected of indices and scores"),
        ({"indices": np.zeros((1, 1), int)}, "a mapping of indices;"),
        ({"indices": np.zeros((1, 2), int), "scores": np.zeros((1, 1))}, "integers"),
        ({"indices": np.zeros((1, 1)), "scores": np.zeros((1, 1))}, "indices float64"),
        ({"indices": np.zeros((1, 1), int), "scores": np.zeros((1, 1), int)}, "scores int64"),
        ({"indices": np.zeros(1, int), "scores": np.zeros(1)}, "integers"),
        ({"indices": np.array([[-2]]), "scores": np.zeros((1, 1))}, "label id -2"),
        ({"indices": np.array([[3]]), "scores": np.zeros((1, 1))}, "label 3"),
        ({"indices": np.array([[0]]), "scores": np.array([[np.nan]])}, "1 scores are NaN"),
    ],
)
def test_mappings_that_cannot_be_are_refused(mapping, message: str) -> None:
    with pytest.raises(DataError, match=message):
        metrics.precision(mapping, csr_array(np.ones((1, 3))))


@pytest.mark.parametrize("k", [5, 50])
def test_memory_stays_below_that_of_the_predictions(k: int) -> None:
    draw = np.random.default_rng(0)
    n, width, n_labels = 20_000, 100, 500
    ids = np.tile(np.arange(width, dtype=np.int32) * 5, n)
    ends = np.arange(n + 1, dtype=np.int32) * width
    scores = draw.random(n * width, dtype=np.float32)
    predictions = csr_array((scores, ids, ends), shape=(n, n_labels))
    truth = random_truth(draw, n, 5)
    truth.resize((n, n_labels))
    tracemalloc.start()
    metrics.evaluate(predictions, truth, np.ones(n_labels), k)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (1 if k == 5 else 2) * (scores.nbytes + ids.nbytes)


@settings(max_examples=60)
@given(st.integers(0, 9_999), st.integers(1, 6))
def test_equal_scores_can_go_to_the_larger_id(seed: int, k: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 3, size=(5, 4)).astype(np.float32)
    given_ = scores.copy()
    order = [sorted(range(4), key=lambda i: (-row[i], -i))[:k] for row in scores]
    expected = [row + [NO_LABEL] * (k - len(row)) for row in order]
    shuffled = np.tile(np.array([2, 0, 3, 1]), (5, 1))
    forms = [
        scores,
        csr_array((scores.ravel(), np.tile(np.arange(4), 5), np.arange(6) * 4), shape=(5, 4)),
        {"indices": shuffled, "scores": np.take_along_axis(scores, shuffled, axis=1)},
    ]
    for form in forms:
        top = metrics.top_k(form, k, larger_id_first=True)
        assert top.labels.tolist() == expected
    assert np.array_equal(scores, given_)
    kept = metrics.top_k(np.array(expected), k, larger_id_first=True)
    assert kept.labels.tolist() == expected
