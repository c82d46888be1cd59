from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dexa import kernels
from dexa.clustering import balanced_kmeans, cohesion, dense
from dexa.errors import DataError, InputError

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def mixture(count: int, dimension: int, centres: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    means = torch.randn(centres, dimension, generator=random)
    nearest = torch.randint(centres, (count,), generator=random)
    return means[nearest] + torch.randn(count, dimension, generator=random)


def naive_balanced_kmeans(points: torch.Tensor, clusters: int, seed: int) -> torch.Tensor:
    """One node at a time, from two random points: the scheme of the DEXA paper's code."""
    random = torch.Generator().manual_seed(seed)
    points = torch.nn.functional.normalize(points, dim=1)
    assignment = torch.zeros(len(points), dtype=torch.int64)
    nodes = [(torch.arange(len(points)), 0, clusters)]
    while nodes:
        members, first, width = nodes.pop()
        if width == 1:
            assignment[members] = first
            continue
        rows, half = points[members], (width + 1) // 2
        left = round(len(members) * half / width)
        centroids = rows[torch.randperm(len(rows), generator=random)[:2]]
        best = -1.0
        while True:
            near = rows @ centroids.T
            order = (near[:, 1] - near[:, 0]).argsort()
            parts = order[:left], order[left:]
            quality = sum(float(near[part, i].sum()) for i, part in enumerate(parts)) / len(rows)
            if quality - best < 1e-4:
                break
            best = quality
            means = torch.stack([rows[part].mean(dim=0) for part in parts])
            centroids = torch.nn.functional.normalize(means, dim=1)
        nodes.append((members[parts[0]], first, half))
        nodes.append((members[parts[1]], first + half, width - half))
    return assignment


@settings(max_examples=60)
@given(
    count=st.integers(1, 300),
    clusters=st.integers(1, 320),
    dimension=st.integers(1, 5),
    seed=st.integers(0, 2**31),
)
def test_sizes_differ_by_at_most_one(count: int, clusters: int, dimension: int, seed: int) -> None:
    points = torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed))
    assignment = balanced_kmeans(points, clusters, seed=seed)
    assert assignment.dtype == torch.int64
    assert assignment.shape == (count,)
    sizes = torch.bincount(assignment, minlength=min(clusters, count))
    assert len(sizes) == min(clusters, count)
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("clusters", [4, 7, 64])
def test_groups_that_lie_apart_are_found(device: str, clusters: int) -> None:
    groups = torch.arange(clusters).repeat(12)
    corners = torch.randn(clusters, 32, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(len(groups), 32, generator=torch.Generator().manual_seed(2))
    points = corners[groups] * 10 + noise * 0.01
    assignment = balanced_kmeans(points.to(device), clusters, seed=3).cpu()
    together = (assignment[:, None] == assignment) == (groups[:, None] == groups)
    assert together.float().mean() > 0.97
    if clusters == 4:
        assert together.all()


def test_neighbouring_ids_are_neighbours_in_the_tree() -> None:
    corners = torch.tensor([[1.0, 0.0], [0.9, 0.1], [-1.0, 0.0], [-0.9, -0.1]])
    assignment = balanced_kmeans(corners.repeat_interleave(5, dim=0), 4, seed=0)
    halves = assignment.view(4, 5) // 2
    assert (halves[:2] == halves[0, 0]).all()
    assert (halves[2:] == 1 - halves[0, 0]).all()


@pytest.mark.parametrize(
    ("count", "dimension", "clusters"), [(2000, 16, 8), (2000, 16, 100), (800, 64, 300)]
)
def test_no_worse_than_naive_two_means(count: int, dimension: int, clusters: int) -> None:
    points = mixture(count, dimension, 50)
    ours = [cohesion(points, balanced_kmeans(points, clusters, seed=seed)) for seed in range(3)]
    naive = [
        cohesion(points, naive_balanced_kmeans(points, clusters, seed=seed)) for seed in range(3)
    ]
    assert sum(ours) > sum(naive)


def test_products_of_small_and_large_nodes() -> None:
    rows = mixture(30, 64, 3).view(3, 10, 64)
    weights = torch.randn(3, 1, 10, generator=torch.Generator().manual_seed(0))
    expected = torch.einsum("ns,nsd,ntd->nt", weights[:, 0], rows, rows)[:, None]
    torch.testing.assert_close(dense._products(rows)(weights), expected)
    few = rows[..., :16]  # so that fewer numbers than the inner products of each two
    expected = torch.einsum("ns,nsd,ntd->nt", weights[:, 0], few, few)[:, None]
    torch.testing.assert_close(dense._products(few)(weights), expected)


@pytest.mark.gpu
@pytest.mark.parametrize("slots", [2, 3, 16, 47, 95, 128])
def test_small_nodes_are_halved_as_one_at_a_time(slots: int) -> None:
    count, left = 40, (slots + 1) // 2
    sizes = torch.full((count,), slots)
    sizes[::2] -= int(slots > 2)  # a row less, on the right
    rows = mixture(count * slots, 24, 60).view(count, slots, 24)
    rows = torch.nn.functional.normalize(rows, dim=2)
    real = torch.arange(slots) < sizes[:, None]
    rows *= real[..., None]
    bias = torch.where(real, 0.0, -torch.inf)[:, None]
    start = torch.randn(count, 1, slots, generator=torch.Generator().manual_seed(4))
    given = [part.cuda() for part in (rows @ rows.mT, bias, start, sizes)]
    options = {"power_steps": dense._POWER_STEPS, "tolerance": 5e-5, "max_iterations": 100}
    sides = kernels.halves_of_few(*given, left=left, **options).cpu()
    assert torch.equal(sides.sum(dim=2), torch.full((count, 1), float(left)))
    assert ((sides == 0) | (sides == 1)).all()
    assert (sides[bias.isneginf()] == 0).all()
    same, qualities = 0, []
    for node in range(count):
        one = [part[node : node + 1] for part in (rows, bias, start)]
        nodes = dense._Nodes(
            starts=torch.zeros(1, dtype=torch.int64),
            sizes=sizes[node : node + 1],
            lefts=torch.tensor([left]),
            left=left,
            right=slots - left,
            count=int(sizes[node]),
        )
        expected = dense._two_means(dense._products(one[0]), one[1], one[2], nodes, 5e-5, 100)
        same += torch.equal(sides[node], expected[0])
        qualities.append([lengths_of(rows[node], side) for side in (sides[node], expected[0])])
    assert same >= 0.9 * count
    ours, theirs = torch.tensor(qualities).mean(dim=0)
    assert ours == pytest.approx(theirs, rel=2e-3)


def lengths_of(rows: torch.Tensor, side: torch.Tensor) -> float:
    """The lengths of the sums of both halves, which add up to all similarities."""
    return float((side @ rows).norm() + ((1 - side) @ rows).norm())


def test_blocks_do_not_change_the_quality(monkeypatch: pytest.MonkeyPatch) -> None:
    points = mixture(1000, 16, 50)
    whole = balanced_kmeans(points, 100, seed=0)
    monkeypatch.setattr(dense, "_BLOCK_BYTES", {"cpu": 1})
    one_node_at_a_time = balanced_kmeans(points, 100, seed=0)
    assert torch.bincount(one_node_at_a_time).eq(10).all()
    assert cohesion(points, one_node_at_a_time) == pytest.approx(cohesion(points, whole), abs=0.01)


@pytest.mark.parametrize("device", DEVICES)
def test_seed_alone_decides(device: str) -> None:
    points = mixture(500, 8, 20).to(device)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = balanced_kmeans(points, 37, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(first, balanced_kmeans(points, 37, seed=5))
    assert not torch.equal(first, balanced_kmeans(points, 37, seed=6))
    assert first.device == points.device


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_type(dtype: torch.dtype) -> None:
    points = mixture(400, 8, 20)
    ours = balanced_kmeans(points.to(dtype), 40, seed=0)
    assert torch.bincount(ours).eq(10).all()
    assert cohesion(points, ours) == pytest.approx(
        cohesion(points, balanced_kmeans(points, 40, seed=0)), abs=0.03
    )


def test_length_does_not_matter() -> None:
    points = mixture(300, 8, 20)
    lengths = 2.0 ** torch.randint(-8, 8, (300, 1), generator=torch.Generator().manual_seed(0))
    stretched = balanced_kmeans(points * lengths, 30, seed=0)
    assert torch.equal(stretched, balanced_kmeans(points, 30, seed=0))


@pytest.mark.parametrize(
    "points",
    [
        torch.zeros(50, 4),
        torch.ones(50, 4),
        torch.cat([torch.zeros(20, 4), torch.randn(30, 4)]),
        torch.eye(4).repeat(13, 1)[:50],
        torch.eye(4)[:1].repeat(50, 1) * torch.tensor([1.0, -1.0]).repeat(25)[:, None],
    ],
    ids=["zeros", "equal", "some zeros", "duplicates", "opposites"],
)
def test_zeros_and_duplicates(points: torch.Tensor) -> None:
    sizes = torch.bincount(balanced_kmeans(points, 8, seed=0), minlength=8)
    assert sorted(sizes.tolist()) == [6, 6, 6, 6, 6, 6, 7, 7]


def test_as_many_clusters_as_points_or_more() -> None:
    points = mixture(9, 3, 2)
    for clusters in (9, 10, 1000):
        assert sorted(balanced_kmeans(points, clusters, seed=0).tolist()) == list(range(9))
    assert balanced_kmeans(points, 1, seed=0).tolist() == [0] * 9
    assert balanced_kmeans(points[:1], 1, seed=0).tolist() == [0]


def test_stops_after_the_given_iterations() -> None:
    points = mixture(1000, 16, 300)
    hasty = balanced_kmeans(points, 50, seed=0, max_iterations=1)
    thorough = balanced_kmeans(points, 50, seed=0, tolerance=0.0)
    assert cohesion(points, hasty) < cohesion(points, thorough)


@pytest.mark.parametrize(
    "points",
    [
        torch.tensor([[1.0, float("nan")], [0.0, 1.0], [1.0, 0.0]]),
        torch.tensor([[1.0, float("inf")], [0.0, 1.0], [1.0, 0.0]]),
        torch.full((3, 4), 1e300, dtype=torch.float64),
        torch.ones(3),
        torch.ones(0, 4),
        torch.ones(3, 4, dtype=torch.int64),
    ],
    ids=["nan", "infinite", "beyond float32", "one axis", "empty", "integers"],
)
def test_refuses_what_are_no_points(points: torch.Tensor) -> None:
    with pytest.raises(DataError, match="expected"):
        balanced_kmeans(points, 2, seed=0)


@pytest.mark.parametrize(("clusters", "iterations"), [(0, 5), (-1, 5), (2, 0)])
def test_refuses_what_cannot_be_made(clusters: int, iterations: int) -> None:
    with pytest.raises(InputError, match="at least one"):
        balanced_kmeans(torch.ones(4, 2), clusters, seed=0, max_iterations=iterations)


def test_cohesion_is_the_mean_cosine_with_the_centroid() -> None:
    points, assignment = mixture(60, 5, 4), torch.arange(60) % 7
    unit = points / points.norm(dim=1, keepdim=True)
    cosines = []
    for cluster in range(7):
        members = unit[assignment == cluster]
        centroid = members.mean(dim=0)
        cosines += [float(row @ centroid / centroid.norm()) for row in members]
    assert cohesion(points, assignment) == pytest.approx(sum(cosines) / 60, rel=1e-6)
