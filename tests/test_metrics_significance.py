"""Significance tests against loops, exact enumeration, and what chance must give."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from dexa import metrics
from dexa.errors import DataError
from dexa.metrics import PerDocument, per_document
from test_metrics import SEEDS, random_ids, random_truth


def contributions(draw: np.random.Generator, n: int, k: int) -> tuple[PerDocument, PerDocument]:
    """Two systems, with a denominator that varies and one that does not."""
    possible = 1 + draw.random((n, k))
    possible[:, 0] = 1
    first, second = (possible * draw.random((n, k)) for _ in range(2))
    equal = draw.random(n) < 0.3
    second[equal] = first[equal]
    return (
        PerDocument(reached=first, possible=possible),
        PerDocument(reached=second, possible=possible),
    )


@settings(max_examples=20)
@given(seed=SEEDS, n=st.integers(1, 12), draws=st.integers(1, 40))
def test_bootstrap_agrees_with_loops(seed: int, n: int, draws: int) -> None:
    first, second = contributions(np.random.default_rng(seed), n, 2)
    random = np.random.default_rng(7)
    sampled = []
    for _ in range(draws):
        chosen = random.integers(0, n, n).tolist()
        possible = sum(first.possible[i] for i in chosen)
        sampled.append(sum(second.reached[i] - first.reached[i] for i in chosen) / possible)
    difference = second.metric - first.metric
    far = [np.abs(s - difference) >= np.abs(difference) * (1 - 1e-9) for s in sampled]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dexa.metrics.significance._CELLS", 3 * n)  # several chunks
        found = metrics.paired_bootstrap(first, second, draws=draws, seed=7)
    np.testing.assert_allclose(found.difference, difference, atol=1e-12)
    np.testing.assert_allclose(found.low, np.quantile(sampled, 0.025, axis=0), atol=1e-9)
    np.testing.assert_allclose(found.high, np.quantile(sampled, 0.975, axis=0), atol=1e-9)
    np.testing.assert_allclose(found.p_value, (1 + np.sum(far, axis=0)) / (draws + 1))


def test_randomisation_comes_near_the_exact_p_value() -> None:
    first, second = contributions(np.random.default_rng(3), 9, 2)
    gains = second.reached - first.reached
    observed = np.abs(gains.sum(axis=0)) * (1 - 1e-9)
    signs = np.array(list(product([-1, 1], repeat=9)))
    exact = np.mean(np.abs(signs @ gains) >= observed, axis=0)
    p_values = metrics.paired_randomisation(first, second, draws=20_000, seed=0)
    np.testing.assert_allclose(p_values, exact, atol=0.015)


def test_bootstrap_interval_is_that_of_the_normal_approximation() -> None:
    first, second = contributions(np.random.default_rng(5), 400, 1)
    gains = (second.reached - first.reached)[:, 0]
    spread = 1.96 * gains.std() / np.sqrt(400)
    found = metrics.paired_bootstrap(first, second, draws=4000, seed=0)
    assert found.low[0] == pytest.approx(gains.mean() - spread, abs=0.1 * spread)
    assert found.high[0] == pytest.approx(gains.mean() + spread, abs=0.1 * spread)


def test_equal_systems_do_not_differ_and_other_ones_do() -> None:
    same = PerDocument(reached=np.ones((50, 1)), possible=np.full((50, 1), 2.0))
    worse = PerDocument(reached=np.zeros((50, 1)), possible=np.full((50, 1), 2.0))
    equal = metrics.paired_bootstrap(same, same, draws=100)
    assert (equal.difference, equal.low, equal.high, equal.p_value) == (0, 0, 0, 1)
    assert metrics.paired_randomisation(same, same, draws=100).tolist() == [1]
    other = metrics.paired_bootstrap(worse, same, draws=999)
    assert (other.low, other.high) == (0.5, 0.5)
    assert metrics.paired_randomisation(worse, same, draws=999) == pytest.approx([0.001])


def test_p_values_of_chance_are_spread_evenly() -> None:
    draw = np.random.default_rng(0)
    p_values = []
    for _ in range(200):
        first, second = (
            PerDocument(reached=draw.random((40, 1)), possible=np.ones((40, 1))) for _ in range(2)
        )
        p_values.append(metrics.paired_randomisation(first, second, draws=200)[0])
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.045)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.08)


def test_seeds_repeat() -> None:
    first, second = contributions(np.random.default_rng(1), 30, 1)
    once, again, other = (
        metrics.paired_bootstrap(first, second, draws=50, seed=seed).low[0] for seed in (1, 1, 2)
    )
    assert once == again != other


@pytest.mark.parametrize(
    ("second", "draws", "message"),
    [
        (PerDocument(reached=np.ones((3, 1)), possible=np.ones((3, 1))), 9, r"\(2, 1\) and \(3,"),
        (PerDocument(reached=np.ones((2, 1)), possible=np.zeros((2, 1))), 9, "another truth"),
        (PerDocument(reached=np.ones((2, 1)), possible=np.ones((2, 1))), 0, "0 draws"),
    ],
)
def test_what_cannot_be_compared_is_refused(second: PerDocument, draws: int, message: str) -> None:
    first = PerDocument(reached=np.ones((2, 1)), possible=np.ones((2, 1)))
    for test in (metrics.paired_bootstrap, metrics.paired_randomisation):
        with pytest.raises(DataError, match=message):
            test(first, second, draws=draws)


def test_compare_gives_the_figures_of_the_metrics_and_of_the_tests() -> None:
    draw = np.random.default_rng(0)
    truth: csr_array = random_truth(draw, 60, 12)
    first, second = (random_ids(draw, 60, 12, 12) for _ in range(2))
    weights = 1 + draw.random(12)
    rows = {
        row.metric: row for row in metrics.compare(first, second, truth, weights, draws=300, seed=4)
    }
    names = [f"{family}@{k}" for family in ("P", "nDCG", "PSP") for k in (1, 3, 5)]
    assert list(rows) == [*names, "R@10", "R@100"]
    assert rows["P@3"].first == pytest.approx(metrics.precision(first, truth)[2])
    assert rows["nDCG@5"].second == pytest.approx(metrics.ndcg(second, truth)[4])
    assert rows["PSP@1"].second == pytest.approx(metrics.psp(second, truth, weights)[0])
    assert rows["R@100"].first == pytest.approx(metrics.recall(first, truth, 100)[99])
    ours, theirs = (per_document.psp(ids, truth, weights) for ids in (first, second))
    assert rows["PSP@5"].difference == pytest.approx((theirs.metric - ours.metric)[4])
    alone = metrics.paired_bootstrap(ours, theirs, draws=300, seed=4)
    assert rows["PSP@5"].low == pytest.approx(alone.low[4])
    assert rows["PSP@5"].high == pytest.approx(alone.high[4])
    assert 0 < rows["PSP@5"].p_value <= 1
