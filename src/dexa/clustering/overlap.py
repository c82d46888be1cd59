"""Overlap of clusters: each takes in the points of others that are nearest to it.

pyxclib's leakage does so at every split, by a radius: it grows clusters without bound, and each by
another amount. Here clusters are widened once, when they are complete, each by the same share.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.clustering.cosines import centroids, cluster_ids, cosine_blocks, unit_points
from dexa.errors import InputError


@torch.no_grad()
def overlapping(
    points: torch.Tensor | csr_array,
    assignment: torch.Tensor | NDArray[np.integer],
    *,
    share: float,
) -> csr_array:
    """Let each cluster take in the points of others that are nearest to its centroid.

    A cluster of n points takes in ``share · n``, rounded, by cosine, so that clusters of equal size
    stay so. A point may be taken in by several clusters, and stays in its own. One that is not
    similar to a cluster (cosine 0 or less) is not taken in.

    Args:
        points: floating point ``[N, D]`` on any device, or CSR ``[N, V]``.
        assignment: cluster ids ``[N]``, whole numbers from 0.
        share: by what part of its size a cluster grows, from 0; 0.1 is a tenth.

    Returns:
        Float32 ones ``[N, clusters]``, indices sorted: the clusters of each point.

    Raises:
        DataError: the points are not finite numbers, or the ids do not fit them.
        InputError: `share` is negative or no number.
    """
    if not 0 <= share < math.inf:
        raise InputError(f"an overlap of {share}", expected="a share from 0, such as 0.1")
    unit, ids = unit_points(points), cluster_ids(assignment, points)
    sizes = torch.bincount(ids)
    taken = (sizes.double() * share).round().clamp_max(len(ids)).long()
    pairs = [torch.stack([torch.arange(len(ids), device=ids.device), ids])]
    for start, cosines in cosine_blocks(centroids(unit, ids, len(sizes)), unit):
        wanted = taken[start : start + len(cosines)]
        own = ((ids >= start) & (ids < start + len(cosines))).nonzero()[:, 0]
        cosines[ids[own] - start, own] = -math.inf
        nearest = cosines.topk(int(wanted.max()), dim=1)
        ranks = torch.arange(nearest.values.shape[1], device=ids.device)
        cluster, rank = ((ranks < wanted[:, None]) & (nearest.values > 0)).nonzero(as_tuple=True)
        pairs.append(torch.stack([nearest.indices[cluster, rank], start + cluster]))
    rows, columns = torch.cat(pairs, dim=1).cpu().numpy()
    ones = np.ones(len(rows), np.float32)
    members = csr_array((ones, (rows, columns)), shape=(len(ids), len(sizes)))
    members.sort_indices()
    return members
