"""Training: what is held out, what a step does, what a run leaves, and that it repeats."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import copy
import errno
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch.nn import functional as F

from dexa import Dataset, Dexa, metrics, recipes
from dexa.auxiliary import AuxiliaryBank, initial_bank
from dexa.encoders import BagOfTokens, encode, open_encoder
from dexa.errors import DataError, DeviceError, DivergenceError, ModelFolderError, StorageError
from dexa.losses import hard_negative_triplet, multi_positive_triplet
from dexa.negatives import mask
from dexa.recipe import Recipe
from dexa.tokens import TokenArray, offsets_of
from dexa.training import batch as batch_module
from dexa.training import checkpoints as checkpoints_module
from dexa.training import choose_device
from dexa.training.batch import Batch
from dexa.training.checkpoints import Checkpoints
from dexa.training.classifier_stage import ClassifierStage
from dexa.training.corpus import Corpus, make_corpus
from dexa.training.devices import precision
from dexa.training.encoder_stage import EncoderStage
from dexa.training.loop import run
from dexa.types import Silence
from tiny import PLACES
from tiny_models import contents, tiny_recipe

CPU = torch.device("cpu")


# devices


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("cpu") == CPU
    for there, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert choose_device("auto") == torch.device(device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match=r"'cuda:2', but 2 CUDA devices .*; use --device cpu"):
        choose_device("cuda:2")


@pytest.mark.parametrize("name", ["", "gpu", "tpu:0", "cuda:x", "mps", "CPU "])
def test_devices_that_do_not_exist(name: str) -> None:
    with pytest.raises(DeviceError, match="expected auto, cpu or cuda"):
        choose_device(name)


def test_a_cpu_computes_in_full_precision() -> None:
    with precision(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


# what is trained on and what is held out


def numbered(count: int, first: int) -> TokenArray:
    """Texts that are told apart by their one or two tokens."""
    lengths = np.arange(count) % 2 + 1
    ids = np.repeat(first + np.arange(count), lengths).astype(np.int32)
    return TokenArray(torch.from_numpy(ids), offsets_of(lengths))


def texts_of(tokens: TokenArray) -> list[list[int]]:
    bounds = tokens.offsets
    return [tokens.ids[a:b].tolist() for a, b in itertools.pairwise(bounds)]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**16),
    documents=st.integers(4, 20),
    labels=st.integers(1, 6),
    validation=st.integers(0, 30),
    pairs=st.integers(0, 8),
)
def test_the_corpus_against_loops(seed, documents, labels, validation, pairs) -> None:
    draw = np.random.default_rng(seed)
    truth = (draw.random((documents, labels)) < 0.4).astype(np.float32)
    truth[:3, 0] = 1
    filtered = np.stack([draw.integers(0, documents, pairs), draw.integers(0, labels, pairs)], 1)
    filtered = np.unique(filtered, axis=0)
    names, label_names = numbered(documents, 0), numbered(labels, 1_000)
    corpus = make_corpus(
        names, label_names, csr_array(truth), filtered, validation=validation, seed=seed, device=CPU
    )
    usable = [i for i in range(documents) if truth[i].any()]
    all_texts = texts_of(names)
    place = {tuple(text): i for i, text in enumerate(all_texts)}
    held = [place[tuple(text)] for text in texts_of(corpus.held_out)]
    kept = [place[tuple(text)] for text in texts_of(corpus.document_tokens())]
    assert len(held) == min(validation, len(usable) - 3)
    assert sorted(held + kept) == usable
    assert corpus.skipped == documents - len(usable)
    assert (corpus.documents, corpus.label_count) == (len(kept), labels)
    assert texts_of(corpus.label_tokens()) == texts_of(label_names)
    assert corpus.labels.toarray().tolist() == truth[kept].tolist()
    assert corpus.held_out_labels.toarray().tolist() == truth[held].tolist()
    assert corpus.frequency.tolist() == truth[kept].sum(axis=0).tolist()
    pair_set = {(int(d), int(label)) for d, label in filtered}
    known = [[bool(truth[d, j]) or (d, j) in pair_set for j in range(labels)] for d in kept]
    assert (corpus.known.toarray() > 0).tolist() == known
    assert {(held[d], j) for d, j in corpus.held_out_filter.tolist()} == {
        pair for pair in pair_set if pair[0] in held
    }


def test_what_is_held_out_depends_on_the_seed_alone() -> None:
    def held(seed: int) -> list[list[int]]:
        truth = csr_array(np.ones((50, 2), np.float32))
        pairs = np.zeros((0, 2), np.int64)
        made = make_corpus(
            numbered(50, 0), numbered(2, 100), truth, pairs, validation=9, seed=seed, device=CPU
        )
        return texts_of(made.held_out)

    assert held(1) == held(1)
    assert held(1) != held(2)


def test_no_document_has_a_label() -> None:
    with pytest.raises(DataError, match="0 training documents with a label; expected at least 3"):
        make_corpus(
            numbered(5, 0),
            numbered(2, 10),
            csr_array((5, 2), dtype=np.float32),
            np.zeros((0, 2), np.int64),
            validation=1,
            seed=1,
            device=CPU,
        )


# a step of the encoder stage, written out


@pytest.fixture
def corpus(tiny_dataset: Dataset, tiny_recipe: Recipe, tiny_encoder: Path) -> Corpus:
    bag = open_encoder(f"bag:{tiny_encoder}", max_length=12, initial="random")
    train = tiny_dataset.train
    assert train is not None
    assert train.texts is not None
    assert tiny_dataset.label_texts is not None
    return make_corpus(
        bag.tokenizer(train.texts),
        bag.tokenizer(tiny_dataset.label_texts),
        train.labels,
        np.array([[0, 5], [1, 7], [2, 3]]),
        validation=8,
        seed=1,
        device=CPU,
    )


def encoder_stage(corpus: Corpus, tiny_encoder: Path, **changes: Any) -> EncoderStage:
    bag = open_encoder(f"bag:{tiny_encoder}", max_length=12, initial="random")
    bank = initial_bank(
        encode(bag, corpus.label_tokens()),
        corpus.frequency,
        shared_vectors=5,
        head_labels=2,
        norm=0.15,
        seed=1,
    )
    recipe = recipe_with(tiny_encoder, changes)
    return EncoderStage(corpus, bag, bank, recipe, seed=3)


def recipe_with(tiny_encoder: Path, changes: dict[str, Any]) -> Recipe:
    return tiny_recipe(tiny_encoder).changed(
        {key.replace("__", "."): value for key, value in changes.items()}
    )


def drawn(stage: EncoderStage, epoch: int) -> torch.Tensor:
    """The label drawn for each document."""
    documents = torch.arange(stage.corpus.documents)
    pairs = batch_module.drawn(stage.corpus.labels, None, stage.seed, epoch, documents)
    assert pairs.places.tolist() == list(range(stage.corpus.documents))
    return pairs.labels


def written_out(stage: EncoderStage, epoch: int, step: int) -> tuple[torch.Tensor, list]:
    """The loss of a batch, and the leaves it is a function of: table, block, bank."""
    bag, vectors = copy.deepcopy(stage.encoder), stage.bank.vectors.clone().requires_grad_()
    assert isinstance(bag, BagOfTokens)
    bag.eval()  # for a dense gradient of the table
    corpus, size = stage.corpus, stage.batch_size
    documents = stage.order[step * size : (step + 1) * size].tolist()
    positives = drawn(stage, epoch)[documents].tolist()
    labels = sorted(set(positives))
    text = bag(corpus.texts.batch(np.arange(len(corpus.texts))))
    similarity = torch.stack(
        [
            torch.stack(
                [
                    torch.dot(
                        text[d],
                        F.normalize(
                            text[corpus.documents + j] + vectors[stage.bank.vector_of_label[j]],
                            dim=0,
                        ),
                    )
                    for j in labels
                ]
            )
            for d in documents
        ]
    )
    known = corpus.known.toarray() > 0
    loss = hard_negative_triplet(
        similarity,
        torch.tensor([labels.index(p) for p in positives]),
        torch.tensor([[bool(known[d, j]) for j in labels] for d in documents]),
        margin=stage.options.margin,
        negatives=stage.options.negatives,
        temperature=stage.temperature,
    )
    return loss, [bag.table, bag.residual.weight, bag.residual.bias, vectors]


def test_a_step_of_the_encoder_stage_is_the_method_written_out(corpus, tiny_encoder) -> None:
    stage = encoder_stage(corpus, tiny_encoder, encoder_stage__weight_decay=0.1)
    stage.begin(0)
    expected, leaves = written_out(stage, 0, 1)
    gradients = torch.autograd.grad(expected, leaves)
    before = [leaf.detach().clone() for leaf in leaves]
    memory = stage.memory.clone()
    loss = stage.step(0, 1)
    torch.testing.assert_close(loss, expected.detach())
    # the warm-up is one step long, so that the rate at step 1 of 12 is full
    rate, bank_rate = 0.01, 0.005
    bag = stage.encoder
    assert isinstance(bag, BagOfTokens)
    after = [bag.table, bag.residual.weight, bag.residual.bias, stage.bank.vectors]
    options = [(rate, 1e-8, 0), (rate, 1e-6, 0.1), (rate, 1e-6, 0), (bank_rate, 1e-8, 0)]
    for old, new, g, (step, epsilon, decay) in zip(before, after, gradients, options, strict=True):
        moved = old * (1 - step * decay) - step * g / (g.abs() + epsilon)
        large = g.abs() > 1e-6  # the quotient of rounded zeros is anything
        assert large.any()
        torch.testing.assert_close(new.detach()[large], moved[large], rtol=1e-3, atol=1e-5)
        still = ~(g != 0).flatten(1).any(dim=1) if g.ndim > 1 else torch.zeros(16).bool()
        if decay == 0:
            assert torch.equal(new.detach()[still], old[still])
    # the memory holds the new vectors of this batch, and no others
    documents = torch.from_numpy(stage.order[16:32])
    others = torch.from_numpy(np.setdiff1d(np.arange(corpus.documents), stage.order[16:32]))
    expected_vectors = before_vectors(before, bag, corpus)[documents]
    torch.testing.assert_close(stage.memory[documents].float(), expected_vectors, rtol=0, atol=1e-3)
    assert torch.equal(stage.memory[others], memory[others])


def before_vectors(before: list[torch.Tensor], bag: BagOfTokens, corpus: Corpus) -> torch.Tensor:
    old = copy.deepcopy(bag)
    with torch.no_grad():
        old.table.copy_(before[0])
        old.residual.weight.copy_(before[1])
        old.residual.bias.copy_(before[2])
    return encode(old, corpus.document_tokens())


def test_a_recipe_without_vectors_trains_the_encoder_alone(corpus, tiny_encoder) -> None:
    stage = encoder_stage(corpus, tiny_encoder)
    stage.bank = AuxiliaryBank(torch.zeros(0, 16), np.zeros(24, np.int64))
    stage.begin(0)
    assert stage.step(0, 0) > 0
    stage.encoder.eval()
    assert len(stage.bank.vectors) == 0


def test_biases_and_norms_are_not_decayed(corpus, tiny_encoder) -> None:
    transformer = open_encoder(str(tiny_encoder), max_length=12)
    recipe = tiny_recipe(tiny_encoder)
    bank = AuxiliaryBank(torch.zeros(0, 16), np.zeros(24, np.int64))
    stage = EncoderStage(corpus, transformer, bank, recipe, seed=1)
    groups = stage.tuned.groups
    decayed = {id(p) for g in groups if g["weight_decay"] for p in g["params"]}
    free = {id(p) for g in groups if not g["weight_decay"] for p in g["params"]}
    for name, parameter in transformer.named_parameters():
        vector = name.endswith("bias") or "LayerNorm" in name
        assert id(parameter) in (free if vector else decayed), name
    assert len(decayed) + len(free) == len(list(transformer.parameters()))


def test_positives_are_drawn_anew_in_each_epoch(corpus, tiny_encoder) -> None:
    stage = encoder_stage(corpus, tiny_encoder)
    labels = [drawn(stage, epoch).tolist() for epoch in range(8)]
    assert labels[0] == drawn(stage, 0).tolist()
    assert len({tuple(d) for d in labels}) > 1
    truth = corpus.labels.toarray()
    assert all(truth[i, label] for d in labels for i, label in enumerate(d))


def test_an_epoch_sees_every_document_and_the_last_batch_may_be_short(corpus, tiny_encoder) -> None:
    stage = encoder_stage(corpus, tiny_encoder, encoder_stage__batch_size=15)
    assert corpus.documents == 56
    assert stage.steps() == 4
    stage.begin(0)
    assert sorted(stage.order.tolist()) == list(range(56))
    for step in range(4):
        assert stage.step(0, step).isfinite()
    assert stage.memory.abs().sum(dim=1).min() > 0


def test_the_stage_is_validated_as_often_as_asked(corpus, tiny_encoder) -> None:
    for times, epochs in ((0, []), (1, [9]), (2, [4, 9]), (5, [1, 3, 5, 7, 9])):
        stage = encoder_stage(
            corpus, tiny_encoder, encoder_stage__epochs=10, encoder_stage__validations=times
        )
        assert [e for e in range(10) if stage.figures(e)] == epochs
    figures = stage.figures(9)
    documents = encode(stage.encoder, corpus.held_out)
    labels = stage.bank.added_to(encode(stage.encoder, corpus.label_tokens()))
    scores = documents @ F.normalize(labels, dim=1).T
    filtered = {(d, j) for d, j in corpus.held_out_filter.tolist()}
    hits = []
    for row in range(len(documents)):
        ranked = scores[row].argsort(descending=True).tolist()
        best = next(j for j in ranked if (row, j) not in filtered)
        hits.append(bool(corpus.held_out_labels[[row]].toarray()[0, best]))
    assert figures["P@1"] == pytest.approx(100 * np.mean(hits), abs=1e-3)


# a step of the classifier stage, written out


def classifier_stage(corpus: Corpus, tiny_encoder: Path, **changes: Any) -> ClassifierStage:
    bag = open_encoder(f"bag:{tiny_encoder}", max_length=12, initial="random")
    options = recipe_with(tiny_encoder, changes).classifier_stage
    documents = encode(bag, corpus.document_tokens())
    labels = encode(bag, corpus.label_tokens())
    return ClassifierStage(corpus, documents, labels, options, seed=3, device=CPU)


def test_a_step_of_the_classifier_stage_is_the_method_written_out(corpus, tiny_encoder) -> None:
    stage = classifier_stage(
        corpus, tiny_encoder, classifier_stage__dropout=0, classifier_stage__warmup_steps=1
    )
    stage.begin(0)
    rows = stage.order[16:32].tolist()
    truth, known = corpus.labels.toarray() > 0, corpus.known.toarray() > 0
    labels = [j for j in range(24) if truth[rows, j].any()]
    leaf = stage.weights.clone().requires_grad_()
    similarity = torch.stack(
        [
            torch.stack(
                [torch.dot(stage.documents[d], F.normalize(leaf[j], dim=0)) for j in labels]
            )
            for d in rows
        ]
    )
    expected = multi_positive_triplet(
        similarity,
        torch.tensor([[bool(truth[d, j]) for j in labels] for d in rows]),
        torch.tensor([[bool(known[d, j]) for j in labels] for d in rows]),
        margin=stage.options.margin,
        positives=stage.options.positives,
        negatives=stage.options.negatives,
    )
    (g,) = torch.autograd.grad(expected, leaf)
    before = stage.weights.clone()
    torch.testing.assert_close(stage.step(0, 1), expected.detach())
    moved = before - 0.001 * g / (g.abs() + 1e-8)
    large = g.abs() > 1e-6
    torch.testing.assert_close(stage.weights[large], moved[large], rtol=1e-3, atol=1e-5)
    still = [j for j in range(24) if j not in labels]
    assert still
    assert torch.equal(stage.weights[still], before[still])


def test_draws_for_dropout_depend_on_the_place_alone(corpus, tiny_encoder, monkeypatch) -> None:
    def draws(places: list[tuple[int, int]]) -> list[torch.Tensor]:
        stage = classifier_stage(corpus, tiny_encoder)
        seen: list[torch.Tensor] = []
        monkeypatch.setattr(stage, "_train", lambda batch: seen.append(batch.draws))
        stage.begin(0)
        for place in places:
            torch.rand(3)
            stage.step(*place)
        return seen

    one, other, later = draws([(0, 1), (0, 2), (1, 1)])
    assert torch.equal(draws([(0, 1)])[0], one)
    assert not torch.equal(one, other)
    assert not torch.equal(one, later)
    for share in (0.1, 0.5, 0.9):
        assert (one < share).float().mean().item() == pytest.approx(share, abs=0.1)


@pytest.mark.parametrize("dropout", [0.25, 0.75])
def test_dropout_leaves_what_is_drawn_at_least_as_high(
    corpus, tiny_encoder, monkeypatch, dropout: float
) -> None:
    """The loss of vectors without the dropped elements, scaled to unit length again."""
    stage = classifier_stage(corpus, tiny_encoder, classifier_stage__dropout=dropout)
    train, seen = stage._train, []
    monkeypatch.setattr(stage, "_train", lambda batch: seen.append(batch) or train(batch))
    stage.begin(0)
    before = stage.weights.clone()
    loss = stage.step(0, 1)
    (batch,) = seen
    vectors = F.normalize(batch.vectors.masked_fill(batch.draws < dropout, 0), dim=1)
    options, shape = stage.options, (len(vectors), len(batch.labels))
    expected = multi_positive_triplet(
        vectors @ F.normalize(before[batch.labels], dim=1).T,
        mask(batch.true, *shape),
        mask(batch.known, *shape),
        margin=options.margin,
        positives=options.positives,
        negatives=options.negatives,
    )
    torch.testing.assert_close(loss, expected)


def test_moments_of_bfloat16_train_nearly_the_same_classifiers(corpus, tiny_encoder) -> None:
    stages = [
        classifier_stage(corpus, tiny_encoder, classifier_stage__moments=moments)
        for moments in ("float32", "bfloat16")
    ]
    start = stages[0].weights.clone()
    for stage in stages:
        for epoch in range(2):
            stage.begin(epoch)
            for step in range(stage.steps()):
                assert stage.step(epoch, step).isfinite()
    exact, rounded = (stage.weights for stage in stages)
    assert stages[1].tensors()["adam.second"].dtype == torch.bfloat16
    assert 0 < (rounded - exact).norm() < 0.1 * (exact - start).norm()


# a batch that is encoded in pieces


def either_stage(
    corpus: Corpus, tiny_encoder: Path, kind: str, dropout: float = 0.0, **changes: Any
) -> EncoderStage:
    """An encoder stage of a bag or of a transformer over the same vocabulary."""
    if kind == "bag":
        return encoder_stage(corpus, tiny_encoder, **changes)
    transformer = open_encoder(str(tiny_encoder), max_length=14, dropout=dropout)
    changes["encoder__dropout"] = dropout
    vectors = 0.1 * torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    bank = AuxiliaryBank(vectors, np.arange(24) % 5)
    return EncoderStage(corpus, transformer, bank, recipe_with(tiny_encoder, changes), seed=3)


def gradients_of_a_step(stage: EncoderStage, monkeypatch) -> tuple[torch.Tensor, list]:
    """The loss of a step and all that its update would be given."""
    found: list[torch.Tensor] = []

    def update(batch: Batch, leaf: torch.Tensor | None) -> None:
        assert leaf is not None
        assert leaf.grad is not None
        gradients = [p.grad for p in stage.encoder.parameters() if p.grad is not None]
        found.extend(g.to_dense() for g in [leaf.grad, *gradients])

    monkeypatch.setattr(stage, "_update", update)
    stage.begin(0)
    return stage.step(0, 1), found


@pytest.mark.parametrize("kind", ["bag", "transformer"])
@pytest.mark.parametrize("at_once", [1, 5, 16, 31])
def test_pieces_give_the_gradient_of_the_whole(
    corpus, tiny_encoder, monkeypatch, kind: str, at_once: int
) -> None:
    whole = either_stage(corpus, tiny_encoder, kind)
    pieces = either_stage(corpus, tiny_encoder, kind, encoder_stage__texts_at_once=at_once)
    loss, expected = gradients_of_a_step(whole, monkeypatch)
    again, found = gradients_of_a_step(pieces, monkeypatch)
    batch = pieces.batches.of(0, 1, pieces.order)
    assert len(batch.texts) == -(-(len(batch.documents) + len(batch.labels)) // at_once)
    torch.testing.assert_close(again, loss, rtol=0, atol=1e-5)
    assert len(found) == len(expected) > 2
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    torch.testing.assert_close(pieces.memory, whole.memory, rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", ["bag", "transformer"])
def test_a_run_in_pieces_is_a_run(corpus, tiny_encoder, kind: str) -> None:
    losses = []
    for at_once in (0, 7):
        stage = either_stage(corpus, tiny_encoder, kind, encoder_stage__texts_at_once=at_once)
        losses.append([])
        for epoch in range(2):
            stage.begin(0)  # orders of later epochs hang on the last digits of the memory
            losses[-1] += [float(stage.step(epoch, step)) for step in range(stage.steps())]
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)


def test_a_piece_sees_the_same_dropout_both_times(corpus, tiny_encoder, monkeypatch) -> None:
    stage = either_stage(corpus, tiny_encoder, "transformer", 0.5, encoder_stage__texts_at_once=5)
    seen: list[torch.Tensor] = []
    encode_piece = stage.tuned._encode

    def spy(*arguments: Any) -> torch.Tensor:
        seen.append(encode_piece(*arguments))
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
    (piece,) = stage.batches.of(0, 0, stage.order).texts[:1]
    assert not torch.equal(encode_piece(piece), encode_piece(piece))


def test_dropout_in_pieces_hangs_on_the_place_alone(corpus, tiny_encoder) -> None:
    losses = []
    for _ in range(2):
        stage = either_stage(
            corpus, tiny_encoder, "transformer", 0.3, encoder_stage__texts_at_once=9
        )
        stage.begin(0)
        torch.rand(3)
        losses.append([float(stage.step(0, step)) for step in range(4)])
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 4


# the loop and its checkpoints


class Counting:
    """A stage whose state is a number: every step adds the place's number to it."""

    name = "counting"

    def __init__(self, epochs: int = 3, steps: int = 4, bad: tuple[int, int] | None = None) -> None:
        self.epochs, self._steps, self.bad = epochs, steps, bad
        self.total = torch.zeros(1, dtype=torch.float64)
        self.calls: list[tuple[int, ...]] = []

    def begin(self, epoch: int) -> None:
        self.calls.append((epoch,))

    def steps(self) -> int:
        return self._steps

    def step(self, epoch: int, step: int) -> torch.Tensor:
        self.calls.append((epoch, step))
        self.total = self.total * 3 + epoch * 10 + step
        return torch.tensor(math.nan if (epoch, step) == self.bad else float(step))

    def figures(self, epoch: int) -> dict[str, float]:
        return {"P@1": 50.0} if epoch == 1 else {}

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"total": self.total}

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        self.total = tensors["total"]


class Steps(Silence):
    def __init__(self) -> None:
        self.events: list[Any] = []

    def begin(self, task: str, total: int) -> None:
        self.events.append((task, total))

    def advance(self, done: int, detail: str = "") -> None:
        self.events.append((done, detail))

    def end(self) -> None:
        self.events.append("end")


def test_epochs_and_steps_in_order() -> None:
    stage, steps = Counting(epochs=2, steps=2), Steps()
    history = run(stage, Checkpoints(None, {}), steps)
    assert stage.calls == [(0,), (0, 0), (0, 1), (1,), (1, 0), (1, 1)]
    assert [{k: v for k, v in r.items() if k != "seconds"} for r in history] == [
        {"stage": "counting", "epoch": 1, "step": 2, "loss": 0.5},
        {"stage": "counting", "epoch": 2, "step": 4, "loss": 0.5, "P@1": 50.0},
    ]
    assert all(record["seconds"] >= 0 for record in history)
    assert steps.events[0] == ("counting", 4)
    assert steps.events[-2:] == [(4, "epoch 2/2"), "end"]


def test_a_stage_of_no_epochs() -> None:
    stage = Counting(epochs=0)
    assert run(stage, Checkpoints(None, {}), Silence()) == []
    assert stage.calls == []


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, {})
    with pytest.raises(DivergenceError, match=r"lower counting\.learning_rate"):
        run(Counting(bad=(1, 2)), kept, Silence())
    latest = kept.latest("counting")
    assert latest is not None
    assert latest.place["epoch"] == 1  # the epoch before is kept, not the spoilt one


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("stop", range(12))
def test_a_loop_stopped_at_any_step_goes_on_where_it_was(tmp_path, monkeypatch, stop, every):
    whole = Counting()
    expected = run(whole, Checkpoints(None, {}), Silence())
    asked = 0

    def due(self: Checkpoints, *, epoch_done: bool = False) -> bool:
        nonlocal asked
        asked += 1
        return asked % every == 0

    monkeypatch.setattr(Checkpoints, "due", due)

    class Stopping(Counting):
        def step(self, epoch: int, step: int) -> torch.Tensor:
            if epoch * 4 + step == stop:
                raise KeyboardInterrupt
            return super().step(epoch, step)

    with pytest.raises(KeyboardInterrupt):
        run(Stopping(), Checkpoints(tmp_path, {}), Silence())
    again = Counting()
    history = run(again, Checkpoints(tmp_path, {}), Silence())
    assert torch.equal(again.total, whole.total)
    assert [{**r, "seconds": 0} for r in history] == [{**r, "seconds": 0} for r in expected]
    assert set(again.calls) <= set(whole.calls)
    assert again.calls.count((2, 3)) == 1


def test_the_last_two_checkpoints_of_each_stage_are_kept(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "c", {"seed": 1})
    assert kept.latest("a") is None
    for n in range(12):
        kept.save("a", {"epoch": n}, {"x": torch.full((2,), float(n))})
    kept.save("b", {"epoch": 0}, {})
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == [
        "a.000010",
        "a.000011",
        "b.000000",
    ]
    latest = kept.latest("a")
    assert latest is not None
    assert latest.place == {"epoch": 11}
    assert latest.tensors["x"].tolist() == [11.0, 11.0]
    kept.clear()
    assert not (tmp_path / "c").exists()


def test_a_run_without_a_folder_keeps_nothing() -> None:
    kept = Checkpoints(None, {})
    kept.save("a", {}, {})
    assert kept.latest("a") is None
    assert not kept.due()
    kept.clear()


def test_a_long_epoch_is_kept_on_its_way(tmp_path: Path, monkeypatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(checkpoints_module.time, "monotonic", lambda: now)
    kept = Checkpoints(tmp_path, {})
    now += 599
    assert not kept.due()
    now += 2
    assert kept.due()
    kept.save("a", {}, {"x": torch.zeros(1)})
    assert not kept.due()


def test_checkpoints_take_a_twentieth_of_the_time(tmp_path: Path, monkeypatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(checkpoints_module.time, "monotonic", lambda: now)

    def slow(*_: object) -> None:
        nonlocal now
        now += 2

    monkeypatch.setattr(checkpoints_module, "save_file", slow)
    kept = Checkpoints(tmp_path, {})
    assert kept.due(epoch_done=True)  # nothing is kept yet
    kept.save("a", {}, {})
    now += 39
    assert not kept.due(epoch_done=True)
    now += 1
    assert kept.due(epoch_done=True)


def test_the_end_of_a_stage_is_kept_however_soon_it_comes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Checkpoints, "due", lambda self, *, epoch_done=False: False)
    kept = Checkpoints(tmp_path, {})
    run(Counting(), kept, Silence())
    latest = kept.latest("counting")
    assert latest is not None
    assert latest.place["epoch"] == 3


def test_tensors_of_every_kind_come_back(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, {})
    tensors = {
        "half": torch.randn(3, 2).half(),
        "strided": torch.arange(6.0).view(2, 3).T,
        "ids": torch.tensor([2**40]),
        "gradient": torch.ones(2, requires_grad=True),
        "empty": torch.zeros(0, 4),
    }
    kept.save("a", {}, tensors)
    latest = kept.latest("a")
    assert latest is not None
    for name, tensor in tensors.items():
        assert torch.equal(latest.tensors[name], tensor.detach()), name


def test_checkpoints_of_another_run_are_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path, {"seed": 1}).save("a", {}, {})
    with pytest.raises(ModelFolderError, match=r"another recipe, seed.*start without --resume"):
        Checkpoints(tmp_path, {"seed": 2}).latest("a")


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: (f / "state.safetensors").write_bytes(b"rubbish"),
        lambda f: (f / "state.safetensors").write_bytes(
            (f / "state.safetensors").read_bytes()[:-3]
        ),
        lambda f: (f / "state.safetensors").unlink(),
        lambda f: (f / "place.json").write_text("{"),
        lambda f: (f / "place.json").write_text("{}"),
        lambda f: (f / "place.json").unlink(),
    ],
)
def test_a_damaged_checkpoint_says_what_to_do(tmp_path: Path, damage) -> None:
    kept = Checkpoints(tmp_path, {})
    for n in range(2):
        kept.save("a", {"epoch": n}, {"x": torch.zeros(5)})
    damage(tmp_path / "a.000001")
    with pytest.raises(ModelFolderError, match="delete this checkpoint") as raised:
        kept.latest("a")
    assert raised.value.path == tmp_path / "a.000001"


@pytest.mark.parametrize("step", ["save_file", "write_json"])
def test_a_full_disk_leaves_the_checkpoints_before(tmp_path: Path, monkeypatch, step: str) -> None:
    kept = Checkpoints(tmp_path, {})
    kept.save("a", {"epoch": 1}, {"x": torch.ones(3)})
    before = contents(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints_module, step, full)
    with pytest.raises(StorageError, match="No space left on device"):
        kept.save("a", {"epoch": 2}, {"x": torch.ones(3)})
    assert contents(tmp_path) == before
    latest = kept.latest("a")
    assert latest is not None
    assert latest.place == {"epoch": 1}


# whole runs


def trained(recipe: Recipe, dataset: Dataset, folder: Path, seed: int = 5) -> dict[str, bytes]:
    Dexa(recipe, seed=seed, device="cpu").fit(dataset).save(folder)
    return contents(folder)


@pytest.mark.parametrize("encoder", ["bag", "transformer"])
def test_a_seed_gives_the_same_bytes_whatever_was_drawn_before(
    tiny_recipe: Recipe, tiny_encoder: Path, tiny_dataset: Dataset, tmp_path: Path, encoder: str
) -> None:
    recipe = tiny_recipe
    if encoder == "transformer":
        changes = {"encoder.name": str(tiny_encoder), "encoder.dropout": 0.1}
        recipe = recipe.changed({**changes, "encoder_stage.epochs": 2})
    one = trained(recipe, tiny_dataset, tmp_path / "one")
    torch.rand(7)
    np.random.default_rng().random(3)
    two = trained(recipe, tiny_dataset, tmp_path / "two")
    assert one == two
    other = trained(recipe, tiny_dataset, tmp_path / "other", seed=6)
    for name in ("labels.safetensors", "auxiliary.safetensors"):
        assert other[name] != one[name]


def test_training_learns(tiny_recipe: Recipe, tiny_dataset: Dataset) -> None:
    """Labels are renamed, so that no word of a document tells them without training."""
    train, test = tiny_dataset.train, tiny_dataset.test
    assert train is not None
    assert test is not None
    texts, test_texts = (
        [text.partition(" at the")[0] for text in split.texts or ()] for split in (train, test)
    )
    names = [f"{place} {word}" for place in PLACES for word in ("a", "at", "of", "thing")]
    renamed = Dataset.from_lists(
        texts, train.labels, names, test_texts=test_texts, test_labels=test.labels
    )
    none = {"encoder_stage.epochs": 0, "classifier_stage.epochs": 0, "fusion.validation": 0}
    longer = {
        "encoder_stage.epochs": 20,
        "encoder_stage.cluster_from": 100,  # clusters would make later batches harder
        "classifier_stage.epochs": 20,
        "classifier_stage.learning_rate": 0.02,
    }
    untrained = Dexa(tiny_recipe.changed(none), device="cpu").fit(renamed).evaluate(renamed)
    model = Dexa(tiny_recipe.changed(longer), device="cpu").fit(renamed)
    learned = model.evaluate(renamed)
    for scorer in ("label_search", "classifiers", "fusion"):
        before, after = untrained.scorers[scorer]["P@1"], learned.scorers[scorer]["P@1"]
        assert after >= before + 50, (scorer, before, after)
    for stage, share in (("encoder_stage", 0.5), ("classifier_stage", 0.9)):
        losses = [r["loss"] for r in model.model.history if r["stage"] == stage]
        assert np.mean(losses[-3:]) < share * np.mean(losses[:3]), (stage, losses)


def test_a_learning_rate_that_breaks_training(tiny_recipe: Recipe, tiny_dataset: Dataset) -> None:
    recipe = tiny_recipe.changed({"encoder_stage.learning_rate": 1e25})
    with pytest.raises(DivergenceError, match=r"lower encoder_stage\.learning_rate"):
        Dexa(recipe, device="cpu").fit(tiny_dataset)


def test_the_history_of_a_run(fitted: Dexa) -> None:
    history = fitted.model.history
    assert [(r["stage"], r["epoch"], r["step"]) for r in history] == [
        ("encoder_stage", 1, 4),
        ("encoder_stage", 2, 8),
        ("encoder_stage", 3, 12),
        ("classifier_stage", 1, 4),
        ("classifier_stage", 2, 8),
    ]
    assert all("P@1" in r for r in history if r["stage"] == "encoder_stage")


def test_the_parts_of_a_trained_model_fit_together(fitted: Dexa, tiny_dataset: Dataset) -> None:
    model = fitted.model
    assert tiny_dataset.train is not None
    truth = tiny_dataset.train.labels
    assert model.frequency.tolist() == (truth.toarray() > 0).sum(axis=0).tolist()
    assert model.fusion.inverse_propensity.shape == (24,)
    assert (model.fusion.inverse_propensity >= 1).all()
    assert (
        model.fusion.inverse_propensity.max() <= metrics.inverse_propensity(truth, 0.55, 1.5).max()
    )
    assert not model.encoder.training
    assert len(model.bank.vectors) == 7
    assert all(p.grad is None for p in model.encoder.parameters())


# determinism with several threads


def test_threads_do_not_change_the_bytes(tiny_encoder: Path) -> None:
    """Gradients of rows that many labels share must add up in one order."""
    random = np.random.default_rng(0)
    words = np.array(["amber", "black", "crimson", "green", "ivory", "violet", "the", "at"])
    texts = [" ".join(random.choice(words, 4)) for _ in range(6_000)]
    label_texts = [" ".join(random.choice(words, 2)) for _ in range(5_000)]
    labels = [[int(random.integers(5_000))] for _ in texts]
    recipe = recipes.dexa().changed(
        {
            "encoder.name": f"bag:{tiny_encoder}",
            "encoder.initial": "random",
            "auxiliary.shared_vectors": 3,
            "auxiliary.initial_norm": 0.15,
            "encoder_stage.epochs": 2,
            "encoder_stage.batch_size": 5_500,
            "encoder_stage.validations": 0,
            "classifier_stage.epochs": 1,
        }
    )
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        runs = [
            Dexa(recipe, seed=1, device="cpu").fit(texts, labels, label_texts).model
            for _ in range(3)
        ]
    finally:
        torch.set_num_threads(before)
    for other in runs[1:]:
        assert torch.equal(runs[0].bank.vectors, other.bank.vectors)
        assert torch.equal(runs[0].scorers.classifiers.vectors, other.scorers.classifiers.vectors)
