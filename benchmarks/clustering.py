"""Balanced k-means beside plain recursive 2-means: seconds and quality, on a mixture of Gaussians.

    python benchmarks/clustering.py --n 81655 --dimension 384 --clusters 8192
    python benchmarks/clustering.py --device cuda --clusters 32768

Quality is `cohesion`, the mean similarity of points to their own centroid. On a GPU the first run
starts libraries and is not counted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from dexa.clustering import balanced_kmeans, cohesion


def mixture(count: int, dimension: int, device: str) -> torch.Tensor:
    """Points around one centre for every forty of them, about as far from it as centres are."""
    random = torch.Generator().manual_seed(0)
    centres = max(1, count // 40)
    points = torch.randn(count, dimension, generator=random)
    points *= torch.rand(count, 1, generator=random) * 1.2
    points += torch.randn(centres, dimension, generator=random)[
        torch.randint(centres, (count,), generator=random)
    ]
    return points.to(device)


def plain_two_means(points: torch.Tensor, clusters: int, seed: int) -> torch.Tensor:
    """One node at a time: two random points, then sort by the difference, cut, average, repeat."""
    random = torch.Generator().manual_seed(seed)
    points = F.normalize(points, dim=1)
    assignment = torch.empty(len(points), dtype=torch.int64, device=points.device)
    nodes = [(torch.arange(len(points), device=points.device), 0, clusters)]
    while nodes:
        members, first, width = nodes.pop()
        if width == 1:
            assignment[members] = first
            continue
        half = (width + 1) // 2
        left, right = _halves(points[members], round(len(members) * half / width), random)
        nodes += [(members[left], first, half), (members[right], first + half, width - half)]
    return assignment


def _halves(
    rows: torch.Tensor, left: int, random: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    centroids = rows[torch.randperm(len(rows), generator=random)[:2].to(rows.device)]
    best = -1.0
    while True:
        near = rows @ centroids.T
        order = (near[:, 1] - near[:, 0]).argsort()
        halves = order[:left], order[left:]
        quality = float(near[halves[0], 0].sum() + near[halves[1], 1].sum()) / len(rows)
        if quality - best < 1e-4:
            return halves
        best = quality
        centroids = F.normalize(torch.stack([rows[half].mean(dim=0) for half in halves]), dim=1)


def measure(
    name: str, cluster: Callable[..., torch.Tensor], points: torch.Tensor, clusters: int
) -> None:
    if points.device.type == "cuda":
        cluster(points, clusters, seed=1)
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    assignment = cluster(points, clusters, seed=0)
    if points.device.type == "cuda":
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sizes = torch.bincount(assignment, minlength=clusters)
    print(
        f"{name:20} {cpu:8.2f} CPU-s {wall:8.3f} s   cohesion {cohesion(points, assignment):.4f}"
        f"   sizes {sizes.min()} to {sizes.max()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=81_655)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--clusters", type=int, default=8192)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    points = mixture(given.n, given.dimension, given.device)
    print(f"{given.n} × {given.dimension} into {given.clusters} on {given.device}")
    measure("balanced_kmeans", balanced_kmeans, points, given.clusters)
    measure("plain two-means", plain_two_means, points, given.clusters)


if __name__ == "__main__":
    main()
