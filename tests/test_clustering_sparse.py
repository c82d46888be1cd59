from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, csr_matrix

from dexa.clustering import balanced_kmeans, balanced_kmeans_sparse, cohesion, sparse
from dexa.errors import DataError, InputError


def topics(count: int, features: int, groups: int, seed: int = 0) -> csr_array:
    """Points of a dozen entries, three quarters of them among the features of their topic."""
    draw = np.random.default_rng(seed)
    topic = draw.integers(groups, size=(count, 1))
    own = (topic * 7 + draw.integers(10, size=(count, 9))) % features
    columns = np.hstack([own, draw.integers(features, size=(count, 3))])
    rows = np.repeat(np.arange(count), columns.shape[1])
    return csr_array((draw.random(columns.size), (rows, columns.ravel())), (count, features))


def naive_balanced_kmeans(points: csr_array, clusters: int, seed: int) -> NDArray[np.int64]:
    """One node at a time, from two random points: the scheme of pyxclib's b_kmeans_sparse."""
    draw = np.random.default_rng(seed)
    rows = points.toarray()
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    assignment = np.zeros(len(rows), np.int64)
    nodes = [(np.arange(len(rows)), 0, clusters)]
    while nodes:
        members, first, width = nodes.pop()
        if width == 1:
            assignment[members] = first
            continue
        half = (width + 1) // 2
        left = round(len(members) * half / width)
        centroids = rows[draw.choice(members, 2, replace=False)]
        best = -1.0
        while True:
            near = rows[members] @ centroids.T
            order = (near[:, 1] - near[:, 0]).argsort()
            parts = order[:left], order[left:]
            found = sum(near[part, i].sum() for i, part in enumerate(parts)) / len(members)
            if found - best < 1e-4:
                break
            best = found
            centroids = np.stack([rows[members[part]].sum(axis=0) for part in parts])
            centroids /= np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-12)
        nodes.append((members[parts[0]], first, half))
        nodes.append((members[parts[1]], first + half, width - half))
    return assignment


def dense_clusters(points: csr_array, clusters: int, seed: int) -> NDArray[np.int64]:
    return balanced_kmeans(torch.from_numpy(points.toarray()), clusters, seed=seed).numpy()


def sparse_clusters(points: csr_array, clusters: int, seed: int) -> NDArray[np.int64]:
    return balanced_kmeans_sparse(points, clusters, seed=seed)


CLUSTERINGS = pytest.mark.parametrize("cluster", [dense_clusters, sparse_clusters])


@CLUSTERINGS
@settings(max_examples=60)
@given(
    count=st.integers(1, 200),
    clusters=st.integers(1, 220),
    features=st.integers(1, 30),
    density=st.floats(0, 0.5),
    seed=st.integers(0, 2**31),
)
def test_sizes_differ_by_at_most_one(
    cluster: Any, count: int, clusters: int, features: int, density: float, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    some = draw.standard_normal((count, features)) * (draw.random((count, features)) < density)
    assignment = cluster(csr_array(some), clusters, seed)
    assert assignment.dtype == np.int64
    assert assignment.shape == (count,)
    sizes = np.bincount(assignment)
    assert len(sizes) == min(clusters, count)
    assert sizes.max() - sizes.min() <= 1


@CLUSTERINGS
@pytest.mark.parametrize("clusters", [2, 7, 64])
def test_groups_that_lie_apart_are_found(cluster: Any, clusters: int) -> None:
    groups = np.tile(np.arange(clusters), 8)
    columns = groups[:, None] * 5 + np.arange(5)
    weights = np.random.default_rng(0).random(columns.size) + 0.5
    rows = np.repeat(np.arange(len(groups)), 5)
    points = csr_array((weights, (rows, columns.ravel())))
    assignment = cluster(points, clusters, 3)
    together = (assignment[:, None] == assignment) == (groups[:, None] == groups)
    assert together.mean() > 0.95
    if clusters == 2:
        assert together.all()


@CLUSTERINGS
def test_seed_alone_decides(cluster: Any) -> None:
    points = topics(400, 200, 30)
    first = cluster(points, 37, 5)
    np.random.seed(1)  # noqa: NPY002 - the global state must not matter
    assert np.array_equal(first, cluster(points, 37, 5))
    assert not np.array_equal(first, cluster(points, 37, 6))


@CLUSTERINGS
@pytest.mark.parametrize(
    "points",
    [
        np.zeros((50, 4)),
        np.ones((50, 4)),
        np.eye(50)[::-1] * (np.arange(50) % 3 > 0),
        np.tile(np.eye(4), (13, 1))[:50],
        np.eye(4)[:1].repeat(50, axis=0) * np.tile([1.0, -1.0], 25)[:, None],
        np.eye(50),
    ],
    ids=["zeros", "equal", "some zeros", "duplicates", "opposites", "nothing shared"],
)
def test_zeros_and_duplicates(cluster: Any, points: NDArray[np.float64]) -> None:
    sizes = np.bincount(cluster(csr_array(points), 8, 0), minlength=8)
    assert sorted(sizes) == [6, 6, 6, 6, 6, 6, 7, 7]


@CLUSTERINGS
def test_as_many_clusters_as_points_or_more(cluster: Any) -> None:
    points = topics(9, 20, 2)
    for clusters in (9, 10, 1000):
        assert sorted(cluster(points, clusters, 0)) == list(range(9))
    assert cluster(points, 1, 0).tolist() == [0] * 9
    assert cluster(points[:1], 1, 0).tolist() == [0]


@pytest.mark.parametrize(("count", "clusters"), [(1500, 8), (1500, 100), (600, 250)])
def test_no_worse_than_naive_two_means(count: int, clusters: int) -> None:
    points = topics(count, 300, 40)
    ours = [
        cohesion(points, balanced_kmeans_sparse(points, clusters, seed=seed)) for seed in range(3)
    ]
    naive = [cohesion(points, naive_balanced_kmeans(points, clusters, seed)) for seed in range(3)]
    assert sum(ours) > sum(naive)


def test_as_good_as_the_dense_one() -> None:
    points = topics(1000, 200, 30)
    found = [
        np.mean([cohesion(points, cluster(points, 60, seed)) for seed in range(3)])
        for cluster in (dense_clusters, sparse_clusters)
    ]
    assert found[0] == pytest.approx(found[1], rel=0.02)


def test_products_stay_those_of_whole_rows_within_a_node() -> None:
    points = topics(60, 80, 4)
    level = sparse._Level.root(points)
    draw = np.random.default_rng(0)
    edges = np.array([0, 60])
    for _ in range(4):
        cuts = np.stack([edges[:-1], (edges[:-1] + edges[1:]) // 2, edges[1:]])
        halves = sparse._Halves.between(cuts)
        weights = draw.standard_normal(60)
        expected = np.empty(60)
        for start, end in pairwise(edges):
            rows = points.toarray()[level.order[start:end]]
            expected[start:end] = rows @ (weights[start:end] @ rows)
        np.testing.assert_allclose(level.products(weights), expected, atol=1e-12)
        side = halves.highest(draw.standard_normal(60))
        assert np.array_equal(halves.sums(side), halves.lefts)
        left_first = np.concatenate(
            [
                np.concatenate([part[lean == 1], part[lean == 0]])
                for part, lean in zip(
                    np.split(level.order, edges[1:-1]), np.split(side, edges[1:-1]), strict=True
                )
            ]
        )
        level = level.split(side, halves)
        assert np.array_equal(level.order, left_first)
        edges = np.unique(cuts)
    assert level.entries.nnz < points.nnz


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    seed=st.integers(0, 1000),
    distinct=st.booleans(),
)
def test_highest_of_each_node(sizes: list[int], seed: int, distinct: bool) -> None:
    draw = np.random.default_rng(seed)
    ends = np.cumsum(sizes)
    lefts = np.array([draw.integers(1, size + 1) for size in sizes])
    halves = sparse._Halves.between(np.stack([ends - sizes, ends - sizes + lefts, ends]))
    numbers = draw.permutation(ends[-1]) if distinct else draw.integers(3, size=ends[-1])
    side = halves.highest(numbers.astype(float))
    for start, end, left in zip(ends - sizes, ends, lefts, strict=True):
        chosen = numbers[start:end][side[start:end] == 1]
        assert sorted(chosen) == sorted(numbers[start:end])[end - start - left :]


def test_length_and_form_do_not_matter() -> None:
    points = topics(300, 100, 20)
    expected = balanced_kmeans_sparse(points, 30, seed=0)
    lengths = 2.0 ** np.random.default_rng(0).integers(-8, 8, 300)
    stretched = csr_array(points.multiply(lengths[:, None]))
    assert np.array_equal(balanced_kmeans_sparse(stretched, 30, seed=0), expected)
    assert np.array_equal(balanced_kmeans_sparse(csr_matrix(points), 30, seed=0), expected)
    halves = csr_array(
        (
            np.repeat(points.data, 2) / 2,
            np.repeat(points.indices, 2),
            points.indptr * 2,
        ),
        shape=points.shape,
    )
    assert np.array_equal(balanced_kmeans_sparse(halves, 30, seed=0), expected)


def test_what_is_given_stays_as_it_was() -> None:
    points = topics(100, 50, 5)
    before = points.copy()
    balanced_kmeans_sparse(points, 10, seed=0)
    for name in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(points, name), getattr(before, name))


def test_stops_after_the_given_iterations() -> None:
    points = topics(1000, 300, 100)
    hasty = balanced_kmeans_sparse(points, 50, seed=0, max_iterations=1)
    thorough = balanced_kmeans_sparse(points, 50, seed=0, tolerance=0.0)
    assert cohesion(points, hasty) < cohesion(points, thorough)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.bool_])
def test_any_real_type(kind: type) -> None:
    points = topics(80, 40, 5)
    points.data[:] = 3
    assert np.bincount(balanced_kmeans_sparse(points.astype(kind), 8, seed=0)).tolist() == [10] * 8


@pytest.mark.parametrize(
    "points",
    [
        csr_array([[1.0, np.nan], [0.0, 1.0], [1.0, 0.0]]),
        csr_array([[1.0, np.inf], [0.0, 1.0], [1.0, 0.0]]),
        csr_array(np.full((3, 4), 1e300)),
        csr_array([1.0, 2.0, 3.0]),
        csr_array((0, 4)),
        csr_array(np.ones((3, 4), np.complex128)),
        coo_array(np.ones((3, 4))),
        np.ones((3, 4)),
    ],
    ids=["nan", "infinite", "beyond float32", "one axis", "empty", "complex", "no CSR", "dense"],
)
def test_refuses_what_are_no_points(points: Any) -> None:
    with pytest.raises(DataError, match="expected"):
        balanced_kmeans_sparse(points, 2, seed=0)


@pytest.mark.parametrize(("clusters", "iterations"), [(0, 5), (-1, 5), (2, 0)])
def test_refuses_what_cannot_be_made(clusters: int, iterations: int) -> None:
    with pytest.raises(InputError, match="at least one"):
        balanced_kmeans_sparse(topics(4, 5, 1), clusters, seed=0, max_iterations=iterations)
