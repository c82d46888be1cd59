"""Tokens as Renee and ViXML keep them: ``.dat`` files without a header, mapped into memory.

They lie in a folder ``<tokenizer>-<length>``, under the names of the ``.npy`` files elsewhere:
``{trn_doc,tst_doc,lbl}_{input_ids,attention_mask}.dat``, int64 ``[N, length]`` row by row.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dexa.errors import DataError, InputError, MissingFileError
from dexa.storage import atomic_file

_LENGTH = re.compile(r"-(\d{1,9})$")
_TYPE = np.dtype("<i8")


def read_memmap(path: str | Path, length: int | None = None) -> NDArray[np.int64]:
    """Map a token file into memory.

    Args:
        path: the file.
        length: tokens of a text; None takes the number at the end of the folder's name.

    Returns:
        int64 ``[N, length]``, read-only.

    Raises:
        MissingFileError: there is no such file.
        DataError: its size is not that of whole rows.
        InputError: the length is below 1, or neither given nor in the folder's name.
    """
    path = Path(path)
    if length is None:
        named = _LENGTH.search(path.absolute().parent.name)
        length = int(named[1]) if named else 0
    if length < 1:
        raise InputError(
            f"a length of {length} tokens",
            expected="at least 1, given or at the end of the folder's name, as in bert-base-32",
            path=path,
        )
    if not path.is_file():
        raise MissingFileError("no such file", do="check the path", path=path)
    size, row = path.stat().st_size, length * _TYPE.itemsize
    if size % row:
        raise DataError(
            f"{size:,} bytes",
            expected=f"rows of {length} int64 numbers, {row} bytes each",
            do="give the length the file was written with, or fetch the file again",
            path=path,
        )
    if not size:  # nothing to map
        return np.empty((0, length), np.int64)
    return np.memmap(path, _TYPE, mode="r", shape=(size // row, length))


def write_memmap(path: str | Path, tokens: NDArray[np.integer]) -> None:
    """Write a token file, atomically.

    Args:
        path: the file; its folder's name should end in the length.
        tokens: whole numbers ``[N, length]``.

    Raises:
        InputError: they are no whole numbers of this shape.
        StorageError: the disk refused.
    """
    if tokens.ndim != 2 or tokens.dtype.kind not in "iub" or not tokens.shape[1]:
        raise InputError(
            f"tokens of type {tokens.dtype} and shape {list(tokens.shape)}",
            expected="whole numbers [N, length]",
        )
    with atomic_file(Path(path)) as draft:
        np.ascontiguousarray(tokens, _TYPE).tofile(draft)
