"""Batches of labels: what is drawn, the losses against loops, batches encoded in pieces."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, hstack

from dexa import Dataset
from dexa.encoders import open_encoder
from dexa.recipe import Recipe
from dexa.tokens import TokenGroups
from dexa.training.corpus import Corpus, make_corpus
from dexa.training.label_stage import LabelStage
from dexa.types import TokenBatch
from tiny_models import tiny_recipe

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def corpus(tiny_dataset: Dataset, tiny_encoder: Path) -> Corpus:
    train, texts = tiny_dataset.train, tiny_dataset.label_texts
    assert train is not None
    assert train.texts is not None
    assert texts is not None
    tokenizer = open_encoder(f"bag:{tiny_encoder}", max_length=12, initial="random").tokenizer
    return make_corpus(
        tokenizer(train.texts),
        tokenizer(texts),
        train.labels,
        np.array([[0, 5], [1, 7], [2, 3]]),
        validation=8,
        seed=1,
        device=CPU,
    )


def stage_of(
    corpus: Corpus, tiny_encoder: Path, kind: str = "bag", dropout: float = 0.0, **changes: object
) -> LabelStage:
    """A stage over a bag or a transformer; ``__`` stands for the dot of a field."""
    given = {key.replace("__", "."): value for key, value in changes.items()}
    recipe: Recipe = tiny_recipe(tiny_encoder, name="dexa_plus").changed(given)
    recipe = dataclasses.replace(
        recipe, encoder=dataclasses.replace(recipe.encoder, dropout=dropout)
    )
    name = f"bag:{tiny_encoder}" if kind == "bag" else str(tiny_encoder)
    initial = "random" if kind == "bag" else "pretrained"
    encoder = open_encoder(name, max_length=12, initial=initial, dropout=dropout)
    return LabelStage(corpus, encoder, recipe, seed=3)


def gradients(stage: LabelStage, monkeypatch: pytest.MonkeyPatch) -> tuple[float, list]:
    """The loss of a step, and the gradients that its update would be given."""
    found: list[torch.Tensor] = []

    def update() -> None:
        assert stage.tuned.encoder is not None
        given = [p.grad for p in stage.tuned.encoder.parameters() if p.grad is not None]
        found.extend(g.to_dense() for g in given)

    monkeypatch.setattr(stage.tuned, "update", update)
    stage.begin(0)
    return float(stage.step(0, 1)), found


@pytest.mark.parametrize("labels", [24, 130, 2_000])
def test_how_many_labels_an_epoch_draws(corpus: Corpus, tiny_encoder: Path, labels: int) -> None:
    more = csr_array((corpus.documents, labels - 24), dtype=np.float32)
    wide = csr_array(hstack([corpus.labels, more]))
    stage = stage_of(dataclasses.replace(corpus, labels=wide, known=wide), tiny_encoder)
    stage.begin(0)
    pairs = corpus.labels.nnz
    assert stage.drawn.shape == (3, min(max(labels, corpus.documents), pairs))
    assert stage.steps() == -(-stage.drawn.shape[1] // 16)
    for label, first, second in stage.drawn.T:
        assert wide[[first], [label]] == wide[[second], [label]] == 1
    before = stage.drawn.copy()
    stage.begin(1)
    assert (stage.drawn != before).any()


@pytest.mark.parametrize("mixed", [0.0, 0.4])
@pytest.mark.parametrize("loss", ["softmax", "likelihood"])
def test_the_loss_of_a_batch_against_a_loop(
    corpus: Corpus, tiny_encoder: Path, loss: str, mixed: float
) -> None:
    changes = {"encoder_stage__loss": loss, "label_batches__mixed": mixed}
    stage = stage_of(corpus, tiny_encoder, **changes)
    stage.begin(0)
    ours = float(stage.step(0, 1))
    labels, first, second = stage.drawn[:, 16:32]
    fresh = stage_of(corpus, tiny_encoder, **changes)

    def encoded(rows: np.ndarray) -> torch.Tensor:
        with torch.no_grad():
            return fresh.tuned.encode(corpus.texts, rows).double()

    texts, documents, others = (
        encoded(rows) for rows in (corpus.documents + labels, first, second)
    )
    truth, known = corpus.labels.toarray(), corpus.known.toarray()

    def naive(queries: torch.Tensor) -> float:
        cosines = (queries @ documents.T).numpy()
        total = 0.0
        for i, label in enumerate(labels):
            if loss == "likelihood":
                p = 0.9 * np.exp(1.5 * (cosines[i] - 1))
                right = [j for j, document in enumerate(first) if truth[document, label]]
                wrong = [p[j] for j, document in enumerate(first) if not known[document, label]]
                total += -np.log(p[right]).sum() - np.log(1 - max(wrong))
                continue
            z = cosines / 0.1
            row = [z[i, j] for j, document in enumerate(first) if not known[document, label]]
            column = [z[j, i] for j, other in enumerate(labels) if not known[first[i], other]]
            total += np.log1p(np.exp(np.array(row) - z[i, i]).sum()) / 2
            total += np.log1p(np.exp(np.array(column) - z[i, i]).sum()) / 2
        return total / len(labels)

    sums = torch.nn.functional.normalize(documents + others, dim=1)
    expected = (1 - mixed) * naive(texts) + mixed * naive(sums)
    assert ours == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", ["bag", "transformer"])
@pytest.mark.parametrize("mixed", [0.0, 0.3])
@pytest.mark.parametrize("at_once", [1, 7, 31])
def test_pieces_give_the_gradient_of_the_whole(
    corpus: Corpus,
    tiny_encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    mixed: float,
    at_once: int,
) -> None:
    whole = stage_of(corpus, tiny_encoder, kind, label_batches__mixed=mixed)
    changes = {"label_batches__mixed": mixed, "encoder_stage__texts_at_once": at_once}
    pieces = stage_of(corpus, tiny_encoder, kind, **changes)
    loss, expected = gradients(whole, monkeypatch)
    again, found = gradients(pieces, monkeypatch)
    assert again == pytest.approx(loss, abs=1e-5)
    assert len(found) == len(expected) > 0
    assert max(float(gradient.abs().max()) for gradient in expected) > 1e-3
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_a_piece_sees_the_same_dropout_both_times(
    corpus: Corpus, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_of(
        corpus, tiny_encoder, "transformer", dropout=0.5, encoder_stage__texts_at_once=5
    )
    seen: list[torch.Tensor] = []
    encode = stage.tuned._encode

    def spy(batch: TokenBatch | TokenGroups) -> torch.Tensor:
        seen.append(encode(batch))
        return seen[-1]

    monkeypatch.setattr(stage.tuned, "_encode", spy)
    stage.begin(0)
    assert stage.step(0, 0).isfinite()
    half = len(seen) // 2
    assert half > 3
    for first, second in zip(seen[:half], seen[half:], strict=True):
        assert torch.equal(first, second)
        assert not first.requires_grad
        assert second.requires_grad
