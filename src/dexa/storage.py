"""Files and folders that are either the old one or the new one, never half of each."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock

from dexa.errors import DataError, InputError, MissingFileError, StorageError

_PATIENCE = 60  # seconds
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one clear error.

    Raises:
        StorageError: the disk refused a write inside the block.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        raise StorageError(
            f"{path}: could not be written: {error.strerror}; "
            "nothing was left half-written; free some space or choose another folder"
        ) from error


def _sibling(path: Path, word: str) -> Path:
    return path.with_name(f".{path.name}.{word}")


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a path to write to, and put it in place of `path` when the block ends well.

    Raises:
        StorageError: the disk refused a write.
    """
    draft = _sibling(path, "draft")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
            _flush(draft)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill, and put it in place of `path` when the block ends well.

    Raises:
        InputError: a file stands in its place.
        StorageError: the disk refused a write.
    """
    draft, old = _sibling(path, "draft"), _sibling(path, "old")
    if path.is_file():
        raise InputError("a file", expected="a folder, or nothing", path=path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            yield draft
            for file in draft.rglob("*"):
                if file.is_file():  # safetensors keeps its files to their owner
                    file.chmod(draft.stat().st_mode & 0o666)
                _flush(file)
            if path.exists():
                shutil.rmtree(old, ignore_errors=True)
                path.rename(old)
            draft.rename(path)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            settle_folder(path)
        shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep out all others that lock the same file: other threads and processes.

    Whoever has the lock may take it again.

    Raises:
        StorageError: another one kept it for a minute, or the disk refused to make the file.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path, is_singleton=True)
        try:
            lock.acquire(timeout=_PATIENCE)
        except filelock.Timeout as error:
            raise StorageError(
                f"{path}: another process has been writing for {_PATIENCE} s; try again later"
            ) from error
    try:
        yield
    finally:
        lock.release()


def append_line(path: Path, line: bytes, *, after: int) -> None:
    """Write a line behind the first bytes of a file, in place of what follows them.

    A kill leaves the file without the line's end, by which a reader knows that it is not there.

    Args:
        path: of the file, which is made where there is none.
        line: without its end.
        after: bytes that stay.

    Raises:
        StorageError: the disk refused a write.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("r+b" if path.exists() else "wb") as file:
            file.truncate(after)
            file.seek(after)
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _flush(path.parent)


def settle_folder(path: Path) -> None:
    """Finish what a kill between the two renames of `atomic_folder` left undone."""
    old = _sibling(path, "old")
    if old.exists() and not path.exists():
        old.rename(path)


def _flush(path: Path) -> None:
    """Ask the disk to keep a file or folder before a rename points at it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """Checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented UTF-8 JSON, atomically."""
    with atomic_file(path) as draft:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        draft.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is not UTF-8 JSON; the message names the line.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError("no such file", expected="a JSON file", path=path) from error
    except UnicodeDecodeError as error:
        raise DataError("not UTF-8 text", expected="a JSON file", path=path) from error
    except json.JSONDecodeError as error:
        raise DataError(
            f"not JSON: {error.msg}", expected="a JSON file", path=path, line=error.lineno
        ) from error
    except (ValueError, RecursionError) as error:  # a number or a nesting beyond Python's limits
        raise DataError(f"not JSON: {error}", expected="a JSON file", path=path) from error
