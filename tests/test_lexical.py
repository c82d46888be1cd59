"""Sparse features, searches by words, and the sparse linear scorer, against plain loops."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from dexa import metrics
from dexa.errors import RecipeError
from dexa.lexical import (
    LabelSearch,
    LinearFit,
    SparseLinear,
    TextFeatures,
    unseen_labels,
    weights_of_texts,
)
from dexa.lexical.blocks import RowBlocks
from dexa.lexical.candidates import Candidates, meet
from dexa.lexical.rows import with_rows
from dexa.lexical.support import find_support
from dexa.metrics import chosen
from dexa.types import NO_LABEL
from tiny import COLOURS, LABELS, PLACES

SOME = ["Green castles, green bridges", "the green castle", "", "Über-Brücke 42", "?!"]
TITLES = ["green castle", "Bridge", "42", "castle", "green", "the green castle stands there now"]

texts = st.lists(
    st.lists(st.sampled_from(["ab", "ab", "abacus", "abaci", "ÄB", "7"]), max_size=6).map(" ".join),
    min_size=1,
    max_size=5,
)


def test_label_search_is_the_cosine() -> None:
    features = TextFeatures.fit(SOME, TITLES)
    labels, queries = features.transform(TITLES), features.transform(SOME)
    found = LabelSearch.over(labels).opinions(queries)
    assert found.toarray() == pytest.approx(queries.toarray() @ labels.toarray().T, abs=1e-6)
    assert (found.data > 0).all()


def test_chosen_scores() -> None:
    opinions = csr_array(np.array([[0.5, 0, 0.25], [0, 0, 0]], np.float32))
    labels = np.array([[2, NO_LABEL, 0, 1], [NO_LABEL, 0, 1, 2]])
    expected = [[0.25, -np.inf, 0.5, 0], [-np.inf, 0, 0, 0]]
    assert chosen(opinions, labels).tolist() == expected
    assert chosen(opinions, labels[:, :0]).shape == (2, 0)
    doubled = csr_array((np.float32([1, 2, 3]), [2, 0, 2], [0, 3]), shape=(1, 3))
    assert chosen(doubled, np.array([[2, 1, 0]])).tolist() == [[4, 0, 2]]
    assert doubled.nnz == 3


def naive_opinions(scorer: SparseLinear, row: np.ndarray) -> dict[int, float]:
    found = {}
    for label, weights in enumerate(scorer.weights):
        shared = [f for f in weights.indices if row[f] != 0]
        if shared or label in scorer.heads:
            margin = row @ weights.toarray().ravel() + scorer.bias[label]
            found[label] = 1 / (1 + math.exp(-margin))
    return found


@settings(max_examples=60)
@given(seed=st.integers(0, 2**16))
def test_linear_opinions_against_a_loop(seed: int) -> None:
    draw = np.random.default_rng(seed)
    weights = draw.standard_normal((5, 4)) * (draw.random((5, 4)) < 0.4)
    scorer = SparseLinear(
        csr_array(weights.astype(np.float32)),
        draw.standard_normal(5).astype(np.float32),
        np.array([1, 3]),
        draw.standard_normal(14),
    )
    rows = (draw.random((6, 4)) * (draw.random((6, 4)) < 0.4)).astype(np.float32)
    for one in (scorer, SparseLinear.restored(scorer.arrays())):
        found = one.opinions(csr_array(rows)).tocoo()
        assert found.dtype == np.float32
        for i, row in enumerate(rows):
            mine = found.row == i
            got = dict(zip(found.col[mine].tolist(), found.data[mine].tolist(), strict=True))
            assert got == pytest.approx(naive_opinions(scorer, row), abs=1e-5)


def test_thinned_weights_against_a_loop() -> None:
    draw = np.random.default_rng(0)
    weights = draw.standard_normal((6, 5)).astype(np.float32)
    weights[2] = 0  # a label without weights stays one
    scorer = SparseLinear(csr_array(weights), np.zeros(6, np.float32), np.array([0]), np.zeros(14))
    thin = scorer.thinned(0.5)
    expected = [[w if abs(w) >= 0.5 * max(map(abs, row)) else 0 for w in row] for row in weights]
    assert thin.weights.toarray().tolist() == np.array(expected).tolist()
    assert thin.heads is scorer.heads


@settings(max_examples=60)
@given(seed=st.integers(0, 2**16), widest=st.integers(1, 4))
def test_support_and_meetings_against_a_loop(seed: int, widest: int) -> None:
    draw = np.random.default_rng(seed)
    documents = (draw.random((5, 8)) * (draw.random((5, 8)) < 0.6)).astype(np.float32)
    own = (draw.random((4, 8)) * (draw.random((4, 8)) < 0.5)).astype(np.float32)
    labels = (draw.random((5, 4)) < 0.4).astype(np.float32)
    support = find_support(
        csr_array(documents), csr_array(own), csr_array(labels), widest=widest, faintest=0.3
    )
    counts, total = labels.sum(axis=0), labels.T @ documents
    value = own + total / (counts[:, None] + 1)
    keys = set(zip(support.labels.tolist(), support.features.tolist(), strict=True))
    for label in range(4):
        most = int(widest * (1 + counts[label] / 3))
        best = sorted(range(8), key=lambda f: -value[label, f])[:most]
        bar = 0.3 * value[label].max()
        expected = {f for f in best if value[label, f] >= bar and value[label, f] > 0}
        assert {f for one, f in keys if one == label} == expected
    at = support.labels, support.features
    assert support.text == pytest.approx(own[at])
    assert support.total == pytest.approx(total[at], abs=1e-6)
    assert support.mean == pytest.approx((total / (counts[:, None] + 1))[at], abs=1e-6)

    proposed = draw.integers(-1, 4, size=(5, 3))
    met = meet(csr_array(documents), csr_array(labels), proposed, support, 10**6)
    pairs = {(i, int(j)) for i in range(5) for j in proposed[i] if j >= 0}
    pairs |= {(int(i), int(j)) for i, j in zip(*np.nonzero(labels), strict=True)}
    assert list(zip(met.documents.tolist(), met.labels.tolist(), strict=True)) == sorted(pairs)
    assert met.right.tolist() == [bool(labels[pair]) for pair in sorted(pairs)]
    dense = met.meetings.toarray()
    for row, (i, j) in zip(dense, sorted(pairs), strict=True):
        expected = np.where(support.labels == j, documents[i, support.features], 0)
        assert row == pytest.approx(expected)


def corpus(count: int, seed: int) -> tuple[list[str], csr_array]:
    """Documents that say a label's words, and one label, `PLACES`, that half of them have."""
    draw = np.random.default_rng(seed)
    named = draw.integers(len(LABELS), size=count)
    busy = draw.random(count) < 0.5
    where = [PLACES[draw.integers(0, 3)] if b else PLACES[draw.integers(3, 6)] for b in busy]
    said = [f"{LABELS[i]} seen at the {w}" for i, w in zip(named, where, strict=True)]
    matrix = np.zeros((count, len(LABELS) + 1), np.float32)
    matrix[np.arange(count), named] = 1
    matrix[busy, -1] = 1
    return said, csr_array(matrix)


@pytest.fixture(scope="module")
def learnt() -> tuple[TextFeatures, csr_array, csr_array, csr_array]:
    said, labels = corpus(200, seed=1)
    features = TextFeatures.fit(said, [*LABELS, "busy"])
    return features, features.transform(said), features.transform([*LABELS, "busy"]), labels


FIT = LinearFit(negatives=5, random=2, heads=2)


def fitted(
    learnt: tuple[TextFeatures, csr_array, csr_array, csr_array], fit: LinearFit, seed: int = 0
) -> SparseLinear:
    features, documents, texts, labels = learnt
    return fit(documents, texts, labels, features.groups, seed)


def test_a_fit_finds_labels_by_their_words_and_others_by_their_documents(
    learnt: tuple[TextFeatures, csr_array, csr_array, csr_array],
) -> None:
    scorer = fitted(learnt, FIT)
    said, truth = corpus(100, seed=2)
    found = scorer.opinions(learnt[0].transform(said))
    assert metrics.precision(found, truth, 1)[0] > 0.95
    assert metrics.recall(found, truth, 2)[1] > 0.95
    busy = found.toarray()[:, -1]
    right = truth.toarray()[:, -1] > 0
    assert busy[right].min() > busy[~right].max()  # no word of its text is ever said
    assert scorer.heads.tolist() == sorted(scorer.heads.tolist())
    assert len(LABELS) in scorer.heads


def test_one_seed_gives_one_scorer(
    learnt: tuple[TextFeatures, csr_array, csr_array, csr_array],
) -> None:
    first, again, other = (fitted(learnt, FIT, seed) for seed in (3, 3, 4))
    assert (first.weights.data == again.weights.data).all()
    assert (first.bias == again.bias).all()
    assert not np.array_equal(first.weights.data, other.weights.data)


def test_meetings_are_bounded(
    learnt: tuple[TextFeatures, csr_array, csr_array, csr_array], monkeypatch: pytest.MonkeyPatch
) -> None:
    import dexa.lexical.candidates as module

    monkeypatch.setattr(module, "_ENTRIES", 256)
    whole = fitted(learnt, FIT)
    kept = []
    original = Candidates.__getitem__

    def noted(self: Candidates, rows: np.ndarray) -> Candidates:
        kept.append(self.meetings.nnz)
        return original(self, rows)

    monkeypatch.setattr(Candidates, "__getitem__", noted)
    part = fitted(learnt, replace(FIT, meetings=2_000))
    assert 0 < max(kept) <= 2_000
    assert part.weights.shape == whole.weights.shape
    assert not np.array_equal(part.weights.data, whole.weights.data)


def test_labels_without_documents_are_found_by_their_text(
    learnt: tuple[TextFeatures, csr_array, csr_array, csr_array],
) -> None:
    features, documents, texts, labels = learnt
    unseen = LABELS.index(f"{COLOURS[0]} castle")
    rest = np.flatnonzero(labels.toarray()[:, unseen] == 0)
    scorer = FIT(
        csr_array(documents[rest]), texts, csr_array(labels[rest]), features.groups, seed=0
    )
    query = features.transform([LABELS[unseen]])
    first, second = metrics.top_k(scorer.opinions(query), 2).labels[0]
    assert unseen == (second if first == len(LABELS) else first)  # half of all texts are "busy"


def test_nothing_to_learn_from() -> None:
    features = TextFeatures.fit(["a b"], ["c", "d"])
    scorer = FIT(
        features.transform(["a b"]),
        features.transform(["c", "d"]),
        csr_array((1, 2), dtype=np.float32),
        features.groups,
        seed=0,
    )
    assert scorer.opinions(features.transform(["a", "d"])).shape == (2, 2)
    assert np.isfinite(scorer.weights.data).all()


@pytest.mark.parametrize("name", ["rounds", "negatives", "steps", "widest", "meetings", "penalty"])
def test_settings_that_cannot_be(name: str) -> None:
    with pytest.raises(RecipeError, match=name):
        replace(FIT, **{name: 0})


@settings(max_examples=60)
@given(seed=st.integers(0, 2**16), more=st.integers(0, 3))
def test_rows_change_and_the_others_stay(seed: int, more: int) -> None:
    draw = np.random.default_rng(seed)
    old = (draw.random((5, 4)) * (draw.random((5, 4)) < 0.5)).astype(np.float32)
    places = np.append(np.flatnonzero(draw.random(5) < 0.4), 5 + np.arange(more))
    draw.shuffle(places)
    fresh = draw.random((len(places), 4)).astype(np.float32) * (draw.random((len(places), 4)) < 0.5)
    expected = np.zeros((5 + more, 4), np.float32)
    expected[:5] = old
    for place, row in zip(places, fresh, strict=True):
        expected[place] = row
    found = with_rows(csr_array(old), places, csr_array(fresh.astype(np.float32)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.toarray(), expected)
    assert found.has_sorted_indices
    search = LabelSearch.over(csr_array(old)).changed(places, csr_array(fresh.astype(np.float32)))
    np.testing.assert_array_equal(search.by_feature.toarray(), expected.T)


def test_weights_of_labels_that_come_later() -> None:
    """Of a text alone, and of text and documents: what the prior says, and no more."""
    features = TextFeatures.fit([*SOME, *LABELS], TITLES)
    prior = np.random.default_rng(0).random(14)
    texts = features.transform(["green castle", "42 castle"])
    nobody = csr_array((0, 2), dtype=np.float32)
    none = csr_array((0, len(features)), dtype=np.float32)
    bare = unseen_labels(prior, none, texts, nobody, features.groups)
    given = weights_of_texts(prior, texts, np.zeros(2, np.int64), features.groups)
    kind = features.groups
    expected = prior[kind] * texts.toarray()
    np.testing.assert_allclose(given.toarray(), expected, rtol=1e-5)
    slight = np.abs(expected) < 0.05 * np.abs(expected).max(axis=1, keepdims=True)
    np.testing.assert_allclose(bare.weights.toarray(), np.where(slight, 0, expected), rtol=1e-5)
    np.testing.assert_allclose(bare.bias, prior[[12, 12]], rtol=1e-5)
    often = weights_of_texts(prior, texts, np.array([3, 3]), features.groups).toarray()
    full = (prior[kind] + prior[3 + kind] * np.log(4)) * texts.toarray()
    np.testing.assert_allclose(often, full, rtol=1e-5)


@pytest.mark.parametrize(("rows", "share"), [(0, 0.5), (1, 1.0), (7, 0.0), (90, 0.2), (300, 0.02)])
def test_products_by_blocks_are_those_of_the_whole(rows: int, share: float) -> None:
    draw = np.random.default_rng(rows)
    dense = draw.random((rows, 40)).astype(np.float32)
    dense[draw.random(dense.shape) >= share] = 0
    vector = draw.random(40)
    expected = csr_array(dense, dtype=np.float64) @ vector
    assert np.array_equal(RowBlocks(csr_array(dense)) @ vector, expected)
