"""Shortlists and the search behind them against searches that look at everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch.nn import functional as F

from dexa.index import ExactIndex
from dexa.neighbours import NeighbourVotes
from dexa.shortlists import ClusterSearch, Shortlist, centroids, head_centroids
from dexa.types import NO_LABEL


def unit(count: int, dimension: int = 8, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, dimension, generator=generator), dim=1)


def label_matrix(documents: int, labels: int, seed: int = 2) -> csr_array:
    draw = np.random.default_rng(seed)
    dense = (draw.random((documents, labels)) < 0.2).astype(np.float32)
    dense[:, -1] = 0  # a label without documents
    return csr_array(dense)


def test_all_clusters_together_are_an_exact_search() -> None:
    vectors, queries = unit(900), unit(40, seed=3)
    search = ClusterSearch.over(vectors, 0, seed=1)
    assert search.probes == 3
    found, exact = search.search(queries, 20), ExactIndex(vectors).search(queries, 20)
    assert np.array_equal(found.labels, exact.labels)
    assert np.allclose(found.scores, exact.scores, atol=1e-6)


def test_what_is_found_in_some_clusters_is_what_lies_in_the_nearest() -> None:
    vectors, queries = unit(900), unit(10, seed=3)
    search = ClusterSearch(vectors, torch.arange(900) % 9, probes=2)
    found = search.search(queries, 250)
    for row in range(10):
        centres = [F.normalize(vectors[c::9].sum(dim=0), dim=0) for c in range(9)]
        cosines = torch.stack([queries[row] @ centre for centre in centres])
        near = set(cosines.topk(2).indices.tolist())
        own = [v for v in range(900) if v % 9 in near]
        order = sorted(own, key=lambda v: -float(queries[row] @ vectors[v]))
        assert found.labels[row, :200].tolist() == order
        assert (found.labels[row, 200:] == NO_LABEL).all()
        assert np.isneginf(found.scores[row, 200:]).all()


def test_scores_of_chosen_vectors() -> None:
    vectors, queries = unit(30), unit(4, seed=3)
    labels = torch.tensor([[0, 5, NO_LABEL]] * 4)
    scores = ClusterSearch.over(vectors, 1, seed=1).score(queries, labels)
    assert torch.allclose(scores[:, :2], queries @ vectors[[0, 5]].T, atol=1e-6)
    assert torch.isneginf(scores[:, 2]).all()


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_the_nearest_vector_of_a_label_counts_and_votes_are_added(weight: float) -> None:
    matrix, documents, queries = label_matrix(25, 12), unit(25, seed=5), unit(6, seed=6)
    vectors, owners = unit(30), np.arange(30) % 12
    votes = NeighbourVotes(index=ExactIndex(documents), labels=matrix, neighbours=4)
    shortlist = Shortlist(
        ClusterSearch.over(vectors, 0, seed=1),
        owners,
        labels=12,
        length=12,
        votes=votes if weight else None,
        votes_weight=weight,
    )
    found = shortlist.opinions(queries).toarray()
    voted = votes.opinions(queries).toarray()
    for row in range(6):
        for label in range(12):
            best = max(float(queries[row] @ vectors[v]) for v in range(30) if owners[v] == label)
            expected = (1 - weight) * max(best, 1e-6) + weight * voted[row, label]
            assert found[row, label] == pytest.approx(expected, abs=1e-5)


def test_lists_hold_the_best_that_is_not_known() -> None:
    matrix, documents = label_matrix(40, 15), unit(40)
    vectors = unit(15, seed=7)
    shortlist = Shortlist(
        ClusterSearch.over(vectors, 0, seed=1),
        np.arange(15),
        labels=15,
        length=5,
        votes=None,
        votes_weight=0.0,
    )
    lists = shortlist.lists(documents, matrix).numpy()
    assert lists.shape == (40, 5)
    dense = matrix.toarray()
    for row, listed in enumerate(lists):
        near = (documents[row] @ vectors.T).clamp(min=1e-6).numpy()  # opinions are positive
        assert all(not dense[row, label] for label in listed if label != NO_LABEL)
        real = [label for label in listed if label != NO_LABEL]
        assert real == sorted(real, key=lambda label: (-near[label], label))


def test_centroids_are_unit_means() -> None:
    matrix, documents = label_matrix(40, 15), unit(40)
    found = centroids(documents, matrix)
    for label in range(15):
        rows = np.flatnonzero(matrix.toarray()[:, label])
        mean = documents[rows].sum(dim=0)
        expected = mean / mean.norm() if len(rows) else mean
        assert torch.allclose(found[label], expected, atol=1e-6)


def test_head_labels_have_several_centroids() -> None:
    matrix, documents = label_matrix(40, 15), unit(40)
    frequency = np.diff(csr_array(matrix.T).indptr)
    bound = int(np.sort(frequency)[-2])
    vectors, owners = head_centroids(documents, matrix, count=3, head_from=bound, seed=1)
    head = np.flatnonzero(frequency >= bound)
    assert owners.tolist() == [label for label in head for _ in range(3)]
    assert torch.allclose(vectors.norm(dim=1), torch.ones(len(vectors)), atol=1e-6)
    none, _ = head_centroids(documents, matrix, count=1, head_from=1, seed=1)
    assert len(none) == 0
