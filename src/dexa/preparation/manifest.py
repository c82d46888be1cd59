"""``dataset.json``: what prepared files were made from, and whether that still holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

from dexa.errors import DataError
from dexa.storage import read_json, sha256
from dexa.tokens import TextTokenizer

MANIFEST = "dataset.json"
FORMAT = "dexa-prepared-1"
SIDES = ("trn_doc", "tst_doc", "lbl")
"""Whose texts the token files hold."""

Manifest: TypeAlias = dict[str, Any]


def token_files(side: str) -> tuple[str, str]:
    """Names of the ids and the mask of a side."""
    return f"{side}_input_ids.npy", f"{side}_attention_mask.npy"


def matrix_file(split: str) -> str:
    """Name of the labels of a split."""
    return f"{split}_X_Y.txt"


def load_manifest(folder: Path) -> Manifest | None:
    """The ``dataset.json`` of a prepared folder; None if there is none that `prepare` wrote."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        value = read_json(path)
    except DataError:
        return None
    written_by_us = isinstance(value, dict) and value.get("format") == FORMAT
    return value if written_by_us else None


def tokenizer_sha256(tokenizer: TextTokenizer) -> str:
    """Checksum of a tokenizer as JSON, without what only says where texts are cut or filled."""
    description = json.loads(tokenizer.to_json())
    description["truncation"] = description["padding"] = None
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def named(file: Path, folder: Path) -> str:
    """How a folder's manifest calls a file that is in it, perhaps in a folder of its own."""
    return file.relative_to(folder).as_posix()


def records(files: Iterable[Path], folder: Path) -> dict[str, dict[str, Any]]:
    """Size, time of change and checksum of each file, by what the folder's manifest calls it."""
    return {
        named(path, folder): {
            "size": path.stat().st_size,
            "mtime_ns": path.stat().st_mtime_ns,
            "sha256": sha256(path),
        }
        for path in files
    }


def changed_file(folder: Path, recorded: dict[str, dict[str, Any]]) -> str | None:
    """The first recorded file that is missing or has other contents, or None.

    Contents are compared only where the time of change differs: a copied folder is as good.
    """
    for name, record in recorded.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != record["size"]:
            return name
        if path.stat().st_mtime_ns != record["mtime_ns"] and sha256(path) != record["sha256"]:
            return name
    return None
