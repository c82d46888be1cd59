from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dexa.data import read_memmap, write_memmap
from dexa.errors import DataError, InputError, MissingFileError

SHAPES = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=5)


@given(tokens=arrays(np.int64, SHAPES, elements=st.integers(-(2**63), 2**63 - 1)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_round_trip(tmp_path: Path, tokens: np.ndarray) -> None:
    folder = tmp_path / f"bert-base-{tokens.shape[1]}"
    folder.mkdir(exist_ok=True)
    write_memmap(folder / "lbl_input_ids.dat", tokens)
    assert (folder / "lbl_input_ids.dat").read_bytes() == tokens.astype("<i8").tobytes()
    for found in (
        read_memmap(folder / "lbl_input_ids.dat"),
        read_memmap(folder / "lbl_input_ids.dat", tokens.shape[1]),
    ):
        assert found.dtype == np.int64
        assert np.array_equal(found, tokens)
        assert not found.flags.writeable


def test_narrow_types_and_no_rows(tmp_path: Path) -> None:
    write_memmap(tmp_path / "a.dat", np.array([[1, 2], [3, 4]], np.uint16)[:, ::-1])
    assert read_memmap(tmp_path / "a.dat", 2).tolist() == [[2, 1], [4, 3]]
    write_memmap(tmp_path / "b.dat", np.empty((0, 3), np.int64))
    assert read_memmap(tmp_path / "b.dat", 3).shape == (0, 3)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    with pytest.raises(MissingFileError, match="no such file"):
        read_memmap(path, 4)
    path.write_bytes(b"x" * 40)
    with pytest.raises(DataError, match="40 bytes; expected rows of 4 int64 numbers, 32 bytes"):
        read_memmap(path, 4)
    for length in (None, 0):
        with pytest.raises(InputError, match="a length of 0 tokens"):
            read_memmap(path, length)


@pytest.mark.parametrize("tokens", [np.zeros((2, 2)), np.zeros(2, int), np.zeros((2, 0), int)])
def test_what_cannot_be_written(tmp_path: Path, tokens: np.ndarray) -> None:
    with pytest.raises(InputError, match="whole numbers"):
        write_memmap(tmp_path / "a.dat", tokens)
    assert not (tmp_path / "a.dat").exists()
