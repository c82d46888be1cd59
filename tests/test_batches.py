"""Orders of documents: whole, clustered, merged as clusters double, and repeatable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from dexa.batches import ClusteredSampler, ClusterSchedule, epoch_random, sample_positives

SCHEDULE = ClusterSchedule(size=2, start=2, every=3, doublings=(4, 6))


def memory(documents: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(documents, 5, generator=torch.Generator().manual_seed(seed))


def runs(order: np.ndarray, groups: np.ndarray) -> list[int]:
    """The group of each stretch of documents of one group."""
    of_document = groups[order]
    starts = np.flatnonzero(np.diff(of_document, prepend=-1))
    return of_document[starts].tolist()


# schedule


def test_clusters_double_in_size_at_their_epochs() -> None:
    assert [SCHEDULE.clusters(e, 64) for e in range(8)] == [32, 32, 32, 32, 16, 16, 8, 8]
    assert SCHEDULE.clusters(7, 63) == 7


def test_there_is_always_a_cluster() -> None:
    assert ClusterSchedule(size=100, start=0, every=1, doublings=()).clusters(0, 3) == 1


def test_when_documents_are_clustered_anew() -> None:
    assert [e for e in range(12) if SCHEDULE.is_due(e)] == [2, 5, 8, 11]


# orders


@settings(max_examples=40)
@given(
    documents=st.integers(1, 40),
    size=st.integers(1, 50),
    start=st.integers(0, 3),
    every=st.integers(1, 3),
    doublings=st.lists(st.integers(0, 6), max_size=3).map(tuple),
    seed=st.integers(0, 2**31),
)
def test_every_document_once_an_epoch(documents, size, start, every, doublings, seed) -> None:
    schedule = ClusterSchedule(size=size, start=start, every=every, doublings=doublings)
    sampler = ClusteredSampler(documents, schedule, seed)
    for epoch in range(7):
        order = sampler.order(epoch, memory(documents, epoch))
        assert order.dtype == np.int64
        assert sorted(order.tolist()) == list(range(documents))


def test_documents_of_a_cluster_lie_together() -> None:
    sampler = ClusteredSampler(24, SCHEDULE, seed=1)
    order = sampler.order(2, memory(24))
    assert sampler.assignment is not None
    assert np.bincount(sampler.assignment).tolist() == [2] * 12
    stretches = runs(order, sampler.assignment)
    assert sorted(stretches) == list(range(12))
    assert stretches != sorted(stretches)  # clusters are shuffled as wholes


def test_like_documents_share_a_cluster() -> None:
    centres = torch.eye(5).repeat_interleave(4, dim=0)
    near = centres + 0.01 * memory(20)
    shuffle = torch.randperm(20, generator=torch.Generator().manual_seed(2))
    schedule = ClusterSchedule(size=4, start=0, every=1, doublings=())
    order = ClusteredSampler(20, schedule, seed=3).order(0, near[shuffle])
    assert len(runs(order, (shuffle // 4).numpy())) == 5


def test_clusters_merge_with_their_neighbours_as_they_double() -> None:
    sampler = ClusteredSampler(32, SCHEDULE, seed=4)
    sampler.order(2, memory(32))
    finest = sampler.assignment
    assert finest is not None
    order = sampler.order(4, memory(32, 9))  # not due: the memory is not looked at
    assert sampler.assignment is finest
    assert sorted(runs(order, finest // 2)) == list(range(8))


def test_a_merge_into_a_number_that_does_not_divide() -> None:
    schedule = ClusterSchedule(size=3, start=0, every=9, doublings=(1,))
    sampler = ClusteredSampler(21, schedule, seed=5)
    sampler.order(0, memory(21))
    assert sampler.assignment is not None
    assert sampler.assignment.max() == 6  # 7 clusters of 3 become 3
    order = sampler.order(1, memory(21))
    merged = sampler.assignment * 3 // 7
    assert sorted(runs(order, merged)) == [0, 1, 2]
    assert np.bincount(merged).tolist() == [9, 6, 6]


def test_before_the_first_clusters_documents_are_shuffled() -> None:
    sampler = ClusteredSampler(50, SCHEDULE, seed=6)
    order = sampler.order(0, torch.zeros(50, 5))
    assert sampler.assignment is None
    assert order.tolist() != list(range(50))


@pytest.mark.parametrize("size", [1, 2, 1_000])
def test_clusters_of_one_and_of_everything(size: int) -> None:
    schedule = ClusterSchedule(size=size, start=0, every=1, doublings=())
    order = ClusteredSampler(9, schedule, seed=7).order(0, memory(9))
    assert sorted(order.tolist()) == list(range(9))


def test_a_memory_in_half_precision() -> None:
    order = ClusteredSampler(9, SCHEDULE, seed=7).order(2, memory(9).half())
    assert sorted(order.tolist()) == list(range(9))


@pytest.mark.parametrize("epoch", [0, 2])
def test_orders_repeat_under_a_seed_and_differ_between_epochs_and_seeds(epoch: int) -> None:
    def order(epoch: int, seed: int) -> list[int]:
        return ClusteredSampler(40, SCHEDULE, seed).order(epoch, memory(40)).tolist()

    assert order(epoch, 1) == order(epoch, 1)
    assert order(epoch, 1) != order(epoch, 2)
    assert order(epoch, 1) != order(epoch + 3 if epoch else 1, 1)


def test_an_assignment_that_is_put_back_gives_the_same_order() -> None:
    """All that resuming needs between two clusterings."""
    one = ClusteredSampler(40, SCHEDULE, 1)
    one.order(2, memory(40))
    two = ClusteredSampler(40, SCHEDULE, 1)
    two.assignment = one.assignment
    assert np.array_equal(one.order(3, memory(40)), two.order(3, memory(40)))


def test_randomness_has_a_stream_for_each_purpose_and_epoch() -> None:
    draws = {
        epoch_random(seed, epoch, purpose).integers(2**62)
        for seed in (1, 2)
        for epoch in (0, 1)
        for purpose in ("order", "positives")
    }
    assert len(draws) == 8
    assert epoch_random(1, 0, "order").integers(2**62) in draws


# positives


@given(
    rows=st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=1, max_size=8),
    seed=st.integers(0, 2**16),
)
def test_positives_are_true_labels(rows: list[set[int]], seed: int) -> None:
    drawn = sample_positives(as_matrix(rows), np.random.default_rng(seed))
    assert drawn.dtype == np.int64
    assert all(label in row for label, row in zip(drawn.tolist(), rows, strict=True))


def test_positives_are_drawn_uniformly() -> None:
    matrix = as_matrix([{3}, {0, 2, 5, 7}])
    random = np.random.default_rng(0)
    draws = np.stack([sample_positives(matrix, random) for _ in range(4_000)])
    assert (draws[:, 0] == 3).all()
    counts = np.bincount(draws[:, 1], minlength=10)
    assert np.flatnonzero(counts).tolist() == [0, 2, 5, 7]
    assert np.abs(counts[[0, 2, 5, 7]] - 1_000).max() < 130  # 4.7 standard deviations


def test_positives_are_drawn_in_proportion_to_weights() -> None:
    matrix, weights = as_matrix([{3}, {0, 2, 5}]), np.array([1.0, 9, 2, 1e-9, 9, 5, 9, 9, 9, 9])
    random = np.random.default_rng(0)
    draws = np.stack([sample_positives(matrix, random, weights) for _ in range(4_000)])
    assert (draws[:, 0] == 3).all()
    counts = np.bincount(draws[:, 1], minlength=10)
    assert np.flatnonzero(counts).tolist() == [0, 2, 5]
    expected = np.array([1, 2, 5]) / 8 * 4_000
    assert np.abs(counts[[0, 2, 5]] - expected).max() < 150  # 4.7 standard deviations


@settings(max_examples=60)
@given(
    rows=st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=1, max_size=8),
    seed=st.integers(0, 2**16),
    powers=st.lists(st.integers(-12, 12), min_size=10, max_size=10),
)
def test_weighted_positives_are_true_labels(rows, seed: int, powers: list[int]) -> None:
    weights = 10.0 ** np.array(powers)  # beside a large weight the sums round
    drawn = sample_positives(as_matrix(rows), np.random.default_rng(seed), weights)
    assert all(label in row for label, row in zip(drawn.tolist(), rows, strict=True))


def test_no_documents_have_no_positives() -> None:
    empty = csr_array((0, 4), dtype=np.float32)
    assert sample_positives(empty, np.random.default_rng(0)).shape == (0,)


def as_matrix(rows: list[set[int]]) -> csr_array:
    indices = np.concatenate([sorted(row) for row in rows])
    pointers = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    return csr_array((np.ones(len(indices), np.float32), indices, pointers), shape=(len(rows), 10))
