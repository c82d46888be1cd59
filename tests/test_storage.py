"""Files and folders are the old one or the new one, whatever happens in between."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dexa.errors import DataError, InputError, MissingFileError, StorageError
from dexa.storage import (
    append_line,
    atomic_file,
    atomic_folder,
    disk_errors,
    locked,
    read_json,
    settle_folder,
    sha256,
    write_json,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def old_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "thing"
    folder.mkdir()
    (folder / "old.txt").write_text("old")
    return folder


# files


def test_a_file_is_put_in_place_with_its_parents(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file.txt"
    with atomic_file(path) as draft:
        draft.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(path.parent) == ["file.txt"]


def test_a_file_that_fails_leaves_the_old_one_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(KeyError), atomic_file(path) as draft:
        draft.write_text("half")
        raise KeyError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES])
def test_a_full_or_read_only_disk_is_one_clear_error(tmp_path: Path, code: int) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    message = r"file\.txt: could not be written: .*free some space"
    with pytest.raises(StorageError, match=message), atomic_file(path) as draft:
        draft.write_text("half")
        raise OSError(code, os.strerror(code))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_other_errors_of_the_system_are_not_disguised(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), disk_errors(tmp_path):
        raise IsADirectoryError(errno.EISDIR, "a folder")


def test_a_disk_that_fills_up_while_it_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        write_json(tmp_path / "value.json", {"a": 1})
    assert names(tmp_path) == []


# folders


def test_a_folder_is_put_in_place(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "thing"
    with atomic_folder(folder) as draft:
        (draft / "inner").mkdir()
        (draft / "inner" / "file.txt").write_text("new")
        assert not folder.exists()
    assert (folder / "inner" / "file.txt").read_text() == "new"
    assert names(folder.parent) == ["thing"]


def test_a_file_in_the_place_of_a_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with (
        pytest.raises(InputError, match="taken: a file; expected a folder"),
        atomic_folder(tmp_path / "taken"),
    ):
        raise AssertionError
    assert (tmp_path / "taken").read_text() == "mine"


def test_a_folder_replaces_the_old_one_as_a_whole(old_folder: Path) -> None:
    with atomic_folder(old_folder) as draft:
        (draft / "new.txt").write_text("new")
        assert names(old_folder) == ["old.txt"]
    assert names(old_folder) == ["new.txt"]
    assert names(old_folder.parent) == ["thing"]


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt(), SystemExit(1)])
def test_a_folder_that_fails_leaves_the_old_one(old_folder: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), atomic_folder(old_folder) as draft:
        (draft / "new.txt").write_text("half")
        raise error
    assert (old_folder / "old.txt").read_text() == "old"
    assert names(old_folder.parent) == ["thing"]


def test_a_disk_that_fills_up_leaves_the_old_folder(old_folder: Path) -> None:
    message = "thing: could not be written"
    with pytest.raises(StorageError, match=message), atomic_folder(old_folder) as draft:
        (draft / "new.txt").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(old_folder) == ["old.txt"]
    assert names(old_folder.parent) == ["thing"]


def test_a_draft_of_a_killed_process_is_no_obstacle(tmp_path: Path) -> None:
    left = tmp_path / ".thing.draft"
    left.mkdir()
    (left / "rubbish.txt").write_text("half")
    with atomic_folder(tmp_path / "thing") as draft:
        (draft / "new.txt").write_text("new")
    assert names(tmp_path / "thing") == ["new.txt"]


def test_a_kill_between_the_two_renames_is_settled(old_folder: Path) -> None:
    old_folder.rename(old_folder.with_name(".thing.old"))
    settle_folder(old_folder)
    assert names(old_folder) == ["old.txt"]
    assert names(old_folder.parent) == ["thing"]


def test_nothing_to_settle(old_folder: Path) -> None:
    leftover = old_folder.with_name(".thing.old")
    leftover.mkdir()
    settle_folder(old_folder)
    assert names(old_folder) == ["old.txt"]
    settle_folder(old_folder.with_name("nothing"))
    assert not old_folder.with_name("nothing").exists()


def test_a_second_rename_that_fails_gives_the_old_folder_back(
    old_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def stubborn(self: Path, target: Path) -> Path:
        if self.name.endswith(".draft"):
            raise OSError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stubborn)
    with pytest.raises(StorageError), atomic_folder(old_folder) as draft:
        (draft / "new.txt").write_text("new")
    assert names(old_folder) == ["old.txt"]


# JSON and checksums


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=JSON)
def test_json_comes_back_as_it_went(tmp_path: Path, value: object) -> None:
    path = tmp_path / "value.json"
    write_json(path, value)
    assert read_json(path) == value


def test_json_is_readable_utf8(tmp_path: Path) -> None:
    write_json(tmp_path / "value.json", {"name": "Škoda"})
    assert (tmp_path / "value.json").read_bytes() == '{\n  "name": "Škoda"\n}\n'.encode()


def test_no_number_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "value.json", float("nan"))
    assert names(tmp_path) == []


def test_a_json_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"value\.json: no such file; expected a JSON file"):
        read_json(tmp_path / "value.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n"b": }', r"value\.json:2: not JSON"),
        (b"", r":1: not JSON"),
        (b"\xff", "UTF-8"),
        (b"[" * 99_999, "not JSON: maximum recursion"),
        (b"1" * 9_999, "not JSON: Exceeds the limit"),
    ],
)
def test_a_json_file_that_is_none(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_json(path)


def test_the_checksum_is_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5_000
    (tmp_path / "file").write_bytes(content)
    assert sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_lines_are_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "lines"
    append_line(path, b"one", after=0)
    append_line(path, b"two", after=4)
    assert path.read_bytes() == b"one\ntwo\n"
    with path.open("ab") as file:
        file.write(b"a torn li")
    append_line(path, b"three", after=8)
    assert path.read_bytes() == b"one\ntwo\nthree\n"

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="could not be written: No space left"):
        append_line(path, b"four", after=14)


def test_whoever_has_a_lock_may_take_it_again(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), locked(tmp_path / "lock"):
        pass
    with locked(tmp_path / "lock"):
        assert names(tmp_path) == ["lock"]
