"""Surrogate labels: clusters of labels that DeepXML and SiameseXML train first, as a folder.

::

    data_stats.json        threshold, method; "features,surrogates,surrogates" of the surrogate
                           task, and "features,labels,valid labels" of the extreme one
    valid_labels.txt       labels that take part, one a line, ascending
    surrogate_mapping.txt  the surrogate of each of them, one a line
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dexa.data.files import opened
from dexa.errors import DataError, InputError
from dexa.storage import atomic_folder, read_json, write_json

STATS, VALID, MAPPING = "data_stats.json", "valid_labels.txt", "surrogate_mapping.txt"
_NOT_A_NUMBER = re.compile(rb"^(?!\d{1,15}\r?$)(?!\Z)", re.MULTILINE)
_COUNTS = re.compile(r"(\d{1,15}),(\d{1,15}),(\d{1,15})")


@dataclass(frozen=True, kw_only=True, eq=False)
class Surrogates:
    """Labels, and the clusters that stand in for them.

    Attributes:
        labels: number of labels L.
        features: size of the vocabulary.
        valid: int64 ``[S]``, labels that take part, ascending.
        mapping: int64 ``[S]``, the surrogate of each, from 0; each has one at least.
        threshold: documents that a label must have to stand for itself.
        method: how labels were clustered, as the tool that did so numbers it.

    Raises:
        InputError: they do not fit each other.
    """

    labels: int
    features: int
    valid: NDArray[np.int64]
    mapping: NDArray[np.int64]
    threshold: int
    method: int

    def __post_init__(self) -> None:
        if self.valid.shape != self.mapping.shape or self.valid.ndim != 1:
            raise InputError(
                f"{self.mapping.shape} surrogates of {self.valid.shape} labels",
                expected="one for each label that takes part",
            )
        if len(self.valid) and not (
            self.valid[0] >= 0
            and self.valid[-1] < self.labels
            and bool((np.diff(self.valid) > 0).all())
        ):
            raise InputError(
                "labels that repeat, are out of order or out of range",
                expected=f"ascending ids below {self.labels}",
            )
        used = np.unique(self.mapping)
        if len(used) and (used[0] != 0 or used[-1] != len(used) - 1):
            raise InputError(
                f"{len(used)} surrogates between {used[0]} and {used[-1]}",
                expected="ids from 0 without gaps",
            )

    @property
    def surrogates(self) -> int:
        """How many surrogates there are."""
        return int(self.mapping.max(initial=-1)) + 1


def read_surrogates(folder: str | Path) -> Surrogates:
    """Read a folder of surrogate labels.

    Raises:
        MissingFileError: one of the three files is missing.
        DataError: a file is broken, or they do not fit each other; the message names the line.
    """
    folder = Path(folder)
    stats = _stats(folder / STATS)
    features, surrogates, _ = _counts(stats, "surrogate", folder / STATS)
    _, labels, n_valid = _counts(stats, "extreme", folder / STATS)
    valid = _integers(folder / VALID, labels, n_valid, ascending=True)
    mapping = _integers(folder / MAPPING, surrogates, n_valid)
    try:
        return Surrogates(
            labels=labels,
            features=features,
            valid=valid,
            mapping=mapping,
            threshold=_whole(stats, "threshold", folder / STATS),
            method=_whole(stats, "method", folder / STATS),
        )
    except InputError as error:
        raise DataError(error.given, expected=error.expected, path=folder / MAPPING) from error


def write_surrogates(folder: str | Path, surrogates: Surrogates) -> None:
    """Write a folder of surrogate labels, as a whole.

    Raises:
        StorageError: the disk refused.
    """
    count, found = surrogates.features, surrogates.surrogates
    stats = {
        "threshold": surrogates.threshold,
        "method": surrogates.method,
        "surrogate": f"{count},{found},{found}",
        "extreme": f"{count},{surrogates.labels},{len(surrogates.valid)}",
    }
    with atomic_folder(Path(folder)) as draft:
        write_json(draft / STATS, stats)
        for name, values in ((VALID, surrogates.valid), (MAPPING, surrogates.mapping)):
            np.savetxt(draft / name, values, fmt="%d")


def _stats(path: Path) -> dict[str, Any]:
    with opened(path):  # its own errors for a file that is not there
        stats = read_json(path)
    if not isinstance(stats, dict):
        raise DataError(f"JSON {type(stats).__name__}", expected="a JSON object", path=path)
    return stats


def _counts(stats: dict[str, Any], key: str, path: Path) -> tuple[int, int, int]:
    found = _COUNTS.fullmatch(str(stats.get(key)))
    if found is None:
        raise DataError(
            f"{key} is {stats.get(key)!r}", expected="three counts with commas between", path=path
        )
    first, second, third = map(int, found.groups())
    return first, second, third


def _whole(stats: dict[str, Any], key: str, path: Path) -> int:
    value = stats.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{key} is {value!r}", expected="a whole number", path=path)
    return value


def _integers(path: Path, below: int, count: int, *, ascending: bool = False) -> NDArray[np.int64]:
    """Whole numbers, one a line."""
    with opened(path) as file:
        content = file.read()
    if bad := _NOT_A_NUMBER.search(content):
        line = content.count(b"\n", 0, bad.start())
        given = content.split(b"\n")[line][:60].decode("latin-1")
        raise DataError(f"{given!r}", expected="a whole number", path=path, line=line + 1)
    values = np.array(content.split(), np.int64)
    wrong = np.flatnonzero(values >= below)
    if ascending and not len(wrong):
        wrong = np.flatnonzero(np.diff(values) <= 0) + 1
    if len(wrong):
        raise DataError(
            f"{values[wrong[0]]}",
            expected=f"ids below {below}" + ", ascending" * ascending,
            path=path,
            line=int(wrong[0]) + 1,
        )
    if len(values) != count:
        raise DataError(f"{len(values)} lines", expected=f"{count}, as {STATS} says", path=path)
    return values
