"""Files that grow by a chunk at a time, and are whole or not there."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from dexa.data import Row
from dexa.data.entries import float_string
from dexa.errors import DataError
from dexa.preparation.manifest import token_files
from dexa.storage import atomic_file
from dexa.tokens import TextTokenizer, TokenArray
from dexa.types import Progress

T = TypeVar("T")

_CHUNK = 8_192


def chunks(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in lists of a size that keeps the tokenizer's threads busy."""
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, _CHUNK)):
        yield chunk


@contextmanager
def token_writer(
    folder: Path, side: str, n_texts: int, tokenizer: TextTokenizer, progress: Progress
) -> Iterator[Callable[[TokenArray], None]]:
    """Give a function that appends texts to the ids and the mask of a side, ``[N, length]``.

    Raises:
        DataError: the texts were not as many as said.
        StorageError: the disk refused.
    """
    length = tokenizer.max_length
    ids_type = np.uint16 if tokenizer.vocabulary_size <= 1 << 16 else np.int32
    ids_path, mask_path = (folder / name for name in token_files(side))
    done = 0

    def append(tokens: TokenArray) -> None:
        nonlocal done
        mask = np.arange(length) < tokens.lengths[:, None]
        padded = np.zeros(mask.shape, ids_type)
        padded[mask] = tokens.ids.numpy()
        ids_file.write(padded.tobytes())
        mask_file.write(mask.astype(np.uint8).tobytes())
        done += len(tokens)
        progress.advance(done)

    progress.begin(f"tokenise {side}", n_texts)
    with (
        _npy_file(ids_path, (n_texts, length), ids_type) as ids_file,
        _npy_file(mask_path, (n_texts, length), np.uint8) as mask_file,
    ):
        yield append
        if done != n_texts:
            raise DataError(
                f"{done} texts for {side} where {n_texts} were counted",
                do="leave the data set alone while it is prepared",
                path=folder,
            )
    progress.end()


@contextmanager
def _npy_file(path: Path, shape: tuple[int, int], dtype: DTypeLike) -> Iterator[IO[bytes]]:
    """A ``.npy`` file whose header is written and whose rows are to follow.

    Rows are written, not mapped: on a full disk a mapped file kills the process.
    """
    with atomic_file(path) as draft, draft.open("wb") as file:
        descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        yield file


@contextmanager
def matrix_writer(path: Path, shape: tuple[int, int]) -> Iterator[Callable[[list[Row]], None]]:
    """Give a function that appends rows to a label matrix, as `dexa.data.write_matrix` has them.

    Raises:
        StorageError: the disk refused.
    """
    with atomic_file(path) as draft, draft.open("w", encoding="ascii", newline="\n") as file:
        file.write(f"{shape[0]} {shape[1]}\n")
        yield lambda rows: file.writelines(map(_matrix_row, rows))


def _matrix_row(row: Row) -> str:
    pairs = zip(row.labels, row.values, strict=True)
    return " ".join(f"{label}:{float_string(np.float32(value))}" for label, value in pairs) + "\n"
