"""The auxiliary bank: who shares a vector with whom, and how long it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dexa.auxiliary import AuxiliaryBank, initial_bank, no_vectors


def label_texts(labels: int, dimension: int = 4) -> torch.Tensor:
    vectors = torch.randn(labels, dimension, generator=torch.Generator().manual_seed(3))
    return torch.nn.functional.normalize(vectors, dim=1)


def bank(frequency: list[int], **options: float) -> AuxiliaryBank:
    settings_ = {"shared_vectors": 3, "head_labels": 2, "norm": 0.5, "seed": 1} | options
    return initial_bank(label_texts(len(frequency)), np.array(frequency), **settings_)


FREQUENCY = [5, 1, 9, 2, 5, 0, 3, 1, 1, 4]


def test_the_most_frequent_labels_own_a_vector() -> None:
    made = bank(FREQUENCY, head_labels=3)
    assert made.vector_of_label[[2, 0, 4]].tolist() == [0, 1, 2]  # ties go to the smaller id
    counts = np.bincount(made.vector_of_label, minlength=6)
    assert counts[:3].tolist() == [1, 1, 1]


def test_the_other_labels_share_in_balanced_clusters() -> None:
    made = bank(FREQUENCY)
    counts = np.bincount(made.vector_of_label, minlength=5)
    assert counts[:2].tolist() == [1, 1]
    assert sorted(counts[2:].tolist()) == [2, 3, 3]


def test_like_labels_share_a_vector() -> None:
    texts = torch.eye(4).repeat_interleave(3, dim=0) + 0.01 * label_texts(12)
    made = initial_bank(
        texts, np.ones(12, np.int64), shared_vectors=4, head_labels=0, norm=1.0, seed=1
    )
    groups = made.vector_of_label.reshape(4, 3)
    assert (groups == groups[:, :1]).all()
    assert len(set(groups[:, 0].tolist())) == 4


@settings(max_examples=60)
@given(
    labels=st.integers(1, 30),
    shared=st.integers(0, 40),
    head=st.integers(0, 40),
    seed=st.integers(0, 1_000),
)
def test_any_counts(labels: int, shared: int, head: int, seed: int) -> None:
    frequency = np.random.default_rng(seed).integers(0, 5, labels)
    made = initial_bank(
        label_texts(labels), frequency, shared_vectors=shared, head_labels=head, norm=1.0, seed=2
    )
    assert made.vector_of_label.shape == (labels,)
    assert made.vector_of_label.dtype == np.int64
    if shared == 0:
        assert made.empty
        return
    assert not made.empty
    # every vector belongs to some label, and every label has one
    assert set(made.vector_of_label.tolist()) == set(range(len(made.vectors)))
    owned = min(head, labels)
    assert len(made.vectors) == owned + min(max(shared, 1), labels - owned)


def test_more_vectors_than_labels_is_one_a_label() -> None:
    made = bank(FREQUENCY, shared_vectors=100, head_labels=0)
    assert sorted(made.vector_of_label.tolist()) == list(range(10))


def test_one_label() -> None:
    assert bank([1]).vector_of_label.tolist() == [0]


@pytest.mark.parametrize("norm", [0.0, 0.15, 1.0])
def test_vectors_have_the_length_that_was_asked(norm: float) -> None:
    made = initial_bank(
        label_texts(2_000, 64),
        np.ones(2_000, np.int64),
        shared_vectors=2_000,
        head_labels=0,
        norm=norm,
        seed=4,
    )
    lengths = made.vectors.norm(dim=1)
    assert (lengths.square().mean().sqrt() - norm).abs() < 0.01
    assert (lengths.mean() - norm).abs() < 0.01
    assert made.vectors.mean().abs() < 0.002


def test_a_seed_gives_the_same_bank_and_another_does_not() -> None:
    one, two, other = bank(FREQUENCY), bank(FREQUENCY), bank(FREQUENCY, seed=2)
    assert torch.equal(one.vectors, two.vectors)
    assert np.array_equal(one.vector_of_label, two.vector_of_label)
    assert not torch.equal(one.vectors, other.vectors)


def test_vectors_of_some_labels_and_of_all() -> None:
    vectors = torch.arange(6.0).view(3, 2)
    made = AuxiliaryBank(vectors, np.array([2, 0, 2, 1]))
    assert made.of_labels().tolist() == [[4.0, 5.0], [0.0, 1.0], [4.0, 5.0], [2.0, 3.0]]
    texts = label_texts(4, 2)
    assert torch.equal(made.added_to(texts), texts + made.of_labels())


def test_a_bank_without_vectors_adds_nothing() -> None:
    made = no_vectors(4, 7, torch.device("cpu"))
    assert made.empty
    assert made.vector_of_label.shape == (7,)
    texts = label_texts(7)
    assert made.added_to(texts) is texts
