from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from scipy.sparse import coo_array, csc_array, csr_array, load_npz, save_npz

from dexa.cli.predictions import read_predictions
from dexa.data import read_matrix, read_npz, write_matrix, write_npz
from dexa.errors import DataError, MissingFileError
from test_data_matrix import ROWS, entries, matrix_of


@given(rows=ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip_and_as_text(tmp_path: Path, rows: list[dict[int, float]]) -> None:
    archive, text = tmp_path / "m.npz", tmp_path / "m.txt"
    write_npz(archive, matrix_of(rows))
    read = read_npz(archive)
    assert (read.dtype, read.shape) == (np.float32, (len(rows), 12))
    assert entries(read) == rows
    write_matrix(text, read)
    first = archive.read_bytes()
    write_npz(archive, read_matrix(text))
    assert entries(load_npz(archive)) == rows
    assert archive.read_bytes() == first


def test_as_the_field_writes(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    write_npz(path, csr_array(np.eye(2)))
    with zipfile.ZipFile(path) as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    with np.load(path) as arrays:
        assert arrays["format"].item() == b"csr"
        assert arrays["data"].dtype == np.float32


@pytest.mark.parametrize("kind", [csr_array, csc_array, coo_array])
@pytest.mark.parametrize("dtype", [np.float64, np.int64, bool])
def test_reads_what_scipy_writes(tmp_path: Path, kind: Any, dtype: Any) -> None:
    dense = np.array([[1, 0, 1], [0, 0, 0]], dtype)
    save_npz(tmp_path / "m.npz", kind(dense))
    read = read_npz(tmp_path / "m.npz")
    assert isinstance(read, csr_array)
    assert read.dtype == np.float32
    assert read.toarray().tolist() == dense.tolist()


def test_repeated_entries_are_summed(tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    save_npz(path, csr_array(([1.0, 2.0, 3.0], [2, 0, 2], [0, 3]), shape=(1, 3)))
    assert entries(read_npz(path)) == [{0: 2.0, 2: 4.0}]


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e39])
def test_values_beyond_float32_name_their_row(tmp_path: Path, value: float) -> None:
    path = tmp_path / "m.npz"
    save_npz(path, csr_array(np.array([[0.0, 1.0], [0.0, 0.0], [value, 1.0]])))
    with pytest.raises(DataError, match=r"m\.npz: value .* in row 3; expected a finite float32"):
        read_npz(path)
    with pytest.raises(DataError, match="not a finite float32"):
        write_npz(path, csr_array(np.array([[value]])))


def arrays(**changes: Any) -> bytes:
    parts = {
        "format": np.array(b"csr"),
        "shape": np.array([2, 2]),
        "data": np.ones(1),
        "indices": np.array([1]),
        "indptr": np.array([0, 1, 1]),
        **changes,
    }
    out = io.BytesIO()
    np.savez(out, **{name: part for name, part in parts.items() if part is not None})
    return out.getvalue()


def packed_and_broken() -> bytes:
    """An archive whose compressed parts cannot be unpacked."""
    out = io.BytesIO()
    save_npz(out, csr_array(np.eye(2)))
    content = out.getvalue()
    start = content.index(b"indices.npy") + len("indices.npy") + 20
    return content[:start] + b"\xff" * 20 + content[start + 20 :]


def saved(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"0:1.0\n",
        arrays()[:-30],
        packed_and_broken(),
        saved(np.eye(2)),
        arrays(format=None),
        arrays(format=np.array(b"xyz")),
        arrays(format=np.array(["csr"], object)),
        arrays(data=None),
        arrays(data=np.array(["a"])),
        arrays(data=np.array([1j])),
        arrays(data=np.array([{}], object)),
        arrays(indices=np.array([5])),
        arrays(indices=np.array([-1])),
        arrays(indptr=np.array([0, 3, 1])),
        arrays(indptr=np.array([0])),
        arrays(shape=np.array([2])),
    ],
)
def test_what_is_no_matrix(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.npz"
    path.write_bytes(content)
    for read in (read_npz, lambda path: read_predictions(path, (2, 2), 1)):
        with pytest.raises(DataError, match=r"m\.npz: not a sparse matrix") as caught:
            read(path)
        assert caught.value.path == path


def test_any_change_is_read_or_one_error(tmp_path: Path) -> None:
    path, draw, sound = tmp_path / "m.npz", random.Random(0), arrays()
    refused = 0
    for _ in range(300):
        content = bytearray(sound)
        for _ in range(draw.randint(1, 3)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        path.write_bytes(content)
        try:
            assert read_npz(path).dtype == np.float32
        except DataError:
            refused += 1
    assert refused > 100


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"m\.npz: no such file"):
        read_npz(tmp_path / "m.npz")
