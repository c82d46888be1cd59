"""Balanced k-means of sparse points: all nodes of a level at once, by two sparse products a step.

Nodes are as in `dexa.clustering.dense`. A level is one block-diagonal matrix: its rows are points
in the order of their nodes, and its columns are pairs of a node and a feature. A product with its
transpose adds up the rows of each node on their own, and a product with it gives their inner
products with that sum.

A feature that only one row of a node has can bring it nearer to no other, there or further down.
Such entries leave the matrix, and of each row the squared length of what has left is kept. So
levels get cheaper, the deeper they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.clustering.points import checked_sparse, halved, refuse_counts, shape_of
from dexa.kernels import TINY

_POWER_STEPS, _FEW_POWER_STEPS, _LARGE = 8, 2, 2048
"""Power iterations towards the axis along which a node spreads most, where 2-means starts.

Nodes of more points than `_LARGE` get few: on real titles, a blurred axis leads to somewhat better
clusters there, on synthetic groups that lie apart to somewhat worse ones. In small nodes, 8 steps
are better on both.
"""

_Numbers = NDArray[np.float64]


def balanced_kmeans_sparse(
    points: csr_array,
    clusters: int,
    *,
    seed: int,
    tolerance: float = 1e-5,
    max_iterations: int = 100,
) -> NDArray[np.int64]:
    """Cluster sparse points by cosine into clusters of equal size, to within one point.

    Args:
        points: CSR ``[N, V]``, N ≥ 1, of any length; empty rows are shared out.
        clusters: how many; with N or more, every point is a cluster of its own.
        seed: of the start; the same seed gives the same clusters on the same machine.
        tolerance: a level stops once an iteration raises the mean similarity of points to their
            own centroid by less than this.
        max_iterations: the most iterations of a level.

    Returns:
        Cluster ids ``[N]``, from 0 to ``clusters - 1``.

    Raises:
        DataError: the points are not a CSR matrix ``[N, V]`` of finite numbers.
        InputError: `clusters` or `max_iterations` is below one.
    """
    rows = checked_sparse(points)
    refuse_counts(clusters, max_iterations)
    count = shape_of(rows)[0]
    if clusters >= count:
        return np.arange(count)
    level = _Level.root(rows)
    noise = np.random.default_rng(seed).standard_normal(count)
    edges = np.array([0, clusters])  # node i of a level owns ids edges[i] up to edges[i + 1]
    while len(edges) <= clusters:
        lows, highs = edges[:-1], edges[1:]
        middles = (lows + highs + 1) // 2  # a node of one id keeps all its rows on its left
        halves = _Halves.between(np.stack([lows, middles, highs]) * count // clusters)
        side = _two_means(level, halves, noise[level.order], tolerance, max_iterations)
        level = level.split(side, halves)
        edges = halved(edges, middles)
    assignment = np.empty(count, np.int64)
    assignment[level.order] = np.repeat(np.arange(clusters), np.diff(edges * count // clusters))
    return assignment


@dataclass(frozen=True, kw_only=True)
class _Halves:
    """How the nodes of a level are to be split.

    Node i owns the positions ``starts[i]`` up to ``starts[i] + sizes[i]``; its left child gets
    ``lefts[i]`` of them. `nodes` is the node of each position.
    """

    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    lefts: NDArray[np.int64]
    nodes: NDArray[np.int64]

    @classmethod
    def between(cls, cuts: NDArray[np.int64]) -> _Halves:
        """From the positions ``[3, nodes]`` of the nodes' starts, middles and ends."""
        sizes = cuts[2] - cuts[0]
        return cls(
            starts=cuts[0],
            sizes=sizes,
            lefts=cuts[1] - cuts[0],
            nodes=np.repeat(np.arange(len(sizes)), sizes),
        )

    def sums(self, values: _Numbers) -> _Numbers:
        """The sum of each node."""
        return np.add.reduceat(values, self.starts)

    def highest(self, leaning: _Numbers) -> _Numbers:
        """1 for the `lefts` highest numbers of each node, 0 for its others.

        Nodes become rows of a rectangle. What fills them up is chosen always, for left children
        smaller than the largest, or never.
        """
        left, right = int(self.lefts.max()), int((self.sizes - self.lefts).max())
        slots = np.arange(left + right)
        sizes, lefts = self.sizes[:, None], self.lefts[:, None]
        lowest_first = np.where(slots < sizes + left - lefts, -np.inf, np.inf)
        real = slots < sizes
        lowest_first[real] = -leaning
        chosen = np.argpartition(lowest_first, left - 1, axis=1)[:, :left]
        side = np.zeros(len(leaning))
        side[(self.starts[:, None] + chosen)[chosen < sizes]] = 1
        return side


@dataclass(frozen=True, kw_only=True)
class _Level:
    """The points of a level, in the order of its nodes.

    Attributes:
        order: int64 ``[N]``, the point in each position.
        entries: ``[N, pairs of a node and a feature]``, only what several rows of a node have.
        alone: ``[N]``, the squared length of what no other row of the node has.
    """

    order: NDArray[np.int64]
    entries: csr_array
    alone: _Numbers

    @classmethod
    def root(cls, rows: csr_array) -> _Level:
        count = shape_of(rows)[0]
        whole = cls(order=np.arange(count), entries=rows, alone=np.zeros(count))
        return whole._without_lone_entries()

    def products(self, weights: _Numbers) -> _Numbers:
        """The inner product of each row with the sum of its node's rows, weighted."""
        return self.entries @ (self.entries.T @ weights) + self.alone * weights

    def split(self, side: _Numbers, halves: _Halves) -> _Level:
        """The next level: left children are the rows whose `side` is 1."""
        ranks = np.argsort(2 * halves.nodes - side.astype(np.int64), kind="stable")
        entries = csr_array(self.entries[ranks])
        count, pairs = shape_of(entries)
        right = np.repeat(1 - side[ranks].astype(np.int64), np.diff(entries.indptr))
        # pairs of one node lie together again: the last turn counts most, features least
        columns = right * pairs + entries.indices
        split = csr_array((entries.data, columns, entries.indptr), shape=(count, 2 * pairs))
        next_level = _Level(order=self.order[ranks], entries=split, alone=self.alone[ranks])
        return next_level._without_lone_entries()

    def _without_lone_entries(self) -> _Level:
        entries = self.entries
        count, pairs = shape_of(entries)
        shared = np.bincount(entries.indices, minlength=pairs) > 1
        kept = shared[entries.indices]
        row = np.repeat(np.arange(count), np.diff(entries.indptr))
        alone = np.bincount(row[~kept], entries.data[~kept] ** 2, minlength=count)
        pointers = np.append(0, np.cumsum(kept))[entries.indptr]
        columns = (np.cumsum(shared) - 1)[entries.indices[kept]]
        smaller = csr_array(
            (entries.data[kept], columns, pointers), shape=(count, np.count_nonzero(shared))
        )
        return _Level(order=self.order, entries=smaller, alone=self.alone + alone)


def _two_means(
    level: _Level, halves: _Halves, start: _Numbers, tolerance: float, max_iterations: int
) -> _Numbers:
    """Which rows go left, 1 or 0: balanced 2-means of all nodes at once.

    A row leans to the left by how much nearer it is to the left centroid than to the right one;
    those that lean most form the left child, the best balanced choice for these centroids.

    Args:
        level: the rows.
        halves: their nodes.
        start: random numbers ``[N]``.
        tolerance: as for `balanced_kmeans_sparse`.
        max_iterations: likewise.
    """
    with_all = level.products(np.ones_like(start))
    leaning = _spread(level, halves, with_all, start)
    best, side = -1.0, start
    for _ in range(max_iterations):
        side = halves.highest(leaning)
        with_left = level.products(side)
        with_right = with_all - with_left
        left_length = _lengths(halves.sums(with_left * side))
        right_length = _lengths(halves.sums(with_right * (1 - side)))
        leaning = with_left / left_length[halves.nodes] - with_right / right_length[halves.nodes]
        # the similarities of points to their centroid add up to the length of their sum
        quality = float(left_length.sum() + right_length.sum()) / len(start)
        if quality - best < tolerance:
            break
        best = quality
    return side


def _spread(level: _Level, halves: _Halves, with_all: _Numbers, axis: _Numbers) -> _Numbers:
    """Projections ``[N]`` on the axis along which the rows of a node spread most.

    Found by power iteration. The axis is kept orthogonal to the mean of the rows: what two halves
    differ by along their mean does not bring them nearer to their centroids.
    """
    totals = np.maximum(halves.sums(with_all), TINY)
    with_mean = with_all / totals[halves.nodes]
    large = len(axis) > _LARGE * len(halves.sizes)
    for _ in range(_FEW_POWER_STEPS if large else _POWER_STEPS):
        along = halves.sums(axis * with_all)[halves.nodes]
        axis = level.products(axis) - along * with_mean
        axis /= _lengths(halves.sums(axis * axis))[halves.nodes]
    return axis


def _lengths(squares: _Numbers) -> _Numbers:
    return np.sqrt(np.maximum(squares, TINY))
