"""The contract of every index, then what is particular to exact search."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dexa import load_dataset
from dexa.encoders import encode, open_encoder
from dexa.errors import DataError, InputError, MissingFileError, ModelFolderError
from dexa.index import (
    ExactIndex,
    FaissIndex,
    PqIndex,
    choosing,
    chosen_kind,
    coarse,
    precise,
    reindexed,
)
from dexa.storage import read_json, write_json
from dexa.types import NO_LABEL, Silence

without_faiss = pytest.mark.skipif(find_spec("faiss") is None, reason="needs dexa-xc[faiss]")
APPROXIMATE = [pytest.param(index, marks=without_faiss) for index in (FaissIndex, PqIndex)]
INDEXES = [ExactIndex, *APPROXIMATE]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def vectors(count: int, dimension: int, seed: int, *, spread: float = 1.0) -> torch.Tensor:
    """Unit vectors around a few centres: the smaller the spread, the nearer to duplicates."""
    random = torch.Generator().manual_seed(seed)
    centres = torch.randn(20, dimension, generator=random)
    noise = torch.randn(count, dimension, generator=random)
    nearest = torch.randint(20, (count,), generator=random)
    return torch.nn.functional.normalize(centres[nearest] + spread * noise, dim=1)


def brute_force(
    queries: torch.Tensor, labels: torch.Tensor, k: int, allowed: torch.Tensor | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """One query at a time, in float64, sorted by descending score and then by label."""
    living = range(len(labels)) if allowed is None else allowed.nonzero()[:, 0].tolist()
    chosen, scores = [], []
    for query in queries.double().cpu().numpy():
        products = (labels.double().cpu().numpy() @ query).astype(np.float32)
        best = sorted(living, key=lambda label: (-products[label], label))[:k]
        missing = k - len(best)
        chosen.append(best + [NO_LABEL] * missing)
        scores.append([*products[best], *[-np.inf] * missing])
    return np.array(chosen, np.int64), np.array(scores, np.float32)


def recall(found: NDArray[np.int64], right: NDArray[np.int64]) -> float:
    """The share of the right labels that were found."""
    return float(
        np.mean([len(set(a) & set(b)) / len(set(b)) for a, b in zip(found, right, strict=True)])
    )


@pytest.fixture(params=["bfloat16", "float32"])
def scan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both kinds of scan, whatever this machine is fast at."""
    fast = request.param == "bfloat16"
    monkeypatch.setattr(coarse, "_fast_bfloat16", lambda device: fast)
    return request.param


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("spread", [1.0, 0.1, 0.001], ids=["far", "near", "nearly equal"])
def test_answers_are_those_of_brute_force(index, device: str, spread: float, scan: str) -> None:
    """A graph loses sight of some labels where whole clusters of 150 are nearly equal."""
    labels = vectors(3000, 24, 0, spread=spread)
    queries = vectors(60, 24, 1, spread=spread)
    found = index(labels.to(device)).search(queries, 10)
    right, scores = brute_force(queries, labels, 10)
    least = 0.998 if index is ExactIndex else 0.98 if spread == 1.0 else 0.9
    assert recall(found.labels, right) >= least
    if index is ExactIndex:
        np.testing.assert_allclose(found.scores, scores, atol=1e-6)
    assert found.labels.dtype == np.int64
    assert found.scores.dtype == np.float32


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_fewer_labels_than_asked_for(index, count: int) -> None:
    labels, queries = vectors(count, 4, 0), vectors(5, 4, 1)
    found = index(labels).search(queries, 7)
    right, scores = brute_force(queries, labels, 7)
    np.testing.assert_array_equal(found.labels, right)
    np.testing.assert_allclose(found.scores, scores, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("copies", [3, 30, 300])
def test_equal_scores_go_to_the_smaller_label(index, device: str, copies: int, scan: str) -> None:
    """Also where more equals straddle the K-th place than a scan keeps."""
    originals, queries = vectors(2000 // copies, 8, 0), vectors(20, 8, 1)
    shuffled = torch.randperm(len(originals) * copies, generator=torch.Generator().manual_seed(2))
    labels = originals.repeat(copies, 1)[shuffled].to(device)
    found = index(labels).search(queries, 50)
    ties = np.diff(found.scores) == 0
    assert ties.sum() > 20 * 25
    assert (np.diff(found.labels)[ties] > 0).all()
    right, scores = brute_force(queries, labels, 50)
    if index is ExactIndex:
        np.testing.assert_array_equal(found.labels, right)
    elif copies < 300:  # a graph loses sight of what lies behind hundreds of equals
        assert (found.scores >= scores[:, -1:] - 1e-6).mean() >= 0.98


@pytest.mark.parametrize("index", INDEXES)
def test_zero_vectors(index) -> None:
    labels = torch.cat([torch.zeros(2, 4), vectors(300, 4, 0)])
    found = index(labels).search(torch.zeros(1, 4), 5)
    np.testing.assert_array_equal(found.labels, [[0, 1, 2, 3, 4]])
    np.testing.assert_array_equal(found.scores, np.zeros((1, 5)))
    found = index(torch.zeros(300, 4)).search(torch.ones(1, 4), 3)
    np.testing.assert_array_equal(found.labels, [[0, 1, 2]])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("index", INDEXES)
def test_score_agrees_with_search(index, device: str) -> None:
    labels, queries = vectors(500, 16, 0), vectors(30, 16, 1)
    searched = index(labels.to(device))
    found = searched.search(queries, 520)
    scores = searched.score(queries, torch.from_numpy(found.labels)).cpu().numpy()
    np.testing.assert_allclose(scores, found.scores, atol=1e-6)
    assert np.isneginf(scores[:, 500:]).all()
    some = torch.tensor([[3, 499, NO_LABEL, 3]] * 30)
    scores = searched.score(queries, some).cpu().numpy()
    right = (queries.double() @ labels[[3, 499, 0, 3]].double().T).numpy()
    np.testing.assert_allclose(scores[:, [0, 1, 3]], right[:, [0, 1, 3]], atol=1e-6)
    assert np.isneginf(scores[:, 2]).all()
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(searched.score(queries, some.int()).cpu().numpy(), scores)


@pytest.mark.parametrize("index", INDEXES)
def test_no_queries(index) -> None:
    searched = index(vectors(50, 4, 0))
    found = searched.search(torch.zeros(0, 4), 3)
    assert found.labels.shape == found.scores.shape == (0, 3)
    assert searched.score(torch.zeros(0, 4), torch.zeros(0, 3, dtype=torch.int64)).shape == (0, 3)
    assert searched.score(torch.zeros(2, 4), torch.zeros(2, 0, dtype=torch.int64)).shape == (2, 0)


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_refuses_what_is_not_finite(index, bad: float) -> None:
    poisoned = vectors(9, 4, 0)
    poisoned[3, 1] = bad
    with pytest.raises(DataError, match=r"label vectors .* not finite"):
        index(poisoned)
    with pytest.raises(DataError, match=r"queries .* not finite"):
        index(vectors(9, 4, 0)).search(poisoned, 2)
    with pytest.raises(DataError, match=r"queries .* not finite"):
        index(vectors(9, 4, 0)).score(poisoned, torch.zeros(9, 1, dtype=torch.int64))


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize(
    "labels", [torch.zeros(0, 4), torch.zeros(4), torch.zeros(3, 4, dtype=torch.int64)]
)
def test_refuses_what_are_no_vectors(index, labels: torch.Tensor) -> None:
    with pytest.raises(DataError, match="at least one label"):
        index(labels)


@pytest.mark.parametrize("index", INDEXES)
def test_refuses_questions_it_cannot_answer(index) -> None:
    searched = index(vectors(9, 4, 0))
    for queries in (torch.zeros(2, 5), torch.zeros(4), torch.zeros(2, 4, dtype=torch.int64)):
        with pytest.raises(InputError, match=r"\[B, 4\]"):
            searched.search(queries, 1)
    with pytest.raises(InputError, match="k = 0"):
        searched.search(torch.zeros(2, 4), 0)
    for labels in ([0, 1], [[0], [1], [2]]):
        with pytest.raises(InputError, match="a row a query"):
            searched.score(torch.zeros(2, 4), torch.tensor(labels))
    for label in (9, -2):
        with pytest.raises(InputError, match="0 to 8"):
            searched.score(torch.zeros(1, 4), torch.tensor([[label]]))


@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_floating_type(index, dtype: torch.dtype) -> None:
    labels, queries = vectors(400, 8, 0).to(dtype), vectors(9, 8, 1).to(dtype)
    found = index(labels).search(queries, 5)
    right, _ = brute_force(queries.float(), labels.float(), 5)
    np.testing.assert_array_equal(found.labels, right)


@pytest.mark.parametrize("index", INDEXES)
def test_saved_and_loaded(index, tmp_path: Path) -> None:
    labels, queries = vectors(100, 8, 0), vectors(9, 8, 1)
    saved = index(labels)
    saved.save(tmp_path)
    loaded = index.load(tmp_path, saved.vectors)
    assert type(loaded) is index
    assert len(loaded) == 100
    np.testing.assert_array_equal(loaded.search(queries, 5).labels, saved.search(queries, 5).labels)
    (tmp_path / "index.json").write_text('{"kind": "another"}', encoding="utf-8")
    with pytest.raises(ModelFolderError, match="another"):
        index.load(tmp_path, labels)
    with pytest.raises(MissingFileError):
        index.load(tmp_path / "absent", labels)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("index", INDEXES)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 1.0])
def test_only_allowed_labels_are_answered(index, device: str, share: float, scan: str) -> None:
    labels, queries = vectors(3000, 24, 0), vectors(20, 24, 1)
    allowed = torch.rand(3000, generator=torch.Generator().manual_seed(2)) < share
    found = index(labels.to(device)).search(queries, 10, allowed)
    right, scores = brute_force(queries, labels, 10, allowed)
    assert recall(found.labels, right) >= 0.99
    np.testing.assert_array_equal(found.labels == NO_LABEL, right == NO_LABEL)
    assert allowed[found.labels[found.labels != NO_LABEL]].all()
    again = index(labels.to(device)).search(queries, 10, allowed.numpy())
    np.testing.assert_array_equal(again.labels, found.labels)
    if index is ExactIndex:
        np.testing.assert_allclose(found.scores, scores, atol=1e-6)


@pytest.mark.parametrize("index", INDEXES)
def test_refuses_a_choice_that_is_none(index) -> None:
    searched = index(vectors(9, 4, 0))
    for allowed in (torch.ones(8).bool(), torch.ones(9), np.ones((1, 9), bool)):
        with pytest.raises(InputError, match=r"bool \[9\]"):
            searched.search(vectors(2, 4, 1), 3, allowed)


@pytest.mark.parametrize("index", INDEXES)
def test_some_labels_get_other_vectors(index) -> None:
    """A new index answers by them; the old one, and what was removed, stay."""
    before = vectors(300, 16, seed=3)
    old = index(before)
    old.remove([7])
    places, fresh = np.array([5, 299]), vectors(2, 16, seed=4)
    new = old.changed(places, fresh)
    after = before.clone()
    after[places] = fresh
    living = torch.ones(300, dtype=torch.bool)
    living[7] = False
    queries = torch.cat([fresh, vectors(10, 16, seed=5)])
    for one, rows in ((new, after), (old, before)):
        assert type(one) is index
        assert torch.equal(one.vectors, rows)
        assert one.removed.nonzero()[:, 0].tolist() == [7]
        labels, _ = brute_force(queries, rows, 3, living)
        assert recall(one.search(queries, 3).labels, labels) >= 0.98
    assert new.search(fresh, 1).labels[:, 0].tolist() == [5, 299]
    with pytest.raises(InputError, match="label ids from 300"):
        old.changed(np.array([300]), fresh[:1])
    with pytest.raises(DataError, match="not finite"):
        old.changed(np.array([3]), fresh[:1] * torch.nan)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("index", INDEXES)
def test_added_labels_follow(index, device: str, scan: str) -> None:
    labels, queries = vectors(700, 8, 0).to(device), vectors(30, 8, 1)
    grown = index(labels[:500])
    grown.add(labels[500:501].double())
    grown.add(labels[501:])
    assert len(grown) == 700
    assert torch.equal(grown.vectors, labels)
    found, right = grown.search(queries, 20), brute_force(queries, labels, 20)
    assert recall(found.labels, right[0]) >= 0.99
    longer = 3 * queries.to(device)
    grown.add(longer)  # each is now by far the best answer to itself
    np.testing.assert_array_equal(grown.search(queries, 1).labels[:, 0], range(700, 730))
    for bad in (vectors(3, 7, 0), torch.zeros(0, 8), torch.full((1, 8), torch.nan)):
        with pytest.raises(DataError):
            grown.add(bad)
    assert len(grown) == 730


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("index", INDEXES)
def test_removed_labels_are_never_answered(index, device: str, tmp_path: Path) -> None:
    labels, queries = vectors(300, 8, 0), vectors(20, 8, 1)
    searched = index(labels.to(device))
    gone = searched.search(queries, 3).labels
    searched.remove(gone.flatten())
    searched.remove([0, 0])
    searched.remove([])
    allowed = torch.ones(300, dtype=torch.bool)
    allowed[gone.flatten()] = False
    allowed[0] = False
    assert torch.equal(searched.removed, ~allowed)
    right, scores = brute_force(queries, labels, 300, allowed)
    found = searched.search(queries, 300)
    np.testing.assert_array_equal(found.labels, right)
    np.testing.assert_allclose(found.scores, scores, atol=1e-6)
    both = allowed.clone()
    both[150:] = False
    assert not set(searched.search(queries, 300, both).labels.flatten()) & {*range(150, 300), 0}
    scored = searched.score(queries, torch.zeros(20, 1, dtype=torch.int64)).cpu()
    assert np.isneginf(scored.numpy()).all()
    searched.save(tmp_path)
    loaded = index.load(tmp_path, searched.vectors)
    np.testing.assert_array_equal(loaded.search(queries, 300).labels, right)
    loaded.add(labels[:2])
    assert loaded.removed.tolist() == [*searched.removed.tolist(), False, False]
    loaded.remove(range(302))
    assert (loaded.search(queries, 2).labels == NO_LABEL).all()
    for label in (302, -1):
        with pytest.raises(InputError, match="0 to 301"):
            loaded.remove([label])


# the choice


class Heard(Silence):
    """Keeps notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_the_choice_by_size_is_made_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    heard, cpu = Heard(), torch.device("cpu")
    assert chosen_kind("auto", 100_000, cpu, heard) == "exact"
    assert chosen_kind("auto", 10**7, torch.device("cuda"), heard) == "exact"
    monkeypatch.setattr(choosing, "find_spec", lambda name: None)
    assert chosen_kind("auto", 100_001, cpu, heard) == "exact"
    monkeypatch.setattr(choosing, "find_spec", lambda name: name)
    assert chosen_kind("auto", 100_001, cpu, heard) == "pq"
    assert chosen_kind("auto", 300_001, cpu, heard) == "faiss"
    assert [note.split(",")[0] for note in heard.notes] == [
        *["index: exact"] * 3,
        "index: pq",
        "index: faiss",
    ]
    assert "pip install 'dexa-xc[faiss]'" in heard.notes[2]
    assert chosen_kind("exact", 10**9, cpu, heard) == "exact"
    assert len(heard.notes) == 5
    with pytest.raises(InputError, match="an index 'annoy'; expected of auto, exact, pq, faiss"):
        chosen_kind("annoy", 5, cpu, heard)


@pytest.mark.parametrize("index", [FaissIndex, PqIndex])
def test_a_missing_package_names_what_to_install(monkeypatch: pytest.MonkeyPatch, index) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match=r"pip install 'dexa-xc\[faiss\]'"):
        index(vectors(9, 4, 0))


@without_faiss
def test_another_index_over_the_same_vectors() -> None:
    heard, index = Heard(), ExactIndex(vectors(300, 8, 0))
    index.remove([3, 5])
    assert reindexed(index, "exact", heard) is index
    graph = reindexed(index, "faiss", heard)
    assert isinstance(graph, FaissIndex)
    assert torch.equal(graph.removed, index.removed)
    assert graph.vectors.data_ptr() == index.vectors.data_ptr()
    assert heard.notes == ["a graph of 300 vectors is built; saving the model keeps it"]


# particular to approximate search


@pytest.mark.parametrize("index", APPROXIMATE)
@pytest.mark.parametrize(("spread", "times"), [(0.0, 1), (0.5, 2)])
def test_recall_is_high(index, spread: float, times: int) -> None:
    """Of unit vectors, and of vectors of many lengths, for which more has to be looked at."""
    labels, queries = vectors(6000, 32, 0), vectors(100, 32, 1)
    lengths = torch.randn(6000, 1, generator=torch.Generator().manual_seed(2))
    labels = labels * torch.exp(spread * lengths)
    found = index(labels, effort=times * index.usual_effort).search(queries, 100)
    right = ExactIndex(labels).search(queries, 100)
    assert recall(found.labels, right.labels) >= 0.98
    assert (np.diff(found.scores) <= 0).all()


@pytest.mark.parametrize("index", APPROXIMATE)
def test_a_mapped_index_grows_in_memory(index, tmp_path: Path) -> None:
    labels = vectors(1000, 8, 0)
    index(labels[:900]).save(tmp_path)
    before = (tmp_path / index.file).read_bytes()
    mapped = index.load(tmp_path, labels[:900], mmap=True)
    mapped.add(3 * labels[900:])
    found = mapped.search(labels[900:], 5).labels
    assert (found >= 900).mean() > 0.5
    assert (tmp_path / index.file).read_bytes() == before


@pytest.mark.parametrize("index", APPROXIMATE)
def test_an_answer_is_full_where_the_way_leads_elsewhere(index) -> None:
    """The labels that are allowed are those farthest from the query."""
    labels = vectors(4000, 8, 0)
    query = labels[:1]
    allowed = torch.zeros(4000, dtype=torch.bool)
    allowed[(labels @ query[0]).argsort()[:2000]] = True
    found = index(labels, effort=20).search(query, 10, allowed)
    right, _ = brute_force(query, labels, 10, allowed)
    assert (found.labels != NO_LABEL).all()
    assert recall(found.labels, right) >= 0.9


@pytest.mark.parametrize("index", APPROXIMATE)
def test_refuses_an_index_of_other_vectors(index, tmp_path: Path) -> None:
    index(vectors(20, 9, 0)).save(tmp_path)
    for other in (vectors(21, 9, 0), vectors(20, 3, 0)):
        with pytest.raises(ModelFolderError, match="an index of 20 vectors of 9 dimensions"):
            index.load(tmp_path, other)
    (tmp_path / index.file).unlink()
    with pytest.raises(ModelFolderError, match="missing file"):
        index.load(tmp_path, vectors(20, 9, 0))


@pytest.mark.parametrize("index", APPROXIMATE)
def test_refuses_an_index_without_its_arguments(index, tmp_path: Path) -> None:
    index(vectors(20, 9, 0)).save(tmp_path)
    arguments = read_json(tmp_path / "index.json")
    for name in index.numbers:
        for value in ("many", None):
            write_json(tmp_path / "index.json", arguments | {name: value})
            with pytest.raises(
                ModelFolderError, match=rf"index.json: '{name}' is .*a whole number"
            ):
                index.load(tmp_path, vectors(20, 9, 0))


@without_faiss
@pytest.mark.parametrize("dimension", [1, 2, 7, 130, 257, 383, 385])
@pytest.mark.parametrize("count", [1, 5, 16, 700])
def test_codes_of_any_shape(dimension: int, count: int) -> None:
    labels, queries = vectors(count, dimension, 0), vectors(40, dimension, 1)
    found = PqIndex(labels, effort=min(count, 20)).search(queries, 1)
    _, scores = brute_force(queries, labels, 1)
    assert (found.scores >= scores - 0.1).mean() >= 0.9


@without_faiss
def test_codes_are_learnt_anew_when_their_labels_have_doubled(tmp_path: Path) -> None:
    """The first labels say nothing of those that follow, ten times as many."""
    few, many = vectors(300, 16, 0), vectors(6000, 16, 5)
    few[:, 1:] = 0
    index = PqIndex(few)
    index.add(few)
    assert index.learnt_from == 300
    index.save(tmp_path)
    index = PqIndex.load(tmp_path, index.vectors)
    index.add(many)
    assert index.learnt_from == 6600
    right = ExactIndex(index.vectors).search(many[:50], 100)
    assert recall(index.search(many[:50], 100).labels, right.labels) >= 0.98


@without_faiss
def test_codes_are_built_alike() -> None:
    built = [PqIndex(vectors(5000, 32, 0)) for _ in range(2)]
    queries = vectors(50, 32, 1)
    found = [index.search(queries, 50) for index in built]
    np.testing.assert_array_equal(found[0].labels, found[1].labels)


# particular to exact search


@settings(max_examples=60)
@given(
    count=st.integers(1, 700),
    k=st.integers(1, 80),
    levels=st.integers(1, 3),
    seed=st.integers(0, 2**31),
)
def test_exact_to_the_last_tie(count: int, k: int, levels: int, seed: int) -> None:
    """Small whole numbers: ties everywhere, and every product is exact."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(-levels, levels + 1, (count, 3), generator=random).float()
    queries = torch.randint(-levels, levels + 1, (4, 3), generator=random).float()
    found = ExactIndex(labels).search(queries, k)
    right, scores = brute_force(queries, labels, k)
    np.testing.assert_array_equal(found.labels, right)
    np.testing.assert_array_equal(found.scores, scores)


def test_many_chunks_and_blocks(monkeypatch: pytest.MonkeyPatch, scan: str) -> None:
    monkeypatch.setattr(coarse, "_CHUNK", 256)
    monkeypatch.setattr(coarse, "_SCAN_BYTES", {"cpu": 4096})
    monkeypatch.setattr(precise, "_CHUNK", 100)
    monkeypatch.setattr(precise, "_SCORES_BYTES", 1)
    labels, queries = vectors(1001, 8, 0), vectors(10, 8, 1)
    labels[500:] = labels[:501].clone()
    for k in (1, 20, 300, 1001):
        found = ExactIndex(labels).search(queries, k)
        right, _ = brute_force(queries, labels, k)
        np.testing.assert_array_equal(found.labels, right)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("count", "dimension"), [(2000, 768), (300, 4096), (5000, 24)])
def test_coarse_scores_keep_their_bound(device: str, count: int, dimension: int, scan: str) -> None:
    """Vectors of many lengths; the bound is on the precise score, given the coarse one."""
    lengths = 10.0 ** torch.linspace(-3, 1, count)[:, None]
    labels = (vectors(count, dimension, 0) * lengths).to(device)
    queries = (vectors(12, dimension, 1) * 3).to(device)
    rows = coarse.CoarseScan.over(labels)
    scores = queries.to(rows.vectors.dtype) @ rows.vectors[:count].T
    exact = queries.double() @ labels.double().T
    for label in range(0, count, count // 25):
        assert (exact[:, label] <= rows.bound(queries, scores[:, label].float())).all()


def test_doubtful_queries_alone_are_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    wider: list[int] = []
    again: list[int] = []
    proved, exhaustive = ExactIndex._proved, precise.exhaustive

    def spy_on_wider(self, queries, rows, *others):
        wider.extend(rows)
        return proved(self, queries, rows, *others)

    def spy(queries, rows, labels, k, allowed):
        again.extend(rows)
        return exhaustive(queries, rows, labels, k, allowed)

    monkeypatch.setattr(ExactIndex, "_proved", spy_on_wider)
    monkeypatch.setattr("dexa.index.exact.exhaustive", spy)
    axes = torch.eye(4)
    # more of one vector than a wider scan keeps, and of another more than the first scan keeps
    labels = torch.cat([vectors(500, 4, 0), axes[:1].repeat(700, 1), axes[1:2].repeat(100, 1)])
    queries = torch.cat([axes[:1], -axes[:1], axes[1:2], axes[:1]])
    found = ExactIndex(labels).search(queries, 5)
    assert (wider, again) == ([0, 2, 3], [0, 3])
    np.testing.assert_array_equal(found.labels, brute_force(queries, labels, 5)[0])


def test_vectors_are_shared_not_copied() -> None:
    labels = vectors(10, 4, 0).requires_grad_()
    index = ExactIndex(labels)
    assert index.vectors.data_ptr() == labels.data_ptr()
    assert not index.vectors.requires_grad


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="a CPU needs MKL for it")
def test_products_sampled_at_labels_in_any_order() -> None:
    """What a GPU uses; it runs on a CPU as well."""
    labels, queries = vectors(50, 8, 0), vectors(3, 8, 1)
    chosen = torch.tensor([[4, 4, 0, 49], [1, 0, 1, 7], [49, 48, 47, 46]])
    torch.testing.assert_close(
        precise._sampled_products(queries, labels, chosen),
        precise.inner_products(queries, labels, chosen),
    )


def test_float64_beyond_float32_is_refused() -> None:
    with pytest.raises(DataError, match="not finite"):
        ExactIndex(torch.full((3, 4), 1e300, dtype=torch.float64))


@pytest.fixture(scope="module")
def bundled() -> tuple[torch.Tensor, torch.Tensor]:
    """20,000 label texts and 300 test titles, as a bag of tokens has them before it is trained."""
    folder = Path(__file__).parents[1] / "datasets" / "LF-WordNet-98K"
    dataset = load_dataset(folder, fields=["title"])
    assert dataset.test is not None
    assert dataset.test.texts is not None
    encoder = open_encoder("bag", max_length=32)
    labels, queries = dataset.label_texts[:20_000], dataset.test.texts[:300]
    return encode(encoder, encoder.tokenizer(labels)), encode(encoder, encoder.tokenizer(queries))


@pytest.mark.slow
@pytest.mark.parametrize("index", INDEXES)
def test_recall_on_the_bundled_data(index, bundled: tuple[torch.Tensor, torch.Tensor]) -> None:
    labels, queries = bundled
    found = index(labels).search(queries, 100).scores
    right = torch.topk(queries @ labels.T, 100).values.numpy()
    # many titles are equal: an answer is right that scores as high as the hundredth
    assert (found >= right[:, -1:] - 1e-6).mean() >= 0.98
