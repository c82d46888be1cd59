"""What a fused score is worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dexa.errors import InputError
from dexa.fusion import Calibration, fit_calibration


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and answers that are right with a probability of the square of their score."""
    random = np.random.default_rng(seed)
    scores = random.random(count).astype(np.float32)
    return scores, random.random(count) < scores**2


def fitted(count: int = 20_000, seed: int = 0) -> Calibration:
    found = fit_calibration(*drawn(count, seed))
    assert found is not None
    return found


def test_the_curve_is_near_the_truth() -> None:
    curve, at = fitted(), np.linspace(0.05, 0.95, 19).astype(np.float32)
    np.testing.assert_allclose(curve(at), at**2, atol=0.06)


@settings(max_examples=40)
@given(count=st.integers(2, 200), seed=st.integers(0, 2**31), levels=st.integers(1, 50))
def test_it_never_falls_and_is_a_share(count: int, seed: int, levels: int) -> None:
    scores, right = drawn(count, seed)
    curve = fit_calibration(np.round(scores * levels) / levels, right)
    if curve is None:
        assert right.all() or not right.any()
        return
    found = curve(np.sort(scores))
    assert (np.diff(found) >= 0).all()
    assert ((found >= 0) & (found <= 1)).all()


@settings(max_examples=40)
@given(
    count=st.integers(5, 200),
    seed=st.integers(0, 2**31),
    levels=st.integers(2, 50),
    precision=st.floats(0.05, 1.0),
)
def test_a_threshold_keeps_what_it_promises(
    count: int, seed: int, levels: int, precision: float
) -> None:
    """Answer by answer; no lower knot of the curve would keep it."""
    scores, right = drawn(count, seed)
    scores = (np.round(scores * levels) / levels).astype(np.float32)
    curve = fit_calibration(scores, right)
    if curve is None:
        return
    worth = curve(scores)
    shares = {float(p): right[worth >= p].mean() for p in np.unique(worth)}
    reached = [p for p, share in shares.items() if np.float32(share) >= precision]
    if not reached:
        with pytest.raises(InputError, match="the highest that any threshold reached"):
            curve.threshold(precision)
        return
    assert curve.threshold(precision) == pytest.approx(min(reached), abs=1e-6)


@pytest.mark.parametrize("precision", [0.0, -1.0, 1.5, float("nan")])
def test_refuses_what_is_no_precision(precision: float) -> None:
    with pytest.raises(InputError, match="above 0 and at most 1"):
        fitted(100).threshold(precision)


def test_nothing_is_learnt_from_answers_of_one_kind() -> None:
    scores = np.arange(3, dtype=np.float32)
    assert fit_calibration(scores[:0], np.zeros(0, bool)) is None
    assert fit_calibration(scores, np.ones(3, bool)) is None
    assert fit_calibration(scores, np.zeros(3, bool)) is None


def test_no_answer_is_worth_nothing_and_far_scores_are_those_of_the_ends() -> None:
    curve = fitted(1000)
    found = curve(np.array([[-np.inf, -9.0, 9.0]], np.float32))
    assert found.tolist() == [[0.0, curve.probabilities[0], curve.probabilities[-1]]]


def test_taken_apart_and_restored() -> None:
    curve = fitted(500)
    again = Calibration.restored(curve.tensors())
    scores = np.linspace(0, 1, 50).astype(np.float32)
    np.testing.assert_array_equal(again(scores), curve(scores))
    assert again.threshold(0.5) == curve.threshold(0.5)
