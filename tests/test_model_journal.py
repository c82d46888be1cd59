"""The journal: crashes, damage, other writers, readers."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import threading
import time
from pathlib import Path

import pytest
import torch

from dexa import Dexa, storage
from dexa.errors import ModelFolderError, StorageError
from dexa.model import Model, load_model, opening
from dexa.model import journal as journals
from dexa.storage import locked

CPU = torch.device("cpu")
JOURNAL = "labels/journal.jsonl"


@pytest.fixture(scope="module")
def saved(fitted: Dexa, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    fitted.save(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def opened(folder: Path) -> Dexa:
    return Dexa.load(folder, device="cpu")


def texts(model: Dexa) -> list[str]:
    return [label.text for label in model.labels()][24:]


class Killed(BaseException):
    """A process ends here."""


@pytest.mark.parametrize("place", ["save_file", "sha256", "append_line", "torn line"])
def test_a_kill_at_any_moment_leaves_old_or_new(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    model = opened(folder)
    model.add_labels(["first"])

    def killed(*arguments: object, **_: object) -> None:
        if place == "save_file":
            Path(str(arguments[1])).write_bytes(b"half")
        raise Killed

    def torn(path: Path, line: bytes, *, after: int) -> None:
        with path.open("ab") as file:
            file.write(line[: len(line) // 2])
        raise Killed

    with monkeypatch.context() as patch:
        if place == "torn line":
            patch.setattr(journals, "append_line", torn)
        elif place == "sha256":
            patch.setattr(journals, "_tensors", killed)
        else:
            patch.setattr(journals, place, killed)
        with pytest.raises(Killed):
            model.add_labels(["second"])
    assert texts(opened(folder)) == ["first"]
    assert texts(model) == ["first"]
    again = opened(folder)
    assert again.add_labels(["third"]) == [25]
    assert texts(opened(folder)) == ["first", "third"]
    assert model.refresh() == 1
    assert model.add_labels(["fourth"]) == [26]
    assert texts(opened(folder)) == ["first", "third", "fourth"]


def test_a_full_disk_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = opened(folder)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    with pytest.raises(StorageError, match="could not be written: No space left"):
        model.add_labels(["first"])
    monkeypatch.undo()
    assert texts(model) == []
    assert model.add_labels(["second"]) == [24]
    assert texts(opened(folder)) == ["second"]


def test_adding_one_label_writes_little(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    opened(folder).add_labels(["first"])
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    assert {path: after[path] for path in before} == before
    new = sorted(path.relative_to(folder).as_posix() for path in after if path not in before)
    assert new == ["labels/000001.safetensors", JOURNAL, "labels/lock"]
    assert sum((folder / name).stat().st_size for name in new) < 4_000


@pytest.mark.parametrize(
    "change", ["text", "kind", "order", "garbage", "number", "file", "no file"]
)
def test_damage_is_found(folder: Path, change: str) -> None:
    model = opened(folder)
    model.add_labels(["first"])
    model.hide([3])
    path, arrays = folder / JOURNAL, folder / "labels" / "000001.safetensors"
    first, second = path.read_text().splitlines()
    lines = {
        "text": [first.replace("first", "worst"), second],
        "kind": [first.replace('"add"', '"oust"'), second],
        "order": [second, first],
        "garbage": ["[]", second],
        "number": [first, json.dumps({**json.loads(second), "number": 3})],
    }
    if change == "file":
        arrays.write_bytes(arrays.read_bytes()[:-1] + b"?")
    elif change == "no file":
        arrays.unlink()
    else:
        path.write_text("\n".join(lines[change]) + "\n")
    with pytest.raises(ModelFolderError, match=r"damaged|missing file|changed since"):
        load_model(folder, CPU)


def test_damage_is_found_by_whoever_goes_on(folder: Path) -> None:
    model, other = opened(folder), opened(folder)
    other.add_labels(["first", "second"])
    other.hide([1])
    path = folder / JOURNAL
    good = path.read_text()
    path.write_text(good.replace('"hide"', '"show"'))
    with pytest.raises(ModelFolderError, match=r"journal\.jsonl:2: a change of labels is damaged"):
        model.refresh()
    assert texts(model) == []
    path.write_text(good)
    assert model.refresh() == 2
    assert texts(model) == ["first", "second"]
    path.unlink()
    with pytest.raises(ModelFolderError, match="missing file"):
        model.refresh()


def test_a_journal_of_another_model_is_refused(folder: Path, tmp_path: Path) -> None:
    model = opened(folder)
    model.add_labels(["first"])
    model.save(tmp_path / "other")
    shutil.copytree(folder / "labels", tmp_path / "other" / "labels")
    with pytest.raises(ModelFolderError, match="it does not follow what is before it"):
        opened(tmp_path / "other")


def test_a_replaced_model_is_not_written_to(folder: Path) -> None:
    one, two = opened(folder), opened(folder)
    one.add_labels(["first"])
    one.save(folder)
    for act in (two.refresh, lambda: two.add_labels(["second"])):
        with pytest.raises(ModelFolderError, match="was replaced since it was opened; open it"):
            act()
    assert texts(opened(folder)) == ["first"]


def test_two_writers_take_up_what_the_other_wrote(folder: Path) -> None:
    one, two = opened(folder), opened(folder)
    assert one.add_labels(["first"]) == [24]
    assert two.add_labels(["second"]) == [25]
    assert one.rename_label("second", "third") == 25
    assert two.remove_labels(["third"]) == [25]
    assert one.refresh() == 1
    assert texts(one) == texts(two) == texts(opened(folder)) == ["first"]


def test_saving_keeps_what_others_wrote(folder: Path) -> None:
    one, two = opened(folder), opened(folder)
    two.add_labels(["second"])
    one.save(folder)
    assert texts(opened(folder)) == ["second"]


def _add_some(folder: Path, name: str) -> None:
    torch.set_num_threads(1)
    model = opened(folder)
    for number in range(5):
        model.add_labels([f"{name} {number}"])


def test_processes_exclude_each_other(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    names = ["left", "right"]
    workers = [context.Process(target=_add_some, args=(folder, name)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    model = opened(folder)
    assert sorted(texts(model)) == sorted(f"{name} {i}" for name in names for i in range(5))
    assert [label.id for label in model.labels()] == list(range(34))


def test_a_writer_waits_and_gives_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = opened(folder)
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(folder / "labels" / "lock"):
            held.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    monkeypatch.setattr(storage, "_PATIENCE", 0.2)
    started = time.perf_counter()
    with pytest.raises(StorageError, match="another process has been writing"):
        model.add_labels(["first"])
    assert 0.1 < time.perf_counter() - started < 20
    release.set()
    holder.join()
    assert model.add_labels(["first"]) == [24]


def test_a_reader_sees_old_or_new(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is replaced while it is read: it is read again."""
    model = opened(folder)
    model.add_labels(["first"])
    read, times = opening.read_model, []

    def replaced(path: Path, device: torch.device, *, mmap: bool) -> Model:
        times.append(path)
        if len(times) == 1:
            model.save(folder)
            raise ModelFolderError("changed since it was written")
        return read(path, device, mmap=mmap)

    monkeypatch.setattr(opening, "read_model", replaced)
    assert texts(opened(folder)) == ["first"]
    assert len(times) == 2
