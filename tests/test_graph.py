from __future__ import annotations

from collections.abc import Callable

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy.sparse import csr_array

from dexa import graph as module
from dexa.errors import DataError, InputError
from dexa.graph import normalized_rows, normalized_symmetric, random_walk_graph

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator"),
        ],
    ),
]
ROWS = st.lists(st.sets(st.integers(0, 5), max_size=4), max_size=8)


def matrix_of(rows: list[set[int]], n_labels: int = 6) -> csr_array:
    dense = np.zeros((len(rows), n_labels), np.float32)
    for row, labels in enumerate(rows):
        dense[row, sorted(labels)] = 1
    return csr_array(dense)


def naive_graph(
    rows: list[set[int]],
    n_labels: int,
    steps: int,
    restart: float,
    top_k: int,
    seed: int,
    device: str = "cpu",
) -> np.ndarray:
    """One walk after another, one step after another, with the draws of the real one."""
    documents = [[d for d, row in enumerate(rows) if label in row] for label in range(n_labels)]
    walkers = [label for label in range(n_labels) if documents[label]]
    source = torch.Generator(device).manual_seed(seed)
    draws = [
        torch.rand(3, len(walkers), generator=source, device=device).tolist() for _ in range(steps)
    ]
    graph = np.eye(n_labels, dtype=np.float32)
    for walker, own in enumerate(walkers):
        visits = [0] * n_labels
        current = own
        for back, to_document, to_label in draws:
            if back[walker] < restart:
                current = own
            document = documents[current][int(to_document[walker] * len(documents[current]))]
            labels = sorted(rows[document])
            current = labels[int(to_label[walker] * len(labels))]
            visits[current] += 1
        best = sorted(range(n_labels), key=lambda label: (-visits[label], label))[:top_k]
        for label in best:
            graph[own, label] = max(graph[own, label], visits[label])
    return graph


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("top_k", [1, 2, 10])
@pytest.mark.parametrize("restart", [0.0, 0.3, 1.0])
def test_as_one_walk_after_another(device: str, top_k: int, restart: float) -> None:
    rows = [{0, 1}, {1, 2, 3}, {3}, set(), {0, 3, 5}, {1, 2}]
    arguments = {"steps": 30, "restart": restart, "top_k": top_k, "seed": 7}
    graph = random_walk_graph(matrix_of(rows), device=device, **arguments)
    assert graph.dtype == np.float32
    assert graph.has_sorted_indices
    assert np.array_equal(graph.toarray(), naive_graph(rows, 6, device=device, **arguments))


@given(
    rows=ROWS,
    steps=st.integers(1, 6),
    restart=st.floats(0, 1),
    top_k=st.integers(1, 8),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_any_labels(
    rows: list[set[int]], steps: int, restart: float, top_k: int, seed: int
) -> None:
    labels = matrix_of(rows)
    graph = random_walk_graph(labels, steps=steps, restart=restart, top_k=top_k, seed=seed)
    expected = naive_graph(rows, 6, steps, restart, top_k, seed)
    assert np.array_equal(graph.toarray(), expected)
    assert (graph.diagonal() >= 1).all()
    assert (np.diff(graph.indptr) <= top_k + 1).all()


def test_blocks_hold_all_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    """With walks of one step and a restart, rows are counts of the first step alone."""
    monkeypatch.setitem(module._BLOCK_VISITS, "cpu", 7)
    rows = [{label, (label + 1) % 50} for label in range(50)]
    graph = random_walk_graph(matrix_of(rows, 50), steps=3, restart=1.0, seed=0)
    assert set(np.diff(graph.indptr)) <= {1, 2, 3, 4}
    visits = graph.toarray()
    np.fill_diagonal(visits, 0)
    near = {(i, j) for i in range(50) for j in ((i - 1) % 50, (i + 1) % 50)}
    assert set(zip(*map(np.ndarray.tolist, visits.nonzero()), strict=True)) <= near
    assert len(visits.nonzero()[0]) > 40


def replayed(draws: torch.Tensor) -> Callable[..., torch.Tensor]:
    """A `torch.rand` that gives draws from a list, each as wide as it is asked for."""
    rows = iter(draws)

    def rand(
        _: int, width: int, *, generator: torch.Generator, device: torch.device
    ) -> torch.Tensor:
        assert generator.device.type == device.type
        return next(rows)[:, :width].to(device)

    return rand


@pytest.mark.gpu
def test_a_gpu_walks_as_a_cpu_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same draws: from a seed, each kind of device draws numbers of its own."""
    random = np.random.default_rng(0)
    dense = random.random((400, 300)) < 0.02
    dense[:, :3] |= random.random((400, 3)) < 0.3  # three labels are frequent
    dense[:, 7] = False
    labels = csr_array(dense.astype(np.float32))
    draws = torch.rand(64, 3, 300)
    graphs = []
    for place in ("cpu", "cuda"):
        with monkeypatch.context() as patch:
            patch.setitem(module._BLOCK_VISITS, place, 100 * 16)  # several blocks of walks
            patch.setattr(torch, "rand", replayed(draws))
            graphs.append(random_walk_graph(labels, steps=16, top_k=5, seed=0, device=place))
    assert np.array_equal(graphs[0].toarray(), graphs[1].toarray())
    assert graphs[0].nnz > 900


@pytest.mark.parametrize("device", DEVICES)
def test_visits_follow_the_probabilities(device: str) -> None:
    """Document 0 has the labels 0 and 1, document 1 has 0 and 2, document 2 has 0 alone."""
    labels = matrix_of([{0, 1}, {0, 2}, {0}], 3)
    graph = random_walk_graph(labels, steps=40_000, restart=1.0, seed=0, device=device).toarray()
    expected = np.array([[2 / 3, 1 / 6, 1 / 6], [1 / 2, 1 / 2, 0], [1 / 2, 0, 1 / 2]])
    np.testing.assert_allclose(graph / 40_000, expected, atol=0.01)


def test_the_seed_alone_decides() -> None:
    labels = matrix_of([{i % 6, (i * 5 + 1) % 6} for i in range(20)])
    one, same = (random_walk_graph(labels, seed=3) for _ in range(2))
    other = random_walk_graph(labels, seed=4)
    assert np.array_equal(one.toarray(), same.toarray())
    assert not np.array_equal(one.toarray(), other.toarray())


def test_frequent_labels_take_no_part() -> None:
    rows = [{0, 1}, {0, 2}, {0}, {1, 2}]
    graph = random_walk_graph(matrix_of(rows), max_documents=2, seed=0).toarray()
    assert graph[0].tolist() == [1, 0, 0, 0, 0, 0]
    assert graph[:, 0].tolist() == [1, 0, 0, 0, 0, 0]
    assert graph[1, 2] > 0


def test_a_written_zero_is_no_label() -> None:
    labels = csr_array(([1.0, 0.0], ([0, 0], [0, 1])), shape=(1, 2))
    assert random_walk_graph(labels, steps=5, seed=0).toarray().tolist() == [[5, 0], [0, 1]]
    assert labels.nnz == 2


def test_the_draw_next_to_one_stays_in_the_list() -> None:
    starts = torch.tensor([0, 300_001])
    draw = torch.tensor([1 - 2.0**-24])
    last = module._any_of(torch.arange(300_001), starts, torch.tensor([0]), draw)
    assert last.tolist() == [300_000]


@pytest.mark.parametrize(
    "changed", [{"steps": 0}, {"top_k": 0}, {"restart": -0.1}, {"restart": float("nan")}]
)
def test_numbers_out_of_range(changed: dict) -> None:
    with pytest.raises(InputError, match="expected at least 1"):
        random_walk_graph(matrix_of([{0}]), seed=0, **changed)


def test_labels_are_a_matrix() -> None:
    with pytest.raises(DataError, match="labels of 1 axes"):
        random_walk_graph(csr_array(np.ones(3)), seed=0)


GRAPHS = st.lists(
    st.lists(st.sampled_from([0.0, 0.0, 1.0, 2.5, 7.0]), min_size=4, max_size=4),
    min_size=4,
    max_size=4,
)


@given(weights=GRAPHS)
def test_normalised_as_by_loops(weights: list[list[float]]) -> None:
    graph = csr_array(np.array(weights))
    symmetric, stochastic = np.zeros((4, 4)), np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            row, column = sum(weights[i]), sum(line[j] for line in weights)
            if weights[i][j]:
                symmetric[i, j] = weights[i][j] / np.sqrt(row * column)
                stochastic[i, j] = weights[i][j] / row
    for normalised, expected in (
        (normalized_symmetric(graph), symmetric),
        (normalized_rows(graph), stochastic),
    ):
        assert normalised.dtype == np.float32
        np.testing.assert_allclose(normalised.toarray(), expected, rtol=1e-6)
    assert np.array_equal(graph.toarray(), np.array(weights))


@given(weights=GRAPHS)
def test_what_normalising_promises(weights: list[list[float]]) -> None:
    even = np.array(weights) + np.array(weights).T
    symmetric = normalized_symmetric(csr_array(even)).toarray()
    np.testing.assert_allclose(symmetric, symmetric.T)
    assert np.abs(np.linalg.eigvalsh(symmetric)).max() <= 1 + 1e-6
    sums = normalized_rows(csr_array(even)).sum(axis=1)
    np.testing.assert_allclose(sums, even.any(axis=1), rtol=1e-6)


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (csr_array(np.ones((2, 3))), r"shape \(2, 3\)"),
        (csr_array(np.array([[-1.0]])), "negative or infinite"),
        (csr_array(np.array([[np.nan]])), "negative or infinite"),
    ],
)
def test_graphs_that_are_none(graph: csr_array, words: str) -> None:
    for normalise in (normalized_symmetric, normalized_rows):
        with pytest.raises(DataError, match=words):
            normalise(graph)
