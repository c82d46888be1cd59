from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.clustering import ClusterQuality, balanced_kmeans, cohesion, cosines, overlapping, quality
from dexa.errors import DataError, InputError

FORMS = pytest.mark.parametrize(
    "form",
    [
        torch.from_numpy,
        csr_array,
        pytest.param(lambda rows: torch.from_numpy(rows).cuda(), marks=pytest.mark.gpu),
    ],
    ids=["dense", "sparse", "cuda"],
)


def some_points(count: int = 60, seed: int = 0) -> NDArray[np.float64]:
    draw = np.random.default_rng(seed)
    rows = draw.standard_normal((count, 8)) * (draw.random((count, 8)) < 0.6)
    rows[3] = 0
    return rows


def naive_cosines(rows: NDArray[np.float64], assignment: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each point with the centroid of each cluster id up to the largest."""
    unit = [row / max(np.linalg.norm(row), 1e-12) for row in rows]
    found = np.zeros((len(rows), assignment.max() + 1))
    for cluster in range(assignment.max() + 1):
        total = sum((unit[i] for i in np.flatnonzero(assignment == cluster)), np.zeros(8))
        centroid = total / max(np.linalg.norm(total), 1e-12)
        for i, row in enumerate(unit):
            found[i, cluster] = row @ centroid
    return found


@FORMS
def test_blocks_lie_in_one_buffer(form: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """New arrays would leave the heap in pieces: 2 GB at 100,000 points in 20,000 clusters."""
    monkeypatch.setattr(cosines, "_BLOCK_NUMBERS", 60 * 7)
    points = cosines.unit_points(form(some_points()))
    blocks = [
        (start, len(block), block.data_ptr())
        for start, block in cosines.cosine_blocks(points, points)
    ]
    assert [start for start, _, _ in blocks] == list(range(0, 60, 7))
    assert [rows for _, rows, _ in blocks] == [7] * 8 + [4]
    assert len({place for _, _, place in blocks}) == 1


@FORMS
@pytest.mark.parametrize("block", [1, 100, 1 << 20])
def test_quality_is_what_a_loop_finds(
    form: Any, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cosines, "_BLOCK_NUMBERS", block)
    rows = some_points()
    assignment = np.arange(60) ** 2 % 7  # 0, 1, 2 and 4, so that some ids have no point
    own, other, away = [], [], 0
    near = naive_cosines(rows, assignment)
    for i in range(60):
        others = [near[i, c] for c in set(assignment.tolist()) - {int(assignment[i])}]
        own.append(near[i, assignment[i]])
        other.append(max(others))
        away += max(others) > own[i] + 1e-6
    found = quality(form(rows), assignment)
    sizes = np.bincount(assignment)
    assert found.clusters == 4
    assert (found.smallest, found.largest) == (sizes[sizes > 0].min(), sizes.max())
    assert found.cohesion == pytest.approx(np.mean(own), abs=1e-6)
    assert found.cohesion == pytest.approx(cohesion(form(rows), assignment), abs=1e-6)
    assert found.nearest_other == pytest.approx(np.mean(other), abs=1e-6)
    assert found.misplaced == pytest.approx(away / 60)


def alike(ours: ClusterQuality, theirs: ClusterQuality) -> None:
    """The same but for the order in which a GPU adds."""
    assert dataclasses.astuple(ours) == pytest.approx(dataclasses.astuple(theirs), abs=1e-6)


@FORMS
def test_quality_of_some_points(form: Any) -> None:
    points, assignment = form(some_points(400)), np.arange(400) % 20
    all_of_them = quality(points, assignment)
    alike(quality(points, assignment, sample=400), all_of_them)
    alike(quality(points, assignment, sample=4000), all_of_them)
    some = quality(points, assignment, sample=150, seed=1)
    alike(quality(points, assignment, sample=150, seed=1), some)
    others = quality(points, assignment, sample=150, seed=2)
    assert abs(some.nearest_other - others.nearest_other) > 1e-5
    assert some.cohesion == pytest.approx(all_of_them.cohesion, abs=1e-6)
    assert some.nearest_other == pytest.approx(all_of_them.nearest_other, abs=0.05)
    assert some.misplaced == pytest.approx(all_of_them.misplaced, abs=0.1)
    with pytest.raises(InputError, match="sample"):
        quality(points, assignment, sample=0)


@FORMS
def test_quality_of_perfect_and_of_mixed_clusters(form: Any) -> None:
    rows = np.eye(8)[np.arange(40) % 4]
    perfect = quality(form(rows), np.arange(40) % 4)
    assert perfect.cohesion == pytest.approx(1)
    assert perfect.nearest_other == pytest.approx(0, abs=1e-6)
    assert perfect.misplaced == 0
    swapped = np.arange(40) % 4
    swapped[[0, 1]] = [1, 0]
    assert quality(form(rows), swapped).misplaced == pytest.approx(2 / 40)
    equal = quality(form(np.ones((6, 8))), np.arange(6) % 3)
    assert equal.misplaced == 0  # as near to the others as to its own


@FORMS
def test_quality_of_one_cluster(form: Any) -> None:
    found = quality(form(some_points()), np.zeros(60, np.int64))
    assert (found.clusters, found.smallest, found.largest, found.misplaced) == (1, 60, 60, 0)
    assert math.isnan(found.nearest_other)


@FORMS
@settings(max_examples=40)
@given(
    count=st.integers(5, 50),
    clusters=st.integers(1, 9),
    share=st.floats(0, 3),
    block=st.sampled_from([1, 60, 1 << 20]),
    seed=st.integers(0, 1000),
)
def test_clusters_take_in_what_is_nearest(
    form: Any, count: int, clusters: int, share: float, block: int, seed: int
) -> None:
    rows = some_points(count, seed)
    assignment = np.random.default_rng(seed).integers(clusters, size=count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cosines, "_BLOCK_NUMBERS", block)
        members = overlapping(form(rows), assignment, share=share)
    assert members.shape == (count, assignment.max() + 1)
    assert members.dtype == np.float32
    assert members.has_sorted_indices
    assert (members.data == 1).all()
    inside = members.toarray() == 1
    assert inside[np.arange(count), assignment].all()
    near = naive_cosines(rows, assignment)
    for cluster in range(assignment.max() + 1):
        outside = np.flatnonzero(assignment != cluster)
        taken = round((assignment == cluster).sum() * share)
        expected = sorted(near[outside, cluster], reverse=True)[:taken]
        found = near[outside[inside[outside, cluster]], cluster]
        # what is at right angles to a cluster may come out just above 0
        expected = [cosine for cosine in expected if cosine > 1e-6]
        found = sorted((cosine for cosine in found if cosine > 1e-6), reverse=True)
        assert found == pytest.approx(expected, abs=1e-6)


@FORMS
def test_equal_clusters_grow_by_the_share(form: Any) -> None:
    rows = np.abs(some_points(200)) + 0.1
    assignment = balanced_kmeans(torch.from_numpy(rows), 20, seed=0).numpy()
    for share, size in ((0, 10), (0.1, 11), (0.5, 15), (1, 20), (100, 200)):
        members = overlapping(form(rows), assignment, share=share)
        assert members.sum(axis=0).tolist() == [size] * 20


@FORMS
@pytest.mark.parametrize(
    "assignment",
    [
        np.zeros(59, np.int64),
        np.zeros((60, 1), np.int64),
        np.zeros(60),
        np.zeros(60, np.bool_),
        np.arange(60) - 1,
    ],
    ids=["too few", "two axes", "floats", "booleans", "negative"],
)
def test_refuses_other_ids(form: Any, assignment: NDArray[Any]) -> None:
    points = form(some_points())
    for work in (cohesion, quality, lambda *given: overlapping(*given, share=0.1)):
        with pytest.raises(DataError, match="one for each of 60 points"):
            work(points, assignment)


@FORMS
def test_refuses_what_is_not_finite(form: Any) -> None:
    rows = some_points()
    rows[7, 1] = np.nan
    ids = np.zeros(60, np.int64)
    for work in (cohesion, quality, lambda *given: overlapping(*given, share=0.1)):
        with pytest.raises(DataError, match="not finite"):
            work(form(rows), ids)


@pytest.mark.parametrize("share", [-0.1, math.nan, math.inf])
def test_refuses_shares_that_cannot_be(share: float) -> None:
    with pytest.raises(InputError, match="share from 0"):
        overlapping(csr_array(some_points()), np.zeros(60, np.int64), share=share)
