"""Which pairs of a batch are known, against a loop over all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from dexa.negatives import Pairs

CPU = torch.device("cpu")


def naive_mask(matrix: np.ndarray, documents: np.ndarray, labels: np.ndarray) -> list[list[bool]]:
    return [[bool(matrix[i, j]) for j in labels] for i in documents]


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    documents=st.integers(1, 7),
    labels=st.integers(1, 7),
    share=st.sampled_from([0.0, 0.2, 0.6, 1.0]),
)
def test_masks_against_a_loop(seed: int, documents: int, labels: int, share: float) -> None:
    draw = np.random.default_rng(seed)
    matrix = (draw.random((documents, labels)) < share).astype(np.float32)
    pairs = Pairs(csr_array(matrix), CPU)
    for _ in range(3):  # a lookup leaves no trace in the next
        rows = draw.permutation(documents)[: draw.integers(documents + 1)]
        columns = draw.permutation(labels)[: draw.integers(labels + 1)]
        mask = pairs.mask(rows, torch.from_numpy(columns))
        assert mask.dtype == torch.bool
        assert mask.shape == (len(rows), len(columns))
        assert mask.tolist() == naive_mask(matrix, rows, columns)


def test_rows_in_any_order_and_more_than_once() -> None:
    matrix = np.array([[1, 0, 0], [0, 0, 0], [0, 1, 1]], np.float32)
    rows, columns = np.array([2, 0, 1, 2]), np.array([2, 0])
    mask = Pairs(csr_array(matrix), CPU).mask(rows, torch.from_numpy(columns))
    assert mask.tolist() == naive_mask(matrix, rows, columns)


def test_documents_without_pairs_at_the_ends_of_the_matrix() -> None:
    matrix = csr_array(np.array([[0, 0], [1, 0], [0, 0]], np.float32))
    mask = Pairs(matrix, CPU).mask(np.array([0, 2, 1]), torch.tensor([1, 0]))
    assert mask.tolist() == [[False, False], [False, False], [False, True]]


def test_an_explicit_zero_is_an_entry() -> None:
    """`Split.labels` holds none; a pair is where an entry is, whatever its relevance."""
    matrix = csr_array((np.zeros(1), np.array([1]), np.array([0, 1])), shape=(1, 2))
    assert Pairs(matrix, CPU).mask(np.array([0]), torch.tensor([0, 1])).tolist() == [[False, True]]


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_index_types_of_scipy(index_type: type) -> None:
    matrix = csr_array(np.eye(3, dtype=np.float32))
    matrix.indices, matrix.indptr = (
        matrix.indices.astype(index_type),
        matrix.indptr.astype(index_type),
    )
    mask = Pairs(matrix, CPU).mask(np.array([2, 0]), torch.tensor([0, 1, 2]))
    assert mask.tolist() == [[False, False, True], [True, False, False]]
