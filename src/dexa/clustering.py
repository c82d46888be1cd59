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

import torch

from dexa.errors import DataError, InputError

_BLOCK_BYTES = {"cpu": 8 << 20, "cuda": 2 << 30}
"""Nodes are split in blocks of this size: on a CPU a block stays in the cache over its iterations,
on a GPU its copy of the points stays within memory."""

_POWER_STEPS = 8
"""Power iterations towards the axis along which a node spreads most, where 2-means starts."""

_TINY = 1e-24  # keeps zero vectors and sums of zero when they are divided by their length

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
    _check(points, clusters, max_iterations)
    count, device = len(points), points.device
    order = torch.arange(count, device=device)
    if clusters >= count:
        return order
    noise = torch.randn(count, generator=torch.Generator().manual_seed(seed)).to(device)
    edges = torch.tensor([0, clusters])  # node i of a level owns ids edges[i] up to edges[i + 1]
    while len(edges) <= clusters:
        lows, highs = edges[:-1], edges[1:]
        middles, widths = (lows + highs + 1) // 2, highs - lows
        for width in widths[widths > 1].unique():
            ids = torch.stack([lows, middles, highs])[:, widths == width]
            for nodes in _Nodes.between(ids * count // clusters).blocks(points):
                _split(nodes, points, order, noise, tolerance, max_iterations)
        edges = torch.cat([edges, middles]).unique()
    sizes = (edges * count // clusters).diff()
    assignment = torch.empty_like(order)
    assignment[order] = torch.arange(clusters).repeat_interleave(sizes).to(device)
    return assignment


@torch.no_grad()
def cohesion(points: torch.Tensor, assignment: torch.Tensor) -> float:
    """Mean cosine of points with the centroid of their own cluster: higher is better.

    A centroid is the normalised mean of unit-length points, so the similarities of a cluster add
    up to the length of the sum of its points.

    Args:
        points: floating point ``[N, D]``.
        assignment: int64 cluster ids ``[N]`` on the same device.
    """
    sums = points.new_zeros(int(assignment.max()) + 1, points.shape[1], dtype=torch.float32)
    sums.index_add_(0, assignment, torch.nn.functional.normalize(points.float(), dim=1))
    return float(sums.norm(dim=1).sum(dtype=torch.float64)) / len(points)


def _check(points: torch.Tensor, clusters: int, max_iterations: int) -> None:
    """Refuse what cannot be clustered."""
    if points.ndim != 2 or not points.is_floating_point() or points.numel() == 0:
        raise DataError(
            f"points of shape {tuple(points.shape)} and type {points.dtype}",
            expected="a floating-point array [N, D] with at least one point",
        )
    if not all(bound.float().isfinite() for bound in points.aminmax()):
        raise DataError(
            "points with values that are not finite",
            expected="numbers only",
            do="find what made the NaN or the infinity, such as a diverged encoder",
        )
    if clusters < 1 or max_iterations < 1:
        raise InputError(
            f"{clusters} clusters and {max_iterations} iterations", expected="at least one of each"
        )


@dataclass(frozen=True, kw_only=True)
class _Nodes:
    """Nodes of one width that are to be split, one entry a node.

    Node i owns the positions ``starts[i]`` up to ``starts[i] + sizes[i]``; its left child gets the
    first ``lefts[i]`` of them. Child sizes differ by at most one among the nodes, so all are padded
    to the same `left` and `right`.
    """

    starts: torch.Tensor
    sizes: torch.Tensor
    lefts: torch.Tensor
    left: int
    right: int

    @classmethod
    def between(cls, cuts: torch.Tensor) -> _Nodes:
        """Nodes from the positions ``[3, nodes]`` of their starts, middles and ends."""
        lefts, rights = cuts.diff(dim=0)
        return cls(
            starts=cuts[0],
            sizes=lefts + rights,
            lefts=lefts,
            left=int(lefts.max()),
            right=int(rights.max()),
        )

    def blocks(self, points: torch.Tensor) -> Iterator[_Nodes]:
        """The nodes on the points' device, a block of `_BLOCK_BYTES` at a time."""
        node_bytes = (self.left + self.right) * points.shape[1] * 4
        nodes = max(1, _BLOCK_BYTES[points.device.type] // node_bytes)
        columns = torch.stack([self.starts, self.sizes, self.lefts]).to(points.device)
        for starts, sizes, lefts in zip(*(c.split(nodes) for c in columns), strict=True):
            yield _Nodes(starts=starts, sizes=sizes, lefts=lefts, left=self.left, right=self.right)

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
    order: torch.Tensor,
    noise: torch.Tensor,
    tolerance: float,
    max_iterations: int,
) -> None:
    """Reorder the positions of each node so that its left child comes first."""
    positions, real, bias = nodes.slots()
    members = order[positions]
    rows = points.index_select(0, members.view(-1)).float().view(*members.shape, -1)
    lengths = torch.linalg.vector_norm(rows, dim=-1)
    rows *= (real / lengths.clamp_min(_TINY))[..., None]
    start = noise[members][:, None]
    side = _two_means(_products(rows), bias[:, None], start, nodes, tolerance, max_iterations)[:, 0]
    ranks = torch.where(real, side, -1.0).argsort(dim=1, descending=True, stable=True)
    order[positions[real]] = members.gather(1, ranks)[real]


def _products(rows: torch.Tensor) -> _Products:
    """The products of unit-length rows ``[nodes, slots, D]``, padding being zero.

    Small nodes keep the inner products of each two rows, which are then fewer numbers than the
    rows themselves: every product reads them all. Weights come from the left, as a row: on a CPU
    that is 2.5 times as fast as a column from the right.
    """
    columns = rows.mT
    if 4 * rows.shape[1] <= rows.shape[2]:
        pairs = rows @ columns
        return lambda weights: weights @ pairs
    return lambda weights: weights @ rows @ columns


def _two_means(
    products: _Products,
    bias: torch.Tensor,
    start: torch.Tensor,
    nodes: _Nodes,
    tolerance: float,
    max_iterations: int,
) -> torch.Tensor:
    """Which slots go left, 1 or 0: balanced 2-means of all nodes at once.

    A row leans to the left by how much nearer it is to the left centroid than to the right one;
    the `left` rows that lean most form the left child, which is the best balanced choice for these
    centroids.

    Args:
        products: of the rows of each node.
        bias: ``[nodes, 1, slots]``, forces padding to its side.
        start: random numbers ``[nodes, 1, slots]``.
        nodes: their sizes.
        tolerance: as for `balanced_kmeans`.
        max_iterations: likewise.
    """
    with_all = products(torch.ones_like(start))
    leaning = _spread(products, with_all, start)
    count, best, side = int(nodes.sizes.sum()), -1.0, bias
    for _ in range(max_iterations):
        chosen = (leaning + bias).topk(nodes.left, sorted=False).indices
        side = torch.zeros_like(bias).scatter_(2, chosen, 1.0)
        with_left = products(side)
        with_sums = torch.cat([with_left, with_all - with_left], dim=1)
        children = torch.cat([side, 1 - side], dim=1)
        lengths = (with_sums * children).sum(dim=2, keepdim=True).clamp_min(_TINY).sqrt()
        # the similarities of points to their centroid add up to the length of their sum
        quality = float(lengths.sum()) / count
        if quality - best < tolerance:
            break
        best = quality
        with_left_centroid, with_right_centroid = (with_sums / lengths).split(1, dim=1)
        leaning = with_left_centroid - with_right_centroid
    return side


def _spread(products: _Products, with_all: torch.Tensor, leaning: torch.Tensor) -> torch.Tensor:
    """Projections ``[nodes, 1, slots]`` on the axis along which the rows of a node spread most.

    Found by power iteration. The axis is kept orthogonal to the mean of the rows: what two halves
    differ by along their mean does not bring them nearer to their centroids.
    """
    with_mean = with_all / with_all.sum(dim=2, keepdim=True).clamp_min(_TINY)
    for _ in range(_POWER_STEPS):
        leaning = torch.baddbmm(products(leaning), leaning @ with_all.mT, with_mean, alpha=-1)
        leaning = torch.nn.functional.normalize(leaning, dim=2)
    return leaning
