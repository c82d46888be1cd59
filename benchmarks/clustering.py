"""Balanced k-means beside plain recursive 2-means: seconds and quality.

    python benchmarks/clustering.py --n 81655 --dimension 384 --clusters 8192
    python benchmarks/clustering.py --device cuda --clusters 32768
    python benchmarks/clustering.py --sparse --clusters 8192
    python benchmarks/clustering.py --sparse --fields title content --words

Dense points are a mixture of Gaussians, sparse ones the TF-IDF features of the bundled titles, or
of other fields. Cohesion is the mean similarity of points to their own centroid. Further figures of
`quality` are of 10,000 points drawn at random. On a GPU the first run starts libraries and is not
counted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.clustering import balanced_kmeans, balanced_kmeans_sparse, overlapping, quality
from dexa.data import TextFeatures, load_dataset

BUNDLED = Path(__file__).parents[1] / "datasets" / "LF-WordNet-98K"


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


def plain_sparse_two_means(points: csr_array, clusters: int, seed: int) -> NDArray[np.int64]:
    """The same of sparse rows of unit length, with dense centroids."""
    random = np.random.default_rng(seed)
    assignment = np.empty(points.shape[0], np.int64)
    nodes = [(np.arange(len(assignment)), 0, clusters)]
    while nodes:
        members, first, width = nodes.pop()
        if width == 1:
            assignment[members] = first
            continue
        half = (width + 1) // 2
        left, right = _sparse_halves(points[members], round(len(members) * half / width), random)
        nodes += [(members[left], first, half), (members[right], first + half, width - half)]
    return assignment


def _sparse_halves(
    rows: csr_array, left: int, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    count = rows.shape[0]
    centroids = rows[random.choice(count, 2, replace=False)].toarray()
    best = -1.0
    while True:
        near = rows @ centroids.T
        order = (near[:, 1] - near[:, 0]).argsort()
        halves = order[:left], order[left:]
        found = float(near[halves[0], 0].sum() + near[halves[1], 1].sum()) / count
        if found - best < 1e-4:
            return halves
        best = found
        centroids = np.stack([rows[half].sum(axis=0) for half in halves])
        centroids /= np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-12)


def features_of_texts(fields: list[str], parts: bool) -> csr_array:
    """TF-IDF of the documents of the bundled data set."""
    texts = load_dataset(BUNDLED, fields=fields).train.texts
    assert texts is not None
    return TextFeatures.fit(texts, parts=parts).transform(texts)


def measure(name: str, cluster: Callable, points: torch.Tensor | csr_array, clusters: int) -> None:
    on_gpu = isinstance(points, torch.Tensor) and points.device.type == "cuda"
    if on_gpu:
        cluster(points, clusters, seed=1)
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    assignment = cluster(points, clusters, seed=0)
    if on_gpu:
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    found = quality(points, assignment, sample=10_000)
    print(
        f"{name:22} {cpu:8.2f} CPU-s {wall:8.3f} s   cohesion {found.cohesion:.4f}"
        f"   sizes {found.smallest} to {found.largest}"
        f"   next centroid {found.nearest_other:.4f}, nearer for {100 * found.misplaced:.1f} %"
    )


def measure_overlap(points: torch.Tensor | csr_array, clusters: int) -> None:
    """Seconds of letting clusters grow by a tenth."""
    cluster = balanced_kmeans if isinstance(points, torch.Tensor) else balanced_kmeans_sparse
    assignment = cluster(points, clusters, seed=0)
    cpu = time.process_time()
    members = overlapping(points, assignment, share=0.1)
    cpu = time.process_time() - cpu
    sizes = members.sum(axis=0)
    print(f"{'overlap of a tenth':22} {cpu:8.2f} CPU-s   sizes {sizes.min():g} to {sizes.max():g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=81_655)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--clusters", type=int, default=8192)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sparse", action="store_true", help="TF-IDF of bundled texts instead")
    parser.add_argument("--fields", nargs="+", default=["title"])
    parser.add_argument("--words", action="store_true", help="of sparse points, without parts")
    parser.add_argument("--overlap", action="store_true", help="measure overlap too")
    given = parser.parse_args()
    if given.sparse:
        points = features_of_texts(given.fields, not given.words)
        print(f"{points.shape}, {points.nnz} entries, into {given.clusters}")
        ours, plain = balanced_kmeans_sparse, plain_sparse_two_means
    else:
        points = mixture(given.n, given.dimension, given.device)
        print(f"{given.n} × {given.dimension} into {given.clusters} on {given.device}")
        ours, plain = balanced_kmeans, plain_two_means
    measure(ours.__name__, ours, points, given.clusters)
    measure(plain.__name__, plain, points, given.clusters)
    if given.overlap:
        measure_overlap(points, given.clusters)


if __name__ == "__main__":
    main()
