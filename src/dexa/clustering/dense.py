"""Balanced k-means: clusters whose sizes differ by at most one, made by levels of 2-means.

Cluster ids lie on a line, and cluster ``i`` owns the positions ``⌊i·N/clusters⌋`` up to
``⌊(i + 1)·N/clusters⌋`` of an order of the points. A node of the tree owns a range of ids, hence a
range of positions, and splits both near the middle. So nodes of equal width (in ids) hold equally
many points to within one, a level has at most two widths, and all nodes of a width are split at
once by batched products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.clustering.points import halved, refuse_counts, refuse_dense
from dexa.kernels import (
    FEW,
    TINY,
    halves_of_few,
    left_half,
    next_halves,
    on_triton,
    power_step,
    send,
)

_BLOCK_BYTES = {"cpu": 8 << 20, "cuda": 2 << 30}
"""Nodes are split in blocks of this size: on a CPU a block stays in the cache over its iterations,
on a GPU its copy of the points stays within memory."""

_POWER_STEPS = 8
"""Power iterations towards the axis along which a node spreads most, where 2-means starts."""

_Products = Callable[[torch.Tensor], torch.Tensor]
"""For each node, the inner products of its rows with a weighted sum of them: weights in, products
out, both ``[nodes, 1, slots]``. 2-means needs to know no more of the points."""


@torch.no_grad()
def balanced_kmeans(
    points: torch.Tensor,
    clusters: int,
    *,
    seed: int,
    tolerance: float = 5e-5,
    max_iterations: int = 100,
) -> torch.Tensor:
    """Cluster points by cosine into clusters of equal size, to within one point.

    Args:
        points: floating point ``[N, D]`` on any device, N ≥ 1, of any length.
        clusters: how many; with N or more, every point is a cluster of its own.
        seed: of the start; the same seed gives the same clusters on the same device.
        tolerance: 2-means stops once an iteration raises the mean similarity of points to their
            own centroid by less than this.
        max_iterations: the most iterations of one 2-means.

    Returns:
        Cluster ids ``[N]``, int64 from 0 to ``clusters - 1``, on the device of the points.

    Raises:
        DataError: the points are not an ``[N, D]`` array of finite numbers.
        InputError: `clusters` or `max_iterations` is below one.
    """
    refuse_dense(points)
    refuse_counts(clusters, max_iterations)
    count, device = len(points), points.device
    if clusters >= count:
        return torch.arange(count, device=device)
    order = torch.arange(count + 1, device=device)  # the last place takes what is padding
    wide = torch.promote_types(points.dtype, torch.float32)
    scales = 1 / torch.linalg.vector_norm(points, dim=1, dtype=wide).float().clamp_min(TINY)
    noise = torch.randn(count, generator=torch.Generator().manual_seed(seed)).to(device)
    edges = np.array([0, clusters])  # node i of a level owns ids edges[i] up to edges[i + 1]
    while len(edges) <= clusters:
        lows, highs = edges[:-1], edges[1:]
        middles, widths = (lows + highs + 1) // 2, highs - lows
        for width in range(max(widths.min(), 2), widths.max() + 1):
            ids = np.stack([lows, middles, highs])[:, widths == width]
            for nodes in _Nodes.blocks(ids * count // clusters, points):
                _split(nodes, points, scales, order, noise, tolerance, max_iterations)
        edges = halved(edges, middles)
    places = torch.arange(count, device=device)
    owners = ((places + 1) * clusters - 1) // count  # the last i with ⌊i·N/clusters⌋ ≤ place
    return owners.scatter(0, order[:-1], owners)


@dataclass(frozen=True, kw_only=True)
class _Nodes:
    """Nodes of one width that are to be split, one entry a node.

    Node i owns the positions ``starts[i]`` up to ``starts[i] + sizes[i]``; its left child gets the
    first ``lefts[i]`` of them. Child sizes differ by at most one among the nodes, so all are padded
    to the same `left` and `right`. All of them together have `count` rows.
    """

    starts: torch.Tensor
    sizes: torch.Tensor
    lefts: torch.Tensor
    left: int
    right: int
    count: int

    @classmethod
    def blocks(cls, cuts: NDArray[np.int64], points: torch.Tensor) -> Iterator[_Nodes]:
        """Nodes from the positions ``[3, nodes]`` of their starts, middles and ends.

        They come on the points' device, a block of `_BLOCK_BYTES` at a time.
        """
        lefts, rights = np.diff(cuts, axis=0)
        left, right = int(lefts.max()), int(rights.max())
        nodes = max(1, _BLOCK_BYTES[points.device.type] // ((left + right) * points.shape[1] * 4))
        columns = np.stack([cuts[0], lefts + rights, lefts])
        for first in range(0, len(lefts), nodes):
            block = np.ascontiguousarray(columns[:, first : first + nodes])
            starts, sizes, of_left = send(block, points.device)
            count = int(block[1].sum())
            yield cls(
                starts=starts, sizes=sizes, lefts=of_left, left=left, right=right, count=count
            )

    def slots(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Positions ``[nodes, left + right]``, which of them are real, and the bias of each slot.

        Slots past a node's size are padding: those that fill up its left child have a bias of
        +inf, those that fill up its right child one of -inf.
        """
        slots = torch.arange(self.left + self.right, device=self.starts.device)
        sizes, lefts = self.sizes[:, None], self.lefts[:, None]
        real = slots < sizes
        pads = torch.where(slots < sizes + self.left - lefts, torch.inf, -torch.inf)
        return self.starts[:, None] + slots * real, real, torch.where(real, 0.0, pads)


def _split(
    nodes: _Nodes,
    points: torch.Tensor,
    scales: torch.Tensor,
    order: torch.Tensor,
    noise: torch.Tensor,
    tolerance: float,
    max_iterations: int,
) -> None:
    """Reorder the positions of each node so that its left child comes first.

    Points are of unit length once multiplied by their scale.
    """
    positions, real, bias = nodes.slots()
    members = order[positions]
    rows = points.index_select(0, members.view(-1)).float().view(*members.shape, -1)
    rows *= (real * scales[members])[..., None]
    start = noise[members][:, None]
    bias = bias[:, None]
    if on_triton(rows) and rows.shape[1] <= FEW:
        side = halves_of_few(
            torch.bmm(rows, rows.mT),
            bias,
            start,
            nodes.sizes,
            left=nodes.left,
            power_steps=_POWER_STEPS,
            tolerance=tolerance,
            max_iterations=max_iterations,
        )
    else:
        side = _two_means(_products(rows), bias, start, nodes, tolerance, max_iterations)
    goes_left = side[:, 0] > 0
    nth = goes_left.cumsum(dim=1)  # of those that go left, up to here
    slots = torch.arange(members.shape[1], device=order.device)
    place = torch.where(goes_left, nth - 1, nodes.lefts[:, None] + slots - nth)
    order[torch.where(real, nodes.starts[:, None] + place, len(points))] = members


def _products(rows: torch.Tensor) -> _Products:
    """The products of unit-length rows ``[nodes, slots, D]``, padding being zero.

    Small nodes keep the inner products of each two rows, which are then fewer numbers than the
    rows themselves: every product reads them all. Weights come from the left, as a row: on a CPU
    that is 2.5 times as fast as a column from the right.
    """
    columns = rows.mT
    if 4 * rows.shape[1] <= rows.shape[2]:
        pairs = torch.bmm(rows, columns)
        return lambda weights: torch.bmm(weights, pairs)
    return lambda weights: torch.bmm(torch.bmm(weights, rows), columns)


def _two_means(
    products: _Products,
    bias: torch.Tensor,
    start: torch.Tensor,
    nodes: _Nodes,
    tolerance: float,
    max_iterations: int,
) -> torch.Tensor:
    """Which slots go left, 1 or 0: balanced 2-means of all nodes at once.

    Args:
        products: of the rows of each node.
        bias: ``[nodes, 1, slots]``, forces padding to its side.
        start: random numbers ``[nodes, 1, slots]``.
        nodes: their sizes.
        tolerance: as for `balanced_kmeans`.
        max_iterations: likewise.
    """
    with_all = products(torch.ones_like(start))
    following = left_half(_spread(products, with_all, start) + bias, nodes.left)
    best, side = -1.0, following
    # On a GPU the quality of an iteration is looked at when the next one is under way, so that
    # the device need not wait for the host.
    waiting: list[torch.Tensor] = []
    lag = 1 if bias.is_cuda else 0
    for _ in range(max_iterations):
        side = following
        following, lengths = next_halves(side, products(side), with_all, bias, nodes.left)
        # the similarities of points to their centroid add up to the length of their sum
        waiting.append(lengths.sum())
        if len(waiting) > lag:
            quality = float(waiting.pop(0)) / nodes.count
            if quality - best < tolerance:
                break
            best = quality
    return side


def _spread(products: _Products, with_all: torch.Tensor, leaning: torch.Tensor) -> torch.Tensor:
    """Projections ``[nodes, 1, slots]`` on the axis along which the rows of a node spread most.

    Found by power iteration. The axis is kept orthogonal to the mean of the rows: what two halves
    differ by along their mean does not bring them nearer to their centroids.
    """
    with_mean = with_all / with_all.sum(dim=2, keepdim=True).clamp_min(TINY)
    for _ in range(_POWER_STEPS):
        leaning = power_step(products(leaning), leaning, with_all, with_mean)
    return leaning
