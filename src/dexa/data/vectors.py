"""Vectors of tokens, and the vocabulary they belong to, as the field keeps them beside features."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc_csv
from numpy.typing import NDArray

from dexa.data.blocks import fail, line_reader, read_counts, shown_bytes
from dexa.data.files import BROKEN_ARRAYS, opened, text_lines
from dexa.errors import DataError
from dexa.storage import atomic_file

_CHARACTERS = b"0123456789.+-eE \n"
_SPACES_TO_LINES = bytes.maketrans(b" ", b"\n")
_READ = pc_csv.ReadOptions(column_names=["value"], use_threads=False)
_CONVERT = pc_csv.ConvertOptions(column_types={"value": pa.float64()}, null_values=[])
_NUMBER = re.compile(rb"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")


class TokenVectors(NamedTuple):
    """Vectors with the tokens they stand for.

    Attributes:
        tokens: V strings, each once.
        vectors: float32 ``[V, D]``.
    """

    tokens: list[str]
    vectors: NDArray[np.float32]

    def of(self, vocabulary: Sequence[str]) -> NDArray[np.float32]:
        """The vectors ``[len(vocabulary), D]`` of other tokens, zero where there is none."""
        places = {token: place for place, token in enumerate(self.tokens)}
        found = np.array([places.get(token, -1) for token in vocabulary], np.int64)
        chosen = np.zeros((len(found), self.vectors.shape[1]), np.float32)
        chosen[found >= 0] = self.vectors[found[found >= 0]]
        return chosen


def read_token_vectors(path: str | Path) -> TokenVectors:
    """Read fastText's text form, ``.vec``, plain or gzipped.

    The first line is ``V D``; each further line is a token and its D numbers, with single spaces
    between. A token that is not UTF-8 is read as latin-1.

    Raises:
        MissingFileError: there is no such file.
        DataError: the header is no two integers, a line has not D numbers that float32 can hold,
            a token is empty or occurs twice, or the lines are not as many as the header says; the
            message names the line.
    """
    path = Path(path)
    tokens: dict[str, int] = {}
    parts = []
    with line_reader(path) as reader:
        count, dimension = read_counts(reader, "tokens dimensions", {})
        for first, block in reader.blocks():
            lines = block.split(b"\n")[:-1]
            names, rest = zip(*(_cut(line) for line in lines), strict=True)
            for line, name in enumerate(names, start=first):
                token = _token(name, path, line)
                if token in tokens:
                    given = f"token {token[:60]!r} again, as on line {tokens[token]}"
                    fail(path, line, given, "each token once")
                tokens[token] = line
            if len(tokens) > count:
                extra = first + len(lines) - (len(tokens) - count)
                fail(path, extra, f"token {count + 1}", f"the {count} tokens of the header")
            parts.append(_numbers(rest, dimension, path, first))
        if len(tokens) < count:
            given = f"the file ends after {len(tokens)} tokens"
            fail(path, reader.line, given, f"the {count} tokens of the header")
    vectors = np.concatenate([np.empty((0, dimension), np.float32), *parts])
    return TokenVectors(list(tokens), vectors)


def _cut(line: bytes) -> tuple[bytes, bytes]:
    """The token of a line, and its numbers; fastText ends lines with a space."""
    name, _, numbers = line.partition(b" ")
    return name, numbers.rstrip(b" \r")


def _token(name: bytes, path: Path, line: int) -> str:
    if not name:
        fail(path, line, "no token", "a token and its numbers, single spaces between")
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("latin-1")


def _numbers(rows: Sequence[bytes], dimension: int, path: Path, first: int) -> NDArray[np.float32]:
    """The numbers ``[len(rows), dimension]`` of lines from number `first` on."""
    if not dimension:
        values = None if any(rows) else np.empty(0)
    else:
        values = _flat_numbers(rows, dimension)
    if values is None:
        values = np.concatenate(
            [_line_numbers(row, dimension, path, line) for line, row in enumerate(rows, first)]
        )
    with np.errstate(over="ignore"):
        vectors = values.astype(np.float32).reshape(len(rows), dimension)
    unfit = ~np.isfinite(vectors).all(axis=1)
    if unfit.any():
        row = int(unfit.argmax())
        value = values.reshape(vectors.shape)[row][~np.isfinite(vectors[row])][0]
        fail(path, first + row, f"value {value:g}", "a finite float32")
    return vectors


def _flat_numbers(rows: Sequence[bytes], dimension: int) -> NDArray[np.float64] | None:
    """All numbers end to end; None where a line needs a closer look."""
    content = b"\n".join(rows)
    plain = not content.translate(None, _CHARACTERS)
    if not plain or any(row.count(b" ") != dimension - 1 for row in rows):
        return None
    try:
        table = pc_csv.read_csv(
            pa.BufferReader(content.translate(_SPACES_TO_LINES)),
            read_options=_READ,
            convert_options=_CONVERT,
        )
    except pa.ArrowInvalid:
        return None
    values = table["value"].to_numpy()
    return values if len(values) == len(rows) * dimension else None


def _line_numbers(row: bytes, dimension: int, path: Path, line: int) -> NDArray[np.float64]:
    words = row.split()
    if len(words) != dimension:
        fail(path, line, f"{len(words)} numbers", f"{dimension}, as the header says")
    for word in words:
        if not _NUMBER.fullmatch(word):
            fail(path, line, shown_bytes(word), "a number")
    return np.array([float(word) for word in words])


def read_dense(path: str | Path) -> NDArray[np.float32]:
    """Read dense vectors from a NumPy file, such as ``fasttextB_embeddings_300d.npy``.

    Returns:
        float32 ``[rows, D]``.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is no NumPy array of two axes of numbers, or a value is not a finite float32;
            the message names its row, from 1.
    """
    path = Path(path)
    with opened(path) as file:
        try:
            array = np.load(file, allow_pickle=False)
        except BROKEN_ARRAYS as error:
            raise DataError(
                f"not a whole .npy file: {error}", expected="an array of numbers", path=path
            ) from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu":
        given = (
            f"{array.dtype} of shape {list(array.shape)}"
            if isinstance(array, np.ndarray)
            else "an archive"
        )
        raise DataError(given, expected="an array of numbers [rows, D]", path=path)
    with np.errstate(over="ignore"):
        vectors = array.astype(np.float32, copy=False)
    unfit = ~np.isfinite(vectors).all(axis=1)
    if unfit.any():
        raise DataError(
            "a value that is not a finite float32",
            expected="finite numbers",
            path=path,
            line=int(unfit.argmax()) + 1,
        )
    return vectors


def read_vocabulary(path: str | Path) -> list[str]:
    r"""Read what the features are called, such as ``Xf.txt``: one a line, V in all.

    Raises:
        MissingFileError: there is no such file.
        DataError: a line is empty, or the same as an earlier one.
    """
    path = Path(path)
    lines: dict[str, int] = {}
    for number, text in text_lines(path):
        word = text.rstrip("\r\n")
        if not word or word in lines:
            given = f"{word[:60]!r} again, as on line {lines[word]}" if word else "an empty line"
            fail(path, number, given, "the name of a feature, each once")
        lines[word] = number
    return list(lines)


def write_vocabulary(path: str | Path, words: Sequence[str]) -> None:
    """Write the names of features, one a line, in UTF-8, atomically.

    Raises:
        DataError: a name is empty, has a line break in it, or occurs twice.
        StorageError: the disk refused.
    """
    path = Path(path)
    seen: set[str] = set()
    for number, word in enumerate(words, start=1):
        if not word or "\n" in word or word.endswith("\r") or word in seen:
            fail(path, number, f"name {word[:60]!r}", "each name once, without line breaks")
        seen.add(word)
    with atomic_file(path) as draft:
        draft.write_text("".join(f"{word}\n" for word in words), encoding="utf-8", newline="\n")
