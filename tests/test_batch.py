"""The batches of the encoder stage against loops over documents, labels and vectors."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from dexa.auxiliary import AuxiliaryBank
from dexa.encoders import TextEncoder, open_encoder
from dexa.negatives import mask
from dexa.recipe import EncoderStage as Options
from dexa.tokens import TokenArray, TokenGroups, offsets_of
from dexa.training import planning
from dexa.training.batch import BatchMaker
from dexa.training.corpus import Corpus, make_corpus
from dexa.training.label_batch import LabelBatchMaker
from dexa.types import TokenBatch

DOCUMENTS, LABELS, VECTORS = 23, 12, 5
CPU = torch.device("cpu")


def numbered(count: int, first: int) -> TokenArray:
    """Texts that are told apart by their one to three tokens."""
    lengths = np.arange(count) % 3 + 1
    ids = np.repeat(first + np.arange(count), lengths).astype(np.int32)
    return TokenArray(torch.from_numpy(ids), offsets_of(lengths))


def text(number: int, first: int) -> list[int]:
    return [first + number] * (number % 3 + 1)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    draw = np.random.default_rng(1)
    truth = (draw.random((DOCUMENTS, LABELS)) < 0.2).astype(np.float32)
    truth[np.arange(DOCUMENTS), draw.integers(0, LABELS, DOCUMENTS)] = 1
    filtered = np.argwhere(draw.random(truth.shape) < 0.1)
    return make_corpus(
        numbered(DOCUMENTS, 0),
        numbered(LABELS, 100),
        csr_array(truth),
        filtered,
        validation=0,
        seed=1,
        device=CPU,
    )


@pytest.fixture(scope="module", params=["bag", "transformer"])
def encoder(request: pytest.FixtureRequest, tiny_encoder: Path) -> TextEncoder:
    if request.param == "bag":
        return open_encoder(f"bag:{tiny_encoder}", max_length=12, initial="random")
    return open_encoder(str(tiny_encoder), max_length=12)


def bank_of(vectors: int) -> AuxiliaryBank:
    of_label = np.random.default_rng(2).integers(0, max(1, vectors), LABELS)
    return AuxiliaryBank(torch.zeros(vectors, 16), of_label)


def texts_in(piece: TokenBatch | TokenGroups) -> list[list[int]]:
    """The texts of a piece in the order of the batch."""
    if isinstance(piece, TokenBatch):
        return [piece.ids[a:b].tolist() for a, b in pairwise(piece.offsets.tolist())]
    spans = [(int(piece.starts[n]), int(piece.counts[n])) for n in piece.places]
    return [piece.ids[a : a + n].tolist() for a, n in spans]


@pytest.mark.parametrize("piece", [0, 1, 4, 100])
@pytest.mark.parametrize("budget", [False, True])
@pytest.mark.parametrize("at_once", [1, 2, 64])
def test_batches_against_loops(
    corpus: Corpus, encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch, piece: int,
    budget: bool, at_once: int,
) -> None:  # fmt: skip
    if budget and not encoder.has_budgets:
        pytest.skip("a bag has no budgets")
    monkeypatch.setattr(planning, "_BATCHES_AT_ONCE", at_once)
    bank, size = bank_of(VECTORS), 7
    options = Options(batch_size=size, texts_at_once=piece)
    maker = BatchMaker(corpus, encoder, bank, options, budget=budget, seed=5)
    truth, known = corpus.labels.toarray() > 0, corpus.known.toarray() > 0
    for epoch in range(2):
        order = np.random.default_rng(epoch).permutation(DOCUMENTS)
        for step in range(4):
            batch = maker.of(epoch, step, order)
            documents = order[step * size : (step + 1) * size].tolist()
            assert batch.documents.tolist() == documents
            labels = batch.labels.tolist()
            real = [j for j in labels if j >= 0]
            assert labels == real + [-1] * (len(labels) - len(real))
            assert budget or labels == real
            assert real == sorted(set(real))

            chosen = batch.chosen[: len(documents)]
            assert (chosen // len(labels)).tolist() == list(range(len(documents)))
            positives = [labels[c] for c in (chosen % len(labels)).tolist()]
            assert all(truth[d, j] for d, j in zip(documents, positives, strict=True))
            assert set(positives) == set(real)
            found = mask(batch.known, len(documents), len(labels)).tolist()
            assert found == [[j >= 0 and bool(known[d, j]) for j in labels] for d in documents]

            texts = [text(d, 0) for d in documents]
            texts += [text(j, 100) if j >= 0 else [] for j in labels]
            sizes = [len(texts_in(part)) for part in batch.texts]
            assert sum(sizes) == len(texts)
            assert all(s == (piece or len(texts)) for s in sizes[:-1])
            assert sizes[-1] <= (piece or len(texts))
            assert [t for part in batch.texts for t in texts_in(part)] == texts

            assert batch.vectors is not None
            assert batch.which is not None
            vectors = batch.vectors.tolist()
            expected = sorted({int(bank.vector_of_label[j]) for j in real})
            assert vectors[: len(expected)] == expected
            assert all(v == -1 for v in vectors[len(expected) :])
            assert len(batch.which) == len(labels)
            for j, place in zip(labels, batch.which.tolist(), strict=True):
                assert place == (0 if j < 0 else vectors.index(int(bank.vector_of_label[j])))


def test_an_empty_bank_has_no_vectors(corpus: Corpus, encoder: TextEncoder) -> None:
    maker = BatchMaker(corpus, encoder, bank_of(0), Options(batch_size=7), budget=False, seed=5)
    batch = maker.of(0, 0, np.arange(DOCUMENTS))
    assert batch.vectors is None
    assert batch.which is None


def test_batches_hang_on_seed_epoch_and_order_alone(corpus: Corpus, encoder: TextEncoder) -> None:
    """So that a run which goes on in the middle of an epoch sees the same."""

    def labels(seed: int, epoch: int, steps: list[int]) -> list[list[int]]:
        options, order = Options(batch_size=7), np.arange(DOCUMENTS)
        maker = BatchMaker(corpus, encoder, bank_of(VECTORS), options, budget=False, seed=seed)
        return [maker.of(epoch, step, order).labels.tolist() for step in steps]

    whole = labels(5, 1, [0, 1, 2, 3])
    assert labels(5, 1, [2, 3]) == whole[2:]
    assert labels(5, 2, [0, 1, 2, 3]) != whole
    assert labels(6, 1, [0, 1, 2, 3]) != whole


def test_full_batches_with_a_budget_have_one_shape(corpus: Corpus, tiny_encoder: Path) -> None:
    encoder = open_encoder(str(tiny_encoder), max_length=12)
    maker = BatchMaker(
        corpus, encoder, bank_of(VECTORS), Options(batch_size=7), budget=True, seed=5
    )
    shapes = set()
    for epoch in range(3):
        order = np.random.default_rng(epoch).permutation(DOCUMENTS)
        for step in range(3):
            batch = maker.of(epoch, step, order)
            (groups,) = batch.texts
            parts = list((vars(batch) | vars(groups)).values())
            shapes.add(tuple(p.shape for p in parts if isinstance(p, torch.Tensor)))
    assert len(shapes) == 1


# batches of labels


def some_drawn(corpus: Corpus, sides: int, epoch: int) -> np.ndarray:
    """As many labels as there are documents, each with documents of its own."""
    draw = np.random.default_rng([epoch, 7])
    places = draw.integers(0, corpus.labels.nnz, DOCUMENTS)
    documents, labels = corpus.labels.tocoo().coords
    of_label = corpus.labels.T.tocsr()
    second = [draw.choice(of_label[[j]].indices) for j in labels[places]]
    return np.stack([labels[places], documents[places], np.array(second)])[:sides].astype(np.int64)


@pytest.mark.parametrize("piece", [0, 1, 4, 100])
@pytest.mark.parametrize("loss", ["likelihood", "softmax"])
@pytest.mark.parametrize("sides", [2, 3])
@pytest.mark.parametrize("budget", [False, True])
def test_batches_of_labels_against_loops(
    corpus: Corpus, encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch, piece: int, loss: str,
    sides: int, budget: bool,
) -> None:  # fmt: skip
    if budget and not encoder.has_budgets:
        pytest.skip("a bag has no budgets")
    monkeypatch.setattr(planning, "_BATCHES_AT_ONCE", 2)
    size = 7
    options = Options(task="labels", batch_size=size, texts_at_once=piece, loss=loss)
    maker = LabelBatchMaker(corpus, encoder, options, budget=budget)
    truth, known = corpus.labels.toarray().T > 0, corpus.known.toarray().T > 0
    assert (truth != known).any()
    for epoch in range(2):
        drawn = some_drawn(corpus, sides, epoch)
        for step in range(4):
            batch = maker.of(epoch, step, drawn)
            labels, documents, *others = drawn[:, step * size : (step + 1) * size].tolist()
            texts = [t for part in batch.texts for t in texts_in(part)]
            assert [len(texts_in(part)) for part in batch.texts[:-1]] == [piece or len(texts)] * (
                len(batch.texts) - 1
            )
            real = [t for t in texts if t]
            assert texts == real + [[]] * (len(texts) - len(real))
            assert len({tuple(t) for t in real}) == len(real)  # each once
            assert budget or texts == real

            expected = [[text(j, 100) for j in labels]]
            expected += [[text(d, 0) for d in side] for side in (documents, *others)]
            assert [[texts[place] for place in side] for side in batch.which.tolist()] == expected
            assert {tuple(t) for side in expected for t in side} == {tuple(t) for t in real}

            count = len(labels)
            found = mask(batch.known, count, count).tolist()
            assert found == known[np.ix_(labels, documents)].tolist()
            assert (batch.true is None) == (loss == "softmax")
            if batch.true is not None:
                found = mask(batch.true, count, count).tolist()
                assert found == truth[np.ix_(labels, documents)].tolist()


def test_full_batches_of_labels_have_one_shape(corpus: Corpus, tiny_encoder: Path) -> None:
    encoder = open_encoder(str(tiny_encoder), max_length=12)
    options = Options(task="labels", batch_size=7, loss="likelihood")
    maker = LabelBatchMaker(corpus, encoder, options, budget=True)
    shapes = set()
    for epoch in range(3):
        for step in range(3):
            batch = maker.of(epoch, step, some_drawn(corpus, 3, epoch))
            (groups,) = batch.texts
            parts = list((vars(batch) | vars(groups)).values())
            shapes.add(tuple(p.shape for p in parts if isinstance(p, torch.Tensor)))
    assert len(shapes) == 1
