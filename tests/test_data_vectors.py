from __future__ import annotations

import gzip
import io
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from dexa.data import (
    TokenVectors,
    blocks,
    read_dense,
    read_token_vectors,
    read_vocabulary,
    write_vocabulary,
)
from dexa.errors import DataError, MissingFileError

EXAMPLE = "2 3\nthe 0.5 -1 2e-1 \nna\u00efve 1 2 3\n"

TOKENS = st.text(st.characters(codec="utf-8", exclude_characters=" \n\r\ufeff"), min_size=1)
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def test_example_of_the_form(tmp_path: Path) -> None:
    path = tmp_path / "x.vec"
    path.write_text(EXAMPLE, encoding="utf-8")
    tokens, vectors = read_token_vectors(path)
    assert tokens == ["the", "na\u00efve"]
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, np.array([[0.5, -1, 0.2], [1, 2, 3]], np.float32))
    zipped = tmp_path / "x.vec.gz"
    zipped.write_bytes(gzip.compress(EXAMPLE.encode()))
    assert np.array_equal(read_token_vectors(zipped).vectors, vectors)


@given(
    rows=st.dictionaries(TOKENS, st.tuples(NUMBERS, NUMBERS), max_size=6),
    read_bytes=st.integers(1, 40),
    end=st.sampled_from(["\n", " \n", "\r\n"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_as_written_in_blocks_of_any_size(
    tmp_path: Path, rows: dict[str, tuple[float, float]], read_bytes: int, end: str
) -> None:
    path = tmp_path / "x.vec"
    lines = [f"{token} {one!r} {two!r}{end}" for token, (one, two) in rows.items()]
    path.write_bytes(f"{len(rows)} 2\n{''.join(lines)}".encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "READ_BYTES", read_bytes)
        tokens, vectors = read_token_vectors(path)
    assert tokens == list(rows)
    expected = np.array(list(rows.values()), np.float32).reshape(-1, 2)
    np.testing.assert_array_equal(vectors, expected)


@pytest.mark.parametrize("read_bytes", [1, 1 << 24])
@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("", 1, "an empty file; expected a header `tokens dimensions`"),
        ("the 1 2\n", 1, "'the 1 2'; expected a header"),
        ("2 2\na 1 2\nb 1\n", 3, "1 numbers; expected 2, as the header says"),
        ("2 2\na 1 2\nb 1 2 3\n", 3, "3 numbers; expected 2"),
        ("2 2\na 1 2\nb\n", 3, "0 numbers; expected 2"),
        ("2 2\na 1 2\nb 1 x\n", 3, "'x'; expected a number"),
        ("2 2\na 1 2\nb 1 1e\n", 3, "'1e'; expected a number"),
        ("2 2\na 1 2\nb 1 nan\n", 3, "'nan'; expected a number"),
        ("2 2\na 1 2\nb 1 1_0\n", 3, "'1_0'; expected a number"),
        ("2 2\na 1 2\nb 1 1e39\n", 3, "value 1e[+]39; expected a finite float32"),
        ("2 2\na 1 2\n\tb 1e999 1\n", 3, "value inf; expected a finite float32"),
        ("2 2\na 1 2\na 3 4\n", 3, "token 'a' again, as on line 2"),
        ("2 2\na 1 2\n 3 4\n", 3, "no token"),
        ("2 2\na 1 2\n\n", 3, "no token"),
        ("3 2\na 1 2\nb 1 2\n", 3, "the file ends after 2 tokens; expected the 3 tokens"),
        ("1 2\na 1 2\nb 1 2\nc 1 2\n", 3, "token 2; expected the 1 tokens"),
        ("2 0\na\nb 1\n", 3, "1 numbers; expected 0"),
    ],
)
def test_faults_name_the_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    line: int,
    words: str,
    read_bytes: int,
) -> None:
    monkeypatch.setattr(blocks, "READ_BYTES", read_bytes)
    path = tmp_path / "x.vec"
    path.write_text(content)
    with pytest.raises(DataError, match=words) as caught:
        read_token_vectors(path)
    assert (caught.value.path, caught.value.line) == (path, line)


def test_more_than_the_format_says(tmp_path: Path) -> None:
    path = tmp_path / "x.vec"
    path.write_bytes(b"3 1\nna\xefve  1\n\tb\t +1\nc 1.\n")
    tokens, vectors = read_token_vectors(path)
    assert tokens == ["na\u00efve", "\tb\t", "c"]
    assert vectors.tolist() == [[1], [1], [1]]
    path.write_text("2 0\na\nb\n")
    assert read_token_vectors(path).vectors.shape == (2, 0)


def test_vectors_of_a_vocabulary() -> None:
    known = TokenVectors(["a", "b"], np.array([[1, 2], [3, 4]], np.float32))
    assert known.of(["b", "x", "b"]).tolist() == [[3, 4], [0, 0], [3, 4]]
    none = TokenVectors([], np.empty((0, 2), np.float32))
    assert none.of(["a"]).tolist() == [[0, 0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64])
def test_dense_vectors(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "fasttextB_embeddings_300d.npy"
    np.save(path, np.arange(6).reshape(2, 3).astype(dtype))
    vectors = read_dense(path)
    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[0, 1, 2], [3, 4, 5]]


def archive() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.eye(2))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a whole .npy file"),
        (b"1 2\na 1 2\n", "not a whole .npy file"),
        (np.lib.format.magic(1, 0) + b"\x0a\x00{'descr': \n", "not a whole .npy file"),
        (np.ones(3), r"float64 of shape \[3\]"),
        (np.array([["a"]]), "<U1 of shape"),
        (np.array([[{}]], object), "not a whole .npy file"),
        (archive(), "an archive"),
    ],
)
def test_dense_faults(tmp_path: Path, content: bytes | np.ndarray, words: str) -> None:
    path = tmp_path / "x.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(DataError, match=words) as caught:
        read_dense(path)
    assert caught.value.path == path


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_dense_values_beyond_float32_name_their_row(tmp_path: Path, value: float) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.array([[1.0], [value]]))
    with pytest.raises(DataError, match=r"x\.npy:2: a value that is not a finite float32"):
        read_dense(path)


def test_missing_file(tmp_path: Path) -> None:
    for read in (read_dense, read_token_vectors, read_vocabulary):
        with pytest.raises(MissingFileError, match="no such file"):
            read(tmp_path / "x")


@given(words=st.lists(TOKENS, unique=True, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_vocabulary_round_trip(tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "Xf.txt"
    write_vocabulary(path, words)
    assert path.read_bytes() == "".join(f"{word}\n" for word in words).encode()
    assert read_vocabulary(path) == words


def test_vocabulary_in_latin_1(tmp_path: Path) -> None:
    path = tmp_path / "Xf.txt"
    path.write_bytes(b"bla\xfc\r\n a b \nx")
    with pytest.warns(UserWarning, match="latin-1"):
        assert read_vocabulary(path) == ["bla\u00fc", " a b ", "x"]


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [("a\n\nb\n", 2, "an empty line"), ("a\nb\na\n", 3, "'a' again, as on line 1")],
)
def test_vocabulary_faults(tmp_path: Path, content: str, line: int, words: str) -> None:
    path = tmp_path / "Xf.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=words) as caught:
        read_vocabulary(path)
    assert caught.value.line == line


@pytest.mark.parametrize("words", [["a", ""], ["a", "b\nc"], ["a", "b\r"], ["a", "a"]])
def test_vocabulary_that_could_not_be_read(tmp_path: Path, words: list[str]) -> None:
    with pytest.raises(DataError, match=r"Xf\.txt:2: name"):
        write_vocabulary(tmp_path / "Xf.txt", words)
    assert list(tmp_path.iterdir()) == []
