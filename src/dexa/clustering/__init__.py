"""Clusters of equal size, of dense points and of sparse ones, how good they are, and overlap."""

from __future__ import annotations

from dexa.clustering.dense import balanced_kmeans
from dexa.clustering.overlap import overlapping
from dexa.clustering.quality import ClusterQuality, cohesion, quality
from dexa.clustering.sparse import balanced_kmeans_sparse

__all__ = [
    "ClusterQuality",
    "balanced_kmeans",
    "balanced_kmeans_sparse",
    "cohesion",
    "overlapping",
    "quality",
]
