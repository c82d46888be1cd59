"""The metrics against loops over single documents, and against values worked out by hand."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_array, csr_array, csr_matrix

from dexa import metrics
from dexa.errors import DataError
from dexa.types import NO_LABEL, TopK

SEEDS = st.integers(0, 2**32 - 1)


def random_truth(draw: np.random.Generator, n: int, n_labels: int) -> csr_array:
    """Sparse, graded, with rows without labels."""
    dense = draw.random((n, n_labels)) < draw.random((n, 1)) * 0.7
    return csr_array(dense * draw.integers(1, 4, dense.shape).astype(np.float32))


def random_ids(draw: np.random.Generator, n: int, n_labels: int, width: int) -> np.ndarray:
    """Distinct ids in each row, some rows cut short."""
    ids = np.argsort(draw.random((n, n_labels)), axis=1)[:, :width]
    ids[np.arange(ids.shape[1]) >= draw.integers(0, ids.shape[1] + 1, (n, 1))] = NO_LABEL
    return ids


def small_top() -> TopK:
    return TopK(
        labels=np.array([[4, 1, 2], [0, 3, NO_LABEL]]),
        scores=np.array([[0.5, 0.0, -0.5], [-1.0, -2.0, -np.inf]], dtype=np.float32),
    )


# Naive references: plain loops, straight from the formulae.


def true_sets(truth: csr_array) -> list[set[int]]:
    return [set(np.flatnonzero(row > 0).tolist()) for row in truth.toarray()]


def mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)


def naive_precision(ids, sets, k):
    return mean([sum(i in y for i in row[:k]) / k for row, y in zip(ids, sets, strict=True)])


def naive_recall(ids, sets, k):
    return mean(
        [sum(i in y for i in row[:k]) / max(1, len(y)) for row, y in zip(ids, sets, strict=True)]
    )


def naive_ndcg(ids, sets, k):
    values = []
    for row, y in zip(ids, sets, strict=True):
        gain = sum(1 / math.log2(r + 2) for r, i in enumerate(row[:k]) if i in y)
        best = sum(1 / math.log2(r + 2) for r in range(min(k, len(y))))
        values.append(gain / best if best else 0)
    return mean(values)


def naive_propensity_scored(ids, sets, weights, k, discounted):
    def discount(rank: int) -> float:
        return 1 / math.log2(rank + 2) if discounted else 1

    reached = possible = 0.0
    for row, y in zip(ids, sets, strict=True):
        reached += sum(weights[i] * discount(r) for r, i in enumerate(row[:k]) if i in y)
        best = sorted((weights[i] for i in y), reverse=True)[:k]
        possible += sum(w * discount(r) for r, w in enumerate(best))
    return reached / possible if possible else 0


def naive_coverage(ids, sets, k):
    found = set().union(*({i for i in row[:k] if i in y} for row, y in zip(ids, sets, strict=True)))
    return len(found) / max(1, len(set().union(*sets)))


@settings(max_examples=60)
@given(seed=SEEDS, n=st.integers(1, 6), n_labels=st.integers(1, 9), k=st.integers(1, 7))
def test_all_metrics_agree_with_loops(seed: int, n: int, n_labels: int, k: int) -> None:
    draw = np.random.default_rng(seed)
    truth = random_truth(draw, n, n_labels)
    ids = random_ids(draw, n, n_labels, int(draw.integers(1, n_labels + 1)))
    weights = 1 + draw.random(n_labels) * 10
    rows, sets = ids.tolist(), true_sets(truth)
    cuts = range(1, k + 1)

    def agree(values: np.ndarray, expected: list[float]) -> None:
        assert values.shape == (k,)
        assert values.dtype == np.float64
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-9)

    top = metrics.top_k(ids, ids.shape[1])
    for same in (top, metrics.to_csr(top, n_labels)):
        agree(metrics.recall(same, truth, k), metrics.recall(ids, truth, k).tolist())
    agree(metrics.precision(ids, truth, k), [naive_precision(rows, sets, c) for c in cuts])
    agree(metrics.recall(ids, truth, k), [naive_recall(rows, sets, c) for c in cuts])
    agree(metrics.ndcg(ids, truth, k), [naive_ndcg(rows, sets, c) for c in cuts])
    agree(metrics.coverage(ids, truth, k), [naive_coverage(rows, sets, c) for c in cuts])
    for metric, discounted in ((metrics.psp, False), (metrics.psndcg, True)):
        agree(
            metric(ids, truth, weights, k),
            [naive_propensity_scored(rows, sets, weights, c, discounted) for c in cuts],
        )


@settings(max_examples=60)
@given(
    seed=SEEDS,
    n=st.integers(0, 6),
    n_labels=st.integers(1, 9),
    k=st.integers(1, 11),
    cells=st.sampled_from([1, 7, 1 << 22]),
)
def test_scores_and_csr_are_ranked_as_a_stable_sort_ranks_them(seed, n, n_labels, k, cells) -> None:
    draw = np.random.default_rng(seed)
    scores = draw.integers(-2, 3, (n, n_labels)) / 2  # many ties, zeros, negatives
    scores[draw.random(scores.shape) < 0.3] = -np.inf
    expected = np.full((n, k), NO_LABEL)
    for row, values in enumerate(scores):
        answers = [i for i in range(n_labels) if values[i] > -np.inf]
        answers = sorted(answers, key=lambda i: (-values[i], i))[:k]
        expected[row, : len(answers)] = answers
    present = scores > -np.inf
    rows, columns = np.nonzero(present)
    order = draw.permutation(len(rows))  # stored in any order
    order = order[np.argsort(rows[order], kind="stable")]
    indptr = np.concatenate([[0], np.cumsum(present.sum(axis=1))])
    parts = (scores[rows, columns][order], columns[order], indptr)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dexa.metrics.ranking._CELLS", cells)
        for predictions in (
            scores,
            scores.astype(np.float32),
            csr_array(parts, shape=scores.shape),
            csr_matrix(parts, shape=scores.shape),
        ):
            top = metrics.top_k(predictions, k)
            assert top.labels.tolist() == expected.tolist()
            assert top.scores.dtype == np.float32
            filled = expected != NO_LABEL
            at = np.nonzero(filled)
            assert top.scores[filled].tolist() == scores[at[0], expected[at]].tolist()
            assert (top.scores[~filled] == -np.inf).all()


def test_values_by_hand() -> None:
    truth = csr_array(np.array([[1, 0, 1, 0], [0, 0, 0, 1]]))
    ids = np.array([[1, 2, 0], [3, 1, 0]])
    assert metrics.precision(ids, truth, 3).tolist() == [1 / 2, 2 / 4, 3 / 6]
    assert metrics.recall(ids, truth, 3).tolist() == [1 / 2, (1 / 2 + 1) / 2, 1]
    half = 1 / math.log2(3)
    first = [0, half / (1 + half), (half + 0.5) / (1 + half)]
    np.testing.assert_allclose(metrics.ndcg(ids, truth, 3), [(f + 1) / 2 for f in first])
    weights = np.array([2.0, 1.0, 4.0, 8.0])
    np.testing.assert_allclose(metrics.psp(ids, truth, weights, 2), [8 / 12, 12 / 14])
    np.testing.assert_allclose(
        metrics.psndcg(ids, truth, weights, 2), [8 / 12, (8 + 4 * half) / (12 + 2 * half)]
    )
    assert metrics.coverage(ids, truth, 3).tolist() == [1 / 3, 2 / 3, 1]


def test_graded_labels_do_not_lift_precision_above_one() -> None:
    truth = csr_array(np.array([[7.0, 0.0], [0.5, 0.0]]))
    assert metrics.precision(np.array([[0], [0]]), truth, 1).tolist() == [1.0]


def test_documents_without_labels_stay_in_the_mean() -> None:
    truth = csr_array(np.array([[1, 0], [0, 0]]))
    ids = np.array([[0], [0]])
    weights = np.ones(2)
    for metric in (metrics.precision, metrics.recall, metrics.ndcg):
        assert metric(ids, truth, 1).tolist() == [0.5]
    assert metrics.psp(ids, truth, weights, 1).tolist() == [1.0]  # a ratio of means


def test_no_label_anywhere_and_no_prediction_at_all_give_zero() -> None:
    ids, weights = np.array([[0, 1]]), np.ones(2)
    nothing = csr_array((1, 2))
    for predictions, truth in ((ids, nothing), (nothing, csr_array(np.array([[1, 1]])))):
        for metric in (metrics.precision, metrics.recall, metrics.ndcg, metrics.coverage):
            assert metric(predictions, truth, 3).tolist() == [0, 0, 0]
        assert metrics.psp(predictions, truth, weights, 3).tolist() == [0, 0, 0]
        assert metrics.psndcg(predictions, truth, weights, 3).tolist() == [0, 0, 0]


def test_truth_may_be_unsorted_repeated_or_hold_zeros_and_is_left_alone() -> None:
    parts = (np.array([1.0, 1.0, 0.0, 2.0]), np.array([2, 0, 1, 2]), np.array([0, 4]))
    truth = csr_array(parts, shape=(1, 3))
    before = [part.copy() for part in (truth.data, truth.indices, truth.indptr)]
    assert metrics.recall(np.array([[2, 1]]), truth, 2).tolist() == [0.5, 0.5]
    for part, old in zip((truth.data, truth.indices, truth.indptr), before, strict=True):
        assert part.tolist() == old.tolist()


def test_integer_csr_predictions_and_narrow_forms_are_padded() -> None:
    csr = csr_array(np.array([[0, 3, 5]]))
    assert metrics.top_k(csr, 4).labels.tolist() == [[2, 1, NO_LABEL, NO_LABEL]]
    top = metrics.top_k(np.array([[2, NO_LABEL]], dtype=np.int32), 3)
    assert top.labels.tolist() == [[2, NO_LABEL, NO_LABEL]]
    assert top.scores.tolist() == [[1, -np.inf, -np.inf]]
    top = metrics.top_k(np.array([[2, 1]]), 2)
    assert top.scores.tolist() == [[1, 0.5]]
    assert metrics.top_k(small_top(), 4).labels.tolist() == [
        [4, 1, 2, NO_LABEL],
        [0, 3, NO_LABEL, NO_LABEL],
    ]


def test_top_k_keeps_label_texts() -> None:
    top = TopK(labels=np.array([[1]]), scores=np.ones((1, 1), np.float32), label_texts=["a", "b"])
    assert metrics.top_k(top, 1).named() == [[("b", 1.0)]]
    assert metrics.drop_pairs(top, np.array([[0, 1]])).label_texts == ["a", "b"]


@settings(max_examples=60)
@given(seed=SEEDS, n=st.integers(1, 5), n_labels=st.integers(1, 6), n_pairs=st.integers(0, 12))
def test_drop_pairs_agrees_with_loops(seed: int, n: int, n_labels: int, n_pairs: int) -> None:
    draw = np.random.default_rng(seed)
    ids = random_ids(draw, n, n_labels, n_labels)
    scores = np.where(ids == NO_LABEL, -np.inf, -np.sort(draw.random(ids.shape))).astype(np.float32)
    top = TopK(labels=ids, scores=scores)
    pairs = np.stack([draw.integers(0, n, n_pairs), draw.integers(0, n_labels, n_pairs)], axis=1)
    forbidden = {tuple(pair) for pair in pairs.tolist()}
    expected_labels, expected_scores = [], []
    for i, (row, values) in enumerate(zip(ids.tolist(), scores.tolist(), strict=True)):
        kept = [
            (label, score)
            for label, score in zip(row, values, strict=True)
            if label != NO_LABEL and (i, label) not in forbidden
        ]
        missing = len(row) - len(kept)
        expected_labels.append([label for label, _ in kept] + [NO_LABEL] * missing)
        expected_scores.append([score for _, score in kept] + [-math.inf] * missing)
    filtered = metrics.drop_pairs(top, pairs)
    assert filtered.labels.tolist() == expected_labels
    assert filtered.scores.tolist() == expected_scores
    assert top.labels is ids
    assert np.array_equal(top.scores, scores)
    again = metrics.drop_pairs(filtered, pairs)
    assert again.labels.tolist() == expected_labels


def test_filtered_answers_never_come_first_where_scores_are_negative() -> None:
    filtered = metrics.drop_pairs(small_top(), np.array([[1, 0]]))
    assert filtered.labels[1].tolist() == [3, NO_LABEL, NO_LABEL]
    assert filtered.scores[1].tolist() == [-2.0, -math.inf, -math.inf]


def test_drop_pairs_refuses_what_cannot_be() -> None:
    with pytest.raises(DataError, match=r"filter pair 1 is \(document 2, label 0\).*from 0 to 1"):
        metrics.drop_pairs(small_top(), np.array([[0, 1], [2, 0]]))
    with pytest.raises(DataError, match="label -1"):
        metrics.drop_pairs(small_top(), np.array([[0, NO_LABEL]]))
    for pairs in (np.zeros(2, dtype=int), np.zeros((1, 3), dtype=int), np.zeros((1, 2))):
        with pytest.raises(DataError, match="rows of"):
            metrics.drop_pairs(small_top(), pairs)


def test_to_csr_keeps_zero_and_negative_scores() -> None:
    matrix = metrics.to_csr(small_top(), 6)
    assert matrix.shape == (2, 6)
    assert matrix.indices.tolist() == [1, 2, 4, 0, 3]
    assert matrix.data.tolist() == [0.0, -0.5, 0.5, -1.0, -2.0]
    assert metrics.top_k(matrix, 3).labels.tolist() == small_top().labels.tolist()
    with pytest.raises(DataError, match="document 0 is answered with label 4"):
        metrics.to_csr(small_top(), 4)


@pytest.mark.parametrize(
    "predictions",
    [
        np.array([[0.1, np.nan]]),
        csr_array(np.array([[0.1, np.nan]])),
        TopK(labels=np.array([[0, 1]]), scores=np.array([[np.nan, 0.1]], dtype=np.float32)),
    ],
)
def test_nan_scores_are_refused(predictions) -> None:
    with pytest.raises(DataError, match="1 scores are NaN"):
        metrics.precision(predictions, csr_array(np.array([[1, 0]])))


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (np.array([[3]]), "document 0 is answered with label 3; expected ids from 0 to 2"),
        (np.array([[-2]]), "label -2"),
        (np.array([[1, 1]]), "document 0 is answered with label 1 twice"),
        (np.array([[0], [1]]), "predictions for 2 documents, true labels for 1"),
        (np.zeros((1, 4)), "predictions over 4 labels, true labels over 3"),
        (csr_array((1, 2)), "predictions over 2 labels"),
        (csc_array((1, 3)), "predictions given as csc_array"),
        (np.zeros(3), "float64 and shape"),
        (np.zeros((1, 3), dtype=bool), "bool"),
        (
            TopK(labels=np.zeros((1, 2), dtype=int), scores=np.zeros((1, 1), dtype=np.float32)),
            "both",
        ),
    ],
)
def test_predictions_that_do_not_fit_are_refused(predictions, message: str) -> None:
    with pytest.raises(DataError, match=message):
        metrics.precision(predictions, csr_array(np.array([[0, 1, 0]])))


def test_other_wrong_arguments_are_refused() -> None:
    ids, truth = np.array([[0]]), csr_array(np.array([[1, 0]]))
    with pytest.raises(DataError, match="k is 0"):
        metrics.psndcg(ids, truth, np.ones(2), 0)
    with pytest.raises(DataError, match="true labels given as ndarray"):
        metrics.precision(ids, truth.toarray())  # pyright: ignore
    for weights in (np.ones(3), np.array([1, np.nan]), np.array([1.0, 0.0])):
        with pytest.raises(DataError, match="expected 2 positive numbers"):
            metrics.psp(ids, truth, weights)
    with pytest.raises(DataError, match="for 0 documents"):
        metrics.recall(np.empty((0, 1), dtype=int), csr_array((0, 2)))


def test_inverse_propensity_by_hand() -> None:
    labels = csr_array(np.array([[1, 0, 2], [1, 0, 0], [1, 0, -1], [1, 0, 0]]))
    c = (math.log(4) - 1) * 2.5**0.55
    expected = [1 + c * (n + 1.5) ** -0.55 for n in (4, 0, 1)]
    np.testing.assert_allclose(metrics.inverse_propensity(labels, 0.55, 1.5), expected, rtol=1e-12)


def test_inverse_propensity_refuses_what_has_no_meaning() -> None:
    with pytest.raises(DataError, match="2 training documents"):
        metrics.inverse_propensity(csr_array((2, 3)), 0.55, 1.5)
    for a, b in ((-1, 1.5), (0.55, 0), (math.nan, 1.5), (0.55, math.inf)):
        with pytest.raises(DataError, match="constants"):
            metrics.inverse_propensity(csr_array((5, 3)), a, b)


@pytest.mark.parametrize(
    ("name", "constants"),
    [
        ("LF-Wikipedia-500K", (0.5, 0.4)),
        ("lf-wikititles-500k", (0.5, 0.4)),
        ("LF-AmazonTitles-131K", (0.6, 2.6)),
        ("LF-WikiSeeAlsoTitles-320K", (0.55, 1.5)),
        ("Wiki10-31K", (0.55, 1.5)),
        ("EURLex-4K", (0.55, 1.5)),
        ("LF-WordNet-98K", (0.55, 1.5)),
    ],
)
def test_propensity_constants(name: str, constants: tuple[float, float]) -> None:
    assert metrics.propensity_constants(name) == constants


def test_recall_of_many_documents_is_exact() -> None:
    """A float32 sum of this many thirds is off in the fourth digit."""
    n = 200_000
    truth = csr_array(np.ones((n, 3), dtype=np.float32))
    assert abs(metrics.recall(np.zeros((n, 1), dtype=int), truth, 1)[0] - 1 / 3) < 1e-12


def test_four_families_at_the_size_of_amazon_titles_are_fast() -> None:
    n, n_labels, width, nnz = 134_835, 131_073, 100, 284_746
    draw = np.random.default_rng(0)
    cells = (draw.integers(0, n, nnz), draw.integers(0, n_labels, nnz))
    truth = csr_array((np.ones(nnz, dtype=np.float32), cells), shape=(n, n_labels))
    ids = (np.arange(width, dtype=np.int32) * 1283 + draw.integers(0, n_labels, (n, 1))) % n_labels
    start = time.process_time()
    weights = metrics.inverse_propensity(truth, 0.6, 2.6)
    metrics.precision(ids, truth)
    metrics.ndcg(ids, truth)
    metrics.psp(ids, truth, weights)
    metrics.psndcg(ids, truth, weights)
    assert time.process_time() - start < 1.0  # 0.15 on an idle machine
