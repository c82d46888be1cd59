"""What a command is about to write: checked before the work, not after it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dexa.errors import InputError


def check_model_folder(folder: Path) -> None:
    """Refuse a place where no model folder can be written, or where it would replace other files.

    Raises:
        InputError: `folder` is a file, holds something else or has no name, or its parent is not
            writable.
    """
    if folder.name in ("", ".."):
        raise InputError(
            f"{str(folder)!r} has no name of its own", expected="a path that ends in a name"
        )
    _check_parent(folder)
    if not folder.exists():
        return
    other = not folder.is_dir() or (any(folder.iterdir()) and not (folder / "model.json").is_file())
    if other:
        raise InputError(
            "exists and is not a model folder",
            expected="a new path, or a model folder to replace",
            path=folder,
        )


def check_file(path: Path, suffixes: Sequence[str]) -> None:
    """Refuse a file that cannot be written, or whose name does not say its format.

    Raises:
        InputError: the suffix is none of `suffixes`, `path` is a folder, or its parent is not
            writable.
    """
    if path.suffix not in suffixes:
        raise InputError(
            f"cannot write {path.name!r}",
            expected=f"a name that ends in {' or '.join(suffixes)}",
            path=path,
        )
    if path.is_dir():
        raise InputError("is a folder", expected="a file to write", path=path)
    _check_parent(path)


def _check_parent(path: Path) -> None:
    """Look at the nearest folder that exists: those below it are made when needed."""
    parent = next(p for p in path.absolute().parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(
            "cannot be written there",
            expected=f"{parent} to be a folder you may write to",
            do="choose another place",
            path=path,
        )
