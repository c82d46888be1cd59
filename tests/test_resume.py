"""A run that is ended at any moment and resumed gives the bytes of one that was left alone."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import errno
import itertools
import json
import math
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dexa import Dataset, Dexa
from dexa.errors import ModelFolderError, StorageError
from dexa.recipe import Recipe
from dexa.training import checkpoints as checkpoints_module
from dexa.training.checkpoints import Checkpoints
from dexa.training.classifier_stage import ClassifierStage
from dexa.training.encoder_stage import EncoderStage
from dexa.types import Silence
from tiny_models import contents, train_in_a_process

STEPS = 12 + 8  # three epochs of four batches, then two of four
SAVES = 3 + 2


class Notes(Silence):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep a checkpoint at the end of every epoch, however long writing it takes."""
    monkeypatch.setattr(checkpoints_module, "_SHARE", math.inf)


@pytest.fixture(scope="module")
def whole(fitted: Dexa, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("whole") / "model"
    fitted.save(folder)
    return contents(folder)


def fit(recipe: Recipe, dataset: Dataset, work: Path, *, resume: bool = True) -> Notes:
    """Train in this process and save ``work/model``."""
    notes, model = Notes(), Dexa(recipe, seed=108, device="cpu")
    model.fit(dataset, checkpoints=work / "checkpoints", resume=resume, progress=notes)
    model.save(work / "model")
    return notes


def epochs_kept(work: Path) -> int:
    """Epochs of all stages that the checkpoints hold."""
    kept: dict[str, int] = {}  # the last of each stage counts
    for path in sorted((work / "checkpoints").glob("[!.]*/place.json")):
        kept[path.parent.name.partition(".")[0]] = json.loads(path.read_text())["place"]["epoch"]
    return sum(kept.values())


def stop_after(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Interrupt training right behind its step number `step`."""
    counter = itertools.count()
    for stage in (EncoderStage, ClassifierStage):
        original = stage.step

        def stopping(self: Any, epoch: int, number: int, original: Callable = original) -> Any:
            loss = original(self, epoch, number)
            if next(counter) == step:
                raise KeyboardInterrupt
            return loss

        monkeypatch.setattr(stage, "step", stopping)


def keep_often(monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    """Keep a checkpoint in the middle of epochs too."""
    counter = itertools.count(1)

    def due(self: Checkpoints, *, epoch_done: bool = False) -> bool:
        return epoch_done or next(counter) % every == 0

    monkeypatch.setattr(Checkpoints, "due", due)


@pytest.mark.parametrize("step", range(STEPS))
def test_interrupted_behind_any_step(
    tiny_recipe, tiny_dataset, whole, tmp_path, monkeypatch, step: int
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, step)
        with pytest.raises(KeyboardInterrupt):
            fit(tiny_recipe, tiny_dataset, tmp_path)
    assert epochs_kept(tmp_path) == step // 4
    notes = fit(tiny_recipe, tiny_dataset, tmp_path)
    assert contents(tmp_path / "model") == whole
    assert any("goes on after epoch" in note for note in notes.notes) == (step >= 4)


@pytest.mark.parametrize("step", range(1, STEPS, 2))
def test_interrupted_with_checkpoints_in_the_middle_of_epochs(
    tiny_recipe, tiny_dataset, whole, tmp_path, monkeypatch, step: int
) -> None:
    with monkeypatch.context() as patch:
        keep_often(patch, 2)
        stop_after(patch, step)
        with pytest.raises(KeyboardInterrupt):
            fit(tiny_recipe, tiny_dataset, tmp_path)
    notes = fit(tiny_recipe, tiny_dataset, tmp_path)
    assert contents(tmp_path / "model") == whole
    if step == 6:
        assert "encoder_stage goes on after epoch 1, step 2" in notes.notes


def test_interrupted_again_and_again(
    tiny_recipe, tiny_dataset, whole, tmp_path, monkeypatch
) -> None:
    """Each attempt gets two steps further, from one checkpoint in the middle to the next."""
    for attempt in itertools.count(1):
        with monkeypatch.context() as patch:
            keep_often(patch, 1)
            stop_after(patch, 2)
            try:
                fit(tiny_recipe, tiny_dataset, tmp_path)
            except KeyboardInterrupt:
                assert attempt < STEPS
            else:
                break
    assert attempt > STEPS // 3
    assert contents(tmp_path / "model") == whole


@pytest.mark.parametrize(
    ("moment", "save"),
    [
        *(("half written", save) for save in range(SAVES)),
        *(("in place", save) for save in range(SAVES)),
        ("old ones removed", 2),  # the third is the first that makes one too many
    ],
)
def test_interrupted_while_a_checkpoint_is_written(
    tiny_recipe, tiny_dataset, whole, tmp_path, monkeypatch, moment: str, save: int
) -> None:
    counter = itertools.count()
    write, remove, put = (
        checkpoints_module.save_file,
        shutil.rmtree,
        checkpoints_module.atomic_folder,
    )

    def writing(tensors: Any, path: Path) -> None:
        write(tensors, path)
        if moment == "half written" and next(counter) == save:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            raise KeyboardInterrupt

    class Putting:
        def __init__(self, path: Path) -> None:
            self.inner = put(path)

        def __enter__(self) -> Path:
            return self.inner.__enter__()

        def __exit__(self, *error: Any) -> Any:
            done = self.inner.__exit__(*error)
            if moment == "in place" and error[0] is None and next(counter) == save:
                raise KeyboardInterrupt
            return done

    def removing(path: Path) -> None:
        if moment == "old ones removed":
            for file in list(path.iterdir())[:1]:
                file.unlink()  # a folder that is half gone
            raise KeyboardInterrupt
        remove(path)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints_module, "save_file", writing)
        patch.setattr(checkpoints_module, "atomic_folder", Putting)
        patch.setattr(checkpoints_module.shutil, "rmtree", removing_of(removing, remove))
        with pytest.raises(KeyboardInterrupt):
            fit(tiny_recipe, tiny_dataset, tmp_path)
    assert epochs_kept(tmp_path) == save + (moment != "half written")
    fit(tiny_recipe, tiny_dataset, tmp_path)
    assert contents(tmp_path / "model") == whole


def removing_of(checkpoint: Callable[[Path], None], other: Callable[..., None]) -> Callable:
    """`shutil.rmtree` for checkpoints that are too old, and for everything else."""

    def remove(path: Path, ignore_errors: bool = False) -> None:
        if ignore_errors:
            other(path, ignore_errors=True)
        else:
            checkpoint(path)

    return remove


def test_a_disk_that_fills_up_is_one_clear_error(
    tiny_recipe, tiny_dataset, whole, tmp_path, monkeypatch
) -> None:
    write, counter = checkpoints_module.save_file, itertools.count()

    def filling(tensors: Any, path: Path) -> None:
        if next(counter) == 2:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(tensors, path)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints_module, "save_file", filling)
        with pytest.raises(StorageError, match=r"No space left on device.*nothing was left half"):
            fit(tiny_recipe, tiny_dataset, tmp_path)
    assert epochs_kept(tmp_path) == 2
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "encoder_stage.000000",
        "encoder_stage.000001",
    ]
    fit(tiny_recipe, tiny_dataset, tmp_path)
    assert contents(tmp_path / "model") == whole


def test_a_finished_run_resumes_to_itself(tiny_recipe, tiny_dataset, whole, tmp_path) -> None:
    fit(tiny_recipe, tiny_dataset, tmp_path)
    notes = fit(tiny_recipe, tiny_dataset, tmp_path)
    assert contents(tmp_path / "model") == whole
    assert "encoder_stage goes on after epoch 3, step 0" in notes.notes
    assert "classifier_stage goes on after epoch 2, step 0" in notes.notes


def test_nothing_to_resume_starts_afresh(tiny_recipe, tiny_dataset, whole, tmp_path) -> None:
    notes = fit(tiny_recipe, tiny_dataset, tmp_path, resume=True)
    assert not [note for note in notes.notes if "goes on" in note]
    assert contents(tmp_path / "model") == whole


def test_a_run_that_is_not_resumed_drops_old_checkpoints(
    tiny_recipe, tiny_dataset, whole, tmp_path, monkeypatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 6)
        with pytest.raises(KeyboardInterrupt):
            fit(tiny_recipe.changed({"encoder_stage.margin": 0.5}), tiny_dataset, tmp_path)
    fit(tiny_recipe, tiny_dataset, tmp_path, resume=False)
    assert contents(tmp_path / "model") == whole


@pytest.mark.parametrize("change", ["recipe", "seed", "data", "one text"])
def test_checkpoints_of_another_run_are_refused(
    tiny_recipe, tiny_dataset, tmp_path, monkeypatch, change: str
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 6)
        with pytest.raises(KeyboardInterrupt):
            fit(tiny_recipe, tiny_dataset, tmp_path)
    before = contents(tmp_path / "checkpoints")
    recipe, seed, dataset = tiny_recipe, 108, tiny_dataset
    if change == "recipe":
        recipe = recipe.changed({"classifier_stage.margin": 0.25})
    elif change == "seed":
        seed = 109
    elif change == "data":
        train = tiny_dataset.train
        texts = list(train.texts)[1:]
        dataset = Dataset.from_lists(texts, train.labels[1:], list(tiny_dataset.label_texts))
    else:
        train = tiny_dataset.train
        texts = ["another text", *list(train.texts)[1:]]
        dataset = replace(tiny_dataset, folder=None, train=replace(train, texts=texts))
    with pytest.raises(ModelFolderError, match="another recipe, seed, encoder or data set"):
        Dexa(recipe, seed=seed, device="cpu").fit(
            dataset, checkpoints=tmp_path / "checkpoints", resume=True
        )
    assert contents(tmp_path / "checkpoints") == before


def test_a_transformer_resumes_too(
    tiny_recipe, tiny_encoder, tiny_dataset, tmp_path, monkeypatch
) -> None:
    """AdamW's moments of all weights, and dropout."""
    changes = {"encoder.name": str(tiny_encoder), "encoder.dropout": 0.2}
    recipe = tiny_recipe.changed({**changes, "encoder_stage.epochs": 2})
    fit(recipe, tiny_dataset, tmp_path / "whole")
    with monkeypatch.context() as patch:
        keep_often(patch, 3)
        stop_after(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, tiny_dataset, tmp_path)
    fit(recipe, tiny_dataset, tmp_path)
    assert contents(tmp_path / "model") == contents(tmp_path / "whole" / "model")


# kills


@pytest.fixture(scope="module")
def longer(tiny_recipe: Recipe) -> Recipe:
    return tiny_recipe.changed(
        {
            "encoder_stage.epochs": 12,
            "encoder_stage.curriculum": [3, 7],
            "classifier_stage.epochs": 8,
            "classifier_stage.curriculum": [2],
        }
    )


@pytest.fixture(scope="module")
def server() -> Any:
    """Processes that have everything imported, so that a kill hits training."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["dexa.estimator", "sklearn.tree", "transformers.models.auto.tokenization_auto"]
    )
    return context


class Runner:
    """Trains in processes of its own, which may be killed."""

    def __init__(self, server: Any, recipe: Recipe, dataset: Path, folder: Path) -> None:
        self.server, self.recipe, self.dataset, self.folder = server, recipe, dataset, folder

    def start(self, work: Path) -> Any:
        """A process that has just begun its first stage, or ended."""
        work.mkdir(exist_ok=True)
        (work / "started").unlink(missing_ok=True)
        process = self.server.Process(
            target=train_in_a_process, args=(self.recipe, self.dataset, work)
        )
        process.start()
        deadline = time.monotonic() + 60
        while process.is_alive() and not (work / "started").exists():
            assert time.monotonic() < deadline
            time.sleep(0.002)
        return process

    def whole(self) -> tuple[dict[str, bytes], float]:
        """The files of a run that is left alone, and the seconds it trains."""
        process = self.start(self.folder / "whole")
        began = time.monotonic()
        process.join(60)
        assert process.exitcode == 0
        return contents(self.folder / "whole" / "model"), time.monotonic() - began


@pytest.fixture
def runner(server: Any, longer: Recipe, tiny_dataset: Dataset, tmp_path: Path) -> Iterator[Runner]:
    assert tiny_dataset.folder is not None
    yield Runner(server, longer, tiny_dataset.folder, tmp_path)
    for process in multiprocessing.active_children():
        process.kill()
        process.join()


def killed_at_random(runner: Runner, signals: list[signal.Signals], seed: int) -> list[int]:
    """End runs by signals at random moments; how many epochs were kept at each.

    A run that gets through before its signal is compared like any other, and another starts.
    """
    expected, seconds = runner.whole()
    draw, reached = random.Random(seed), []
    work, number = runner.folder / "killed", 0
    while signals:
        process = runner.start(work)
        process.join(draw.uniform(0, 0.7 * seconds))
        if process.exitcode is None:
            with suppress(ProcessLookupError):  # it may have ended since it was asked
                os.kill(process.pid, signals[-1])
                signals.pop()
            process.join(60)
            reached.append(epochs_kept(work))
        if process.exitcode == 0:
            assert contents(work / "model") == expected
            number += 1
            work = runner.folder / f"killed {number}"
    process = runner.start(work)
    process.join(60)
    assert process.exitcode == 0
    assert contents(work / "model") == expected
    return reached


def test_kills_at_random_moments(runner: Runner) -> None:
    reached = killed_at_random(runner, [signal.SIGKILL] * 8, seed=1)
    assert len(set(reached)) > 1  # they hit different moments


@pytest.mark.slow
def test_many_kills_at_random_moments(runner: Runner) -> None:
    reached = killed_at_random(runner, [signal.SIGKILL] * 40, seed=2)
    assert len(set(reached)) > 4


def test_signals_that_ask_politely(runner: Runner) -> None:
    killed_at_random(runner, [signal.SIGTERM, signal.SIGINT] * 2, seed=3)
