"""A little of the fuzz, so that it runs when it is wanted: ``python tests/fuzz_formats.py``."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dexa.errors import DataError
from fuzz_formats import CHECKS, OF_BYTES, Check, check, draw, memmap

STATS = b'{"threshold": 1, "method": 0, "surrogate": "1,2,2", "extreme": "1,2,2"}'


def test_a_little_of_the_fuzz(tmp_path: Path) -> None:
    source = random.Random(1)
    drawn = [draw(source) for _ in range(300)]
    for data in drawn:
        check(data, tmp_path)
    assert {data[0] for data in drawn} == set(range(len(CHECKS)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("reader", OF_BYTES, ids=range(len(OF_BYTES)))
def test_sound_files_are_read(reader: Check, tmp_path: Path) -> None:
    """Readers that refused everything would find no fault."""
    given = {OF_BYTES[0]: STATS, memmap: b"\x01" + b"x" * 16}  # no data change nothing of others
    reader(tmp_path, given.get(reader, b""))


def test_an_error_of_a_text_file_names_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_a_line(_folder: Path, _data: bytes) -> None:
        raise DataError("something", path="file")

    monkeypatch.setattr("fuzz_formats.CHECKS", (without_a_line,))
    monkeypatch.setattr("fuzz_formats.OF_TEXT", (without_a_line,))
    with pytest.raises(AssertionError, match="something"):
        check(b"x", tmp_path)
