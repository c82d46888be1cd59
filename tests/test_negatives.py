"""The labels of batches, their pairs and their masks, against loops over all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from dexa.negatives import BatchPlan, Distinct, PairList, Pairs, mask, pairs_within
from dexa.tokens import round_number

CPU = torch.device("cpu")


def random_pairs(draw: np.random.Generator, documents: int, labels: int, share: float):
    return (draw.random((documents, labels)) < share).astype(np.float32)


def as_lists(pairs: PairList) -> list[tuple[int, int]]:
    assert pairs.places.dtype == pairs.labels.dtype == torch.int64
    return list(zip(pairs.places.tolist(), pairs.labels.tolist(), strict=True))


# the pairs of documents


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**16),
    documents=st.integers(1, 7),
    labels=st.integers(1, 7),
    share=st.sampled_from([0.0, 0.2, 0.6, 1.0]),
)
def test_pairs_of_documents_against_a_loop(
    seed: int, documents: int, labels: int, share: float
) -> None:
    """In any order, more than once, none at all, with and without pairs."""
    draw = np.random.default_rng(seed)
    matrix = random_pairs(draw, documents, labels, share)
    pairs = Pairs(csr_array(matrix), CPU)
    assert pairs.label_count == labels
    for _ in range(3):  # a lookup leaves no trace in the next
        rows = draw.integers(0, documents, draw.integers(2 * documents))
        expected = [(i, j) for i, d in enumerate(rows) for j in range(labels) if matrix[d, j]]
        assert as_lists(pairs.of(torch.from_numpy(rows))) == expected


def test_an_explicit_zero_is_a_pair() -> None:
    """`Split.labels` holds none; a pair is where an entry is, whatever its relevance."""
    matrix = csr_array((np.zeros(1), np.array([1]), np.array([0, 1])), shape=(1, 2))
    assert as_lists(Pairs(matrix, CPU).of(torch.tensor([0]))) == [(0, 1)]


@pytest.mark.parametrize("index_type", [np.int32, np.int64])
def test_index_types_of_scipy(index_type: type) -> None:
    matrix = csr_array(np.eye(3, dtype=np.float32))
    matrix.indices, matrix.indptr = (
        matrix.indices.astype(index_type),
        matrix.indptr.astype(index_type),
    )
    assert as_lists(Pairs(matrix, CPU).of(torch.tensor([2, 0]))) == [(0, 2), (1, 0)]


# the distinct numbers of batches


@settings(max_examples=100)
@given(
    batches=st.lists(st.lists(st.integers(0, 8), max_size=6), min_size=1, max_size=5),
    budget=st.booleans(),
    seed=st.integers(0, 99),
)
def test_distinct_numbers_against_a_loop(batches: list[list[int]], budget: bool, seed: int) -> None:
    owners = np.repeat(np.arange(len(batches)), [len(batch) for batch in batches])
    numbers = np.array([n for batch in batches for n in batch], np.int64)
    order = np.random.default_rng(seed).permutation(len(numbers))
    distinct = Distinct(
        torch.from_numpy(owners[order]),
        torch.from_numpy(numbers[order]),
        len(batches),
        budget=budget,
    )
    expected = [sorted(set(batch)) for batch in batches]
    filled = [
        own + [-1] * (round_number(len(own), 256) - len(own) if budget else 0) for own in expected
    ]
    assert [distinct.of(b).tolist() for b in range(len(batches))] == filled
    assert distinct.batches().tolist() == [b for b, own in enumerate(filled) for _ in own]
    beside = distinct.numbers * 2
    assert [distinct.part(beside, b).tolist() for b in range(len(batches))] == [
        [2 * n for n in own] for own in filled
    ]
    if not len(numbers):
        return
    asked = [(b, n) for b in range(len(batches)) for n in range(-1, 11)]
    places, there = distinct.columns(*torch.tensor(asked).T)
    for (b, n), place, is_there in zip(asked, places.tolist(), there.tolist(), strict=True):
        assert is_there == (n in expected[b])
        if is_there:
            assert place == expected[b].index(n)


# plans of batches


def naive_mask(matrix: np.ndarray, documents: list[int], labels: list[int]) -> list[list[bool]]:
    return [[j >= 0 and bool(matrix[i, j]) for j in labels] for i in documents]


def check(plan: BatchPlan, documents: np.ndarray, truth: np.ndarray, known: np.ndarray) -> None:
    """A plan of all positives of documents is what loops over batches, rows and labels find."""
    assert plan.count == -(-len(documents) // plan.batch_size)
    for b in range(plan.count):
        rows = documents[b * plan.batch_size : (b + 1) * plan.batch_size].tolist()
        assert plan.rows(b).tolist() == rows
        labels = plan.labels(b).tolist()
        assert labels == plan.host_labels[b].tolist()
        real = [j for j in range(truth.shape[1]) if truth[rows, j].any()]
        assert labels[: len(real)] == real
        assert all(j == -1 for j in labels[len(real) :])
        for cells, matrix in ((plan.chosen(b), truth), (plan.known(b), known)):
            found = mask(cells, len(rows), len(labels))
            assert found.dtype == torch.bool
            assert found.tolist() == naive_mask(matrix, rows, labels)


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(1, 12),
    labels=st.integers(1, 9),
    batch_size=st.integers(1, 13),
    share=st.sampled_from([0.1, 0.3, 1.0]),
    budget=st.booleans(),
)
def test_plans_against_loops(
    seed: int, count: int, labels: int, batch_size: int, share: float, budget: bool
) -> None:
    draw = np.random.default_rng(seed)
    truth = random_pairs(draw, count, labels, share)
    truth[draw.integers(count), draw.integers(labels)] = 1  # documents without any may be others
    known = np.maximum(truth, random_pairs(draw, count, labels, 0.2))
    documents = draw.permutation(np.append(np.arange(count), draw.integers(0, count, 3)))
    order = torch.from_numpy(documents)
    plan = BatchPlan(
        order,
        Pairs(csr_array(truth), CPU).of(order),
        Pairs(csr_array(known), CPU).of(order),
        batch_size,
        budget=budget,
    )
    check(plan, documents, truth, known)
    if budget:
        for part in (plan.labels, plan.chosen, plan.known):
            assert all(len(part(b)) == round_number(len(part(b)), 256) for b in range(plan.count))
        for part in (plan.chosen, plan.known):  # batches of as many labels have one shape
            assert len({len(part(b)) for b in range(plan.count)}) == 1


@settings(max_examples=50)
@given(st.integers(0, 2**16), st.integers(1, 6), st.booleans())
def test_one_label_a_document_is_found_in_its_column(
    seed: int, batch_size: int, budget: bool
) -> None:
    draw = np.random.default_rng(seed)
    known = random_pairs(draw, 10, 8, 0.3)
    drawn = draw.integers(0, 8, 10)
    known[np.arange(10), drawn] = 1
    order = torch.from_numpy(draw.permutation(10))
    chosen = PairList(torch.arange(10), torch.from_numpy(drawn)[order])
    plan = BatchPlan(
        order, chosen, Pairs(csr_array(known), CPU).of(order), batch_size, budget=budget
    )
    for b in range(plan.count):
        rows, labels = plan.rows(b), plan.labels(b)
        cells = plan.chosen(b)[: len(rows)]
        assert (cells // len(labels)).tolist() == list(range(len(rows)))
        assert labels[cells % len(labels)].tolist() == drawn[rows.numpy()].tolist()


def test_a_mask_of_no_cells_and_of_those_behind_the_last() -> None:
    assert not mask(torch.zeros(0, dtype=torch.int64), 2, 3).any()
    assert mask(torch.tensor([6, 5, 6]), 2, 3).tolist() == [[False] * 3, [False, False, True]]
    assert mask(torch.tensor([0]), 1, 0).shape == (1, 0)


# pairs within batches of labels and documents


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(1, 12),
    batch_size=st.integers(1, 13),
    share=st.sampled_from([0.0, 0.1, 0.4, 1.0]),
    budget=st.booleans(),
)
def test_pairs_within_batches_against_loops(
    seed: int, count: int, batch_size: int, share: float, budget: bool
) -> None:
    """Labels and documents that come more than once, and pairs of other batches."""
    draw = np.random.default_rng(seed)
    matrix = random_pairs(draw, 6, 5, share)
    labels, documents = draw.integers(0, 5, count), draw.integers(0, 6, count)
    found = pairs_within(
        Pairs(csr_array(matrix), CPU),
        torch.from_numpy(labels),
        torch.from_numpy(documents),
        batch_size,
        budget=budget,
    )
    batches = range(-(-count // batch_size))
    for b in batches:
        some = slice(b * batch_size, (b + 1) * batch_size)
        rows, columns = labels[some], documents[some]
        expected = [[bool(matrix[document, label]) for document in columns] for label in rows]
        assert mask(found.of(b), len(rows), len(rows)).tolist() == expected
    if budget:  # all batches have one shape
        assert len({len(found.of(b)) for b in batches}) == 1
