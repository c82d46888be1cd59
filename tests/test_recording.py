"""Steps as CUDA graphs: what is recorded, that nothing waits, and that losses stay the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dexa import Dataset
from dexa.auxiliary import AuxiliaryBank
from dexa.encoders import encode, open_encoder
from dexa.training import recording
from dexa.training.classifier_stage import ClassifierStage
from dexa.training.corpus import Corpus, make_corpus
from dexa.training.devices import precision
from dexa.training.encoder_stage import EncoderStage
from dexa.training.label_stage import LabelStage
from dexa.training.recording import Recorded
from tiny import write_encoder
from tiny_models import tiny_recipe

pytestmark = pytest.mark.filterwarnings("ignore:Synchronization debug mode:UserWarning")

CUDA = torch.device("cuda")
Stage = EncoderStage | LabelStage | ClassifierStage


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A part of an input."""

    scale: torch.Tensor
    width: int


@dataclass(frozen=True, kw_only=True)
class Input:
    """An input of every kind that a step may have."""

    values: torch.Tensor
    parts: tuple[Inner, ...]
    nothing: torch.Tensor | None = None


def an_input(number: float, device: str, length: int = 3, width: int = 2) -> Input:
    parts = tuple(
        Inner(scale=torch.tensor(number + i, device=device), width=width) for i in range(2)
    )
    return Input(values=torch.full((length,), number, device=device), parts=parts)


def loss_of(number: float, length: int = 3, width: int = 2) -> float:
    return number * length * (2 * number + 1) * width


class Counted:
    """A step that counts how often Python runs it, and a number that it moves."""

    def __init__(self, device: str) -> None:
        self.runs = 0
        self.state = torch.zeros((), device=device)

    def __call__(self, inputs: Input) -> torch.Tensor:
        self.runs += 1
        scale = sum(part.scale * part.width for part in inputs.parts)
        loss = inputs.values.sum() * scale
        self.state += loss
        return loss


def test_a_cpu_records_nothing() -> None:
    step = Counted("cpu")
    recorded = Recorded(torch.device("cpu"), enabled=True)
    assert not recorded.enabled
    for number in map(float, range(6)):
        assert float(recorded(step, an_input(number, "cpu"))) == loss_of(number)
    assert step.runs == 6


def test_the_shape_of_an_input_is_all_of_it_but_its_numbers() -> None:
    def shape(value: Input) -> object:
        return recording._mapped(value, lambda tensor: tensor.shape)

    one, two = an_input(1.0, "cpu"), an_input(2.0, "cpu")
    assert shape(one) == shape(two)
    assert hash(shape(one)) == hash(shape(two))
    assert shape(one) != shape(an_input(1.0, "cpu", length=4))
    assert shape(one) != shape(an_input(1.0, "cpu", width=3))
    assert [float(t.sum()) for t in recording._tensors(one)] == [3.0, 1.0, 2.0]


@pytest.mark.gpu
def test_a_shape_that_comes_again_is_recorded() -> None:
    step = Counted("cuda")
    recorded = Recorded(CUDA, enabled=True)
    total = 0.0
    for number in map(float, range(10)):
        losses = [
            recorded(step, an_input(number, "cuda")),
            recorded(step, an_input(number, "cuda", length=5)),
        ]
        expected = [loss_of(number), loss_of(number, length=5)]
        assert [float(loss) for loss in losses] == expected
        total += sum(expected)
    assert float(step.state) == total
    # twice in Python, and once to record, each
    assert step.runs == 2 * (recording._SEEN_BEFORE + 1)


@pytest.mark.gpu
def test_recording_can_be_left_out() -> None:
    step = Counted("cuda")
    recorded = Recorded(CUDA, enabled=False)
    for number in map(float, range(5)):
        recorded(step, an_input(number, "cuda"))
    assert step.runs == 5


# the stages on a GPU


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two heads of 16 dimensions, so that its layers are ours."""
    return write_encoder(tmp_path_factory.mktemp("encoder") / "wide", dimension=32)


@pytest.fixture
def corpus(tiny_dataset: Dataset, encoder_folder: Path) -> Corpus:
    tokenizer = open_encoder(str(encoder_folder), max_length=14).tokenizer
    train = tiny_dataset.train
    assert train is not None
    assert train.texts is not None
    assert tiny_dataset.label_texts is not None
    return make_corpus(
        tokenizer(train.texts),
        tokenizer(tiny_dataset.label_texts),
        train.labels,
        np.array([[0, 5], [1, 7], [2, 3]]),
        validation=8,
        seed=1,
        device=CUDA,
    )


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Afterwards waiting for the device is no error any more."""
    yield
    torch.cuda.set_sync_debug_mode("default")


def encoder_stage(
    corpus: Corpus, folder: Path, dropout: float = 0.0, at_once: int = 0
) -> EncoderStage:
    encoder = open_encoder(str(folder), max_length=14, dropout=dropout).to(CUDA)
    vectors = 0.1 * torch.randn(5, 32, generator=torch.Generator().manual_seed(1))
    bank = AuxiliaryBank(vectors.to(CUDA), np.arange(24) % 5)
    changes = {
        "encoder.dropout": dropout,
        "encoder_stage.epochs": 20,
        "encoder_stage.learning_rate": 1e-3,
        "encoder_stage.cluster_from": 100,
        "encoder_stage.texts_at_once": at_once,
    }
    return EncoderStage(corpus, encoder, bank, tiny_recipe(folder).changed(changes), seed=3)


def classifier_stage(corpus: Corpus, folder: Path, place: str, moments: str) -> ClassifierStage:
    encoder = open_encoder(str(folder), max_length=14).to(CUDA)
    documents = encode(encoder, corpus.document_tokens())
    labels = F.normalize(encode(encoder, corpus.label_tokens()), dim=1)
    if place != "device":
        labels = labels.cpu()
    if place == "all on host":
        documents = documents.cpu().pin_memory()
    changes = {"classifier_stage.moments": moments, "classifier_stage.epochs": 20}
    options = tiny_recipe(folder).changed(changes).classifier_stage
    return ClassifierStage(corpus, documents, labels, options, seed=3, device=CUDA)


def label_stage(
    corpus: Corpus,
    folder: Path,
    loss: str,
    mixed: float = 0.0,
    dropout: float = 0.0,
    at_once: int = 0,
) -> LabelStage:
    encoder = open_encoder(str(folder), max_length=14, dropout=dropout).to(CUDA)
    changes = {
        "encoder.dropout": dropout,
        "encoder_stage.epochs": 20,
        "encoder_stage.learning_rate": 1e-3,
        "encoder_stage.loss": loss,
        "encoder_stage.texts_at_once": at_once,
        "label_batches.mixed": mixed,
    }
    recipe = tiny_recipe(folder, name="dexa_plus").changed(changes)
    return LabelStage(corpus, encoder, recipe, seed=3)


def losses_of(stage: Stage, epochs: int) -> list[float]:
    found = []
    for epoch in range(epochs):
        stage.begin(epoch)
        found += [stage.step(epoch, step) for step in range(stage.steps())]
    return torch.stack(found).tolist()


def never_waits(stage: Stage) -> None:
    """After two epochs the shape of full batches is known, and one batch makes the plan."""
    losses_of(stage, 2)
    stage.begin(2)
    stage.step(2, 0)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    losses = [stage.step(2, step) for step in (1, 2)]
    torch.cuda.set_sync_debug_mode("default")
    assert torch.stack(losses).isfinite().all()


@pytest.mark.gpu
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_steady_step_of_the_encoder_stage_never_waits(
    corpus: Corpus, encoder_folder: Path, no_waiting: None, dropout: float
) -> None:
    stage = encoder_stage(corpus, encoder_folder, dropout)
    never_waits(stage)
    assert stage.recorded._graphs


@pytest.mark.gpu
def test_a_step_in_pieces_never_waits(
    corpus: Corpus, encoder_folder: Path, no_waiting: None
) -> None:
    never_waits(encoder_stage(corpus, encoder_folder, at_once=9))
    torch.cuda.set_sync_debug_mode("default")
    never_waits(label_stage(corpus, encoder_folder, "softmax", at_once=9))


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("loss", "mixed", "dropout"),
    [("softmax", 0.0, 0.0), ("softmax", 0.0, 0.3), ("likelihood", 0.3, 0.0)],
)
def test_a_steady_step_on_a_batch_of_labels_never_waits(
    corpus: Corpus, encoder_folder: Path, no_waiting: None, loss: str, mixed: float, dropout: float
) -> None:
    stage = label_stage(corpus, encoder_folder, loss, mixed, dropout)
    never_waits(stage)
    assert stage.recorded._graphs


@pytest.mark.gpu
@pytest.mark.parametrize("moments", ["float32", "bfloat16"])
@pytest.mark.parametrize("place", ["device", "labels on host", "all on host"])
def test_a_steady_step_of_the_classifier_stage_never_waits(
    corpus: Corpus, encoder_folder: Path, no_waiting: None, place: str, moments: str
) -> None:
    stage = classifier_stage(corpus, encoder_folder, place, moments)
    never_waits(stage)
    assert bool(stage.recorded._graphs) == (place == "device")


@pytest.mark.gpu
def test_recorded_steps_of_the_encoder_stage_are_those_in_python(
    corpus: Corpus, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = encoder_stage(corpus, encoder_folder)
    losses = losses_of(recorded, 5)
    assert recorded.recorded._graphs
    monkeypatch.setattr(recording, "_SEEN_BEFORE", 10**9)
    eager = encoder_stage(corpus, encoder_folder)
    assert losses == pytest.approx(losses_of(eager, 5), rel=0.05, abs=5e-3)
    assert not eager.recorded._graphs
    with precision(CUDA):
        vectors = [encode(stage.encoder, corpus.label_tokens()) for stage in (recorded, eager)]
    assert (vectors[0] * vectors[1]).sum(dim=1).mean() > 0.99


@pytest.mark.gpu
@pytest.mark.parametrize(("loss", "mixed"), [("softmax", 0.0), ("likelihood", 0.3)])
def test_recorded_steps_on_batches_of_labels_are_those_in_python(
    corpus: Corpus,
    encoder_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    loss: str,
    mixed: float,
) -> None:
    recorded = label_stage(corpus, encoder_folder, loss, mixed)
    losses = losses_of(recorded, 5)
    assert recorded.recorded._graphs
    monkeypatch.setattr(recording, "_SEEN_BEFORE", 10**9)
    eager = label_stage(corpus, encoder_folder, loss, mixed)
    assert losses == pytest.approx(losses_of(eager, 5), rel=0.05, abs=5e-3)
    assert not eager.recorded._graphs
    with precision(CUDA):
        vectors = [encode(stage.encoder, corpus.label_tokens()) for stage in (recorded, eager)]
    assert (vectors[0] * vectors[1]).sum(dim=1).mean() > 0.99


@pytest.mark.gpu
@pytest.mark.parametrize("moments", ["float32", "bfloat16"])
def test_recorded_steps_of_the_classifier_stage_are_those_in_python(
    corpus: Corpus, encoder_folder: Path, monkeypatch: pytest.MonkeyPatch, moments: str
) -> None:
    """Also those whose classifiers stay in host memory, which are not recorded."""
    recorded = classifier_stage(corpus, encoder_folder, "device", moments)
    losses = losses_of(recorded, 4)
    monkeypatch.setattr(recording, "_SEEN_BEFORE", 10**9)
    for place in ("device", "labels on host"):
        eager = classifier_stage(corpus, encoder_folder, place, moments)
        assert losses == pytest.approx(losses_of(eager, 4), rel=1e-2, abs=1e-4)
        torch.testing.assert_close(
            recorded.trained().cpu(), eager.trained().cpu(), rtol=0, atol=2e-3
        )


@pytest.mark.gpu
def test_a_stage_that_went_on_from_a_checkpoint_records_too(
    corpus: Corpus, encoder_folder: Path
) -> None:
    whole = encoder_stage(corpus, encoder_folder)
    losses_of(whole, 1)
    kept = {name: tensor.clone().cpu() for name, tensor in whole.tensors().items()}
    again = encoder_stage(corpus, encoder_folder)
    again.load(kept)
    found = []
    for stage in (whole, again):
        stage.begin(1)
        found.append([float(stage.step(1 + e, s)) for e in range(3) for s in range(4)])
    assert found[0] == pytest.approx(found[1], rel=0.05, abs=5e-3)
    assert again.recorded._graphs
