"""Votes of the nearest documents, against a loop over neighbours and their labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from dexa.errors import RecipeError
from dexa.index import ExactIndex
from dexa.neighbours import NeighbourVotes


def unit(draw: np.random.Generator, count: int) -> torch.Tensor:
    vectors = torch.from_numpy(draw.standard_normal((count, 4)).astype(np.float32))
    return torch.nn.functional.normalize(vectors)


def naive_votes(
    documents: np.ndarray, labels: np.ndarray, query: np.ndarray, neighbours: int, heat: float
) -> list[float]:
    cosines = documents.astype(np.float64) @ query
    nearest = sorted(range(len(documents)), key=lambda i: -cosines[i])[:neighbours]
    total = sum(math.exp(cosines[i] / heat) for i in nearest)
    votes = [0.0] * labels.shape[1]
    for i in nearest:
        for label in np.flatnonzero(labels[i]):
            votes[label] += math.exp(cosines[i] / heat) / total
    return votes


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**16),
    n=st.integers(1, 12),
    neighbours=st.integers(1, 15),
    heat=st.sampled_from([0.02, 0.05, 1.0]),
)
def test_votes_against_a_loop(seed: int, n: int, neighbours: int, heat: float) -> None:
    draw = np.random.default_rng(seed)
    documents, queries = unit(draw, n), unit(draw, 3)
    labels = np.where(draw.random((n, 5)) < 0.4, 2.5, 0).astype(np.float32)  # graded
    scorer = NeighbourVotes(
        index=ExactIndex(documents),
        labels=csr_array(labels),
        neighbours=neighbours,
        temperature=heat,
    )
    votes = scorer.opinions(queries)
    assert votes.dtype == np.float32
    assert votes.has_sorted_indices
    assert (votes.data > 0).all()
    expected = [
        naive_votes(documents.numpy(), labels, query, neighbours, heat) for query in queries.numpy()
    ]
    assert votes.toarray() == pytest.approx(np.array(expected), abs=1e-5)


def test_no_more_than_all_votes() -> None:
    documents = torch.eye(4)[[0] * 3]
    labels = csr_array(np.ones((3, 1), np.float32))
    votes = NeighbourVotes(index=ExactIndex(documents), labels=labels).opinions(documents[:1])
    assert votes.toarray().tolist() == [[1.0]]


def test_documents_without_labels_do_not_vote() -> None:
    labels = csr_array((2, 3), dtype=np.float32)
    votes = NeighbourVotes(index=ExactIndex(torch.eye(2)), labels=labels).opinions(torch.eye(2))
    assert votes.shape == (2, 3)
    assert votes.nnz == 0


def test_a_batch_of_none() -> None:
    scorer = NeighbourVotes(index=ExactIndex(torch.eye(2)), labels=csr_array(np.eye(2)))
    assert scorer.opinions(torch.empty(0, 2)).shape == (0, 2)


@pytest.mark.parametrize(
    ("neighbours", "temperature", "words"),
    [
        (0, 0.05, "0 neighbours"),
        (5, 0.0, "temperature of 0.0"),
        (5, math.nan, "temperature of nan"),
    ],
)
def test_settings_that_cannot_be(neighbours: int, temperature: float, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        NeighbourVotes(
            index=ExactIndex(torch.eye(2)),
            labels=csr_array(np.eye(2)),
            neighbours=neighbours,
            temperature=temperature,
        )
