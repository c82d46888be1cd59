"""Sparse matrices as SciPy's ``.npz`` archives: the field's predictions, and labels or features."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, load_npz, save_npz

from dexa.data.files import BROKEN_ARRAYS, opened
from dexa.data.matrix import canonical_csr, read_label_matrix, shape_of, writable_csr
from dexa.errors import DataError
from dexa.storage import atomic_file


def load_sparse(file: IO[bytes], path: Path) -> csr_array:
    """The numbers that `scipy.sparse.save_npz` wrote, in the type they have, their places checked.

    Nothing in the archive is ever unpickled.

    Raises:
        DataError: it is no such matrix, or an index is out of range.
    """
    try:
        matrix = csr_array(load_npz(file))
        matrix.check_format(full_check=True)
        if matrix.dtype.kind not in "fiub":
            raise TypeError(f"values of type {matrix.dtype}")
    except BROKEN_ARRAYS as error:
        raise DataError(
            f"not a sparse matrix: {str(error).splitlines()[0] if str(error) else error!r}",
            expected="an archive written by scipy.sparse.save_npz",
            path=path,
        ) from error
    return matrix


def read_npz(path: str | Path) -> csr_array:
    """Read a sparse matrix that `scipy.sparse.save_npz` wrote, in any of its formats.

    Returns:
        float32 ``[rows, cols]``, indices sorted in each row and repeated ones summed; a stored 0
        stays an entry.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is no such matrix, an index is out of range, or a value is not a finite
            float32; the message names the row.
    """
    path = Path(path)
    with opened(path) as file:
        matrix = load_sparse(file, path)
    values = matrix.data.astype(np.float64)
    with np.errstate(over="ignore"):
        matrix = csr_array((values.astype(np.float32), matrix.indices, matrix.indptr), matrix.shape)
    matrix.sum_duplicates()
    unfit = np.flatnonzero(~np.isfinite(matrix.data))
    if len(unfit):
        row = int(np.searchsorted(matrix.indptr, unfit[0], side="right"))
        raise DataError(
            f"value {matrix.data[unfit[0]]:g} in row {row}", expected="a finite float32", path=path
        )
    return canonical_csr(matrix.data, matrix.indices, matrix.indptr, shape_of(matrix))


def read_label_npz(path: str | Path) -> csr_array:
    """Read the labels of documents: as `read_npz`, with relevances for values.

    Returns:
        float32 ``[N, L]`` of positive values; a stored 0 says "not a label" and is left out.

    Raises:
        MissingFileError: there is no such file.
        DataError: as `read_npz`, or a value is negative, or there are no documents or no labels.
    """
    path = Path(path)
    labels = read_npz(path)
    if 0 in shape_of(labels):
        raise DataError(
            f"{shape_of(labels)[0]} documents and {shape_of(labels)[1]} labels",
            expected="at least one of each",
            path=path,
        )
    if (labels.data < 0).any():
        raise DataError("negative relevances", expected="numbers of at least 0", path=path)
    labels.eliminate_zeros()
    return labels


def read_labels(path: Path) -> csr_array:
    """The labels of documents in a matrix as text or as an archive, as its name says.

    Raises:
        MissingFileError: there is no such file.
        DataError: as `read_label_npz` and `read_label_matrix`.
    """
    return read_label_npz(path) if path.suffix == ".npz" else read_label_matrix(path)


def write_npz(path: str | Path, matrix: csr_array) -> None:
    """Write a sparse matrix as an archive, atomically, as the field does: CSR, not compressed.

    The same matrix always gives the same bytes.

    Args:
        path: the file to write.
        matrix: ``[rows, cols]``, written as float32; indices are sorted and duplicates summed
            first, on a copy.

    Raises:
        DataError: a value is not finite.
        StorageError: the disk refused.
    """
    path = Path(path)
    matrix = writable_csr(matrix, path)
    plain = canonical_csr(matrix.data, matrix.indices, matrix.indptr, shape_of(matrix))
    with atomic_file(path) as draft, draft.open("wb") as file:
        save_npz(file, plain, compressed=False)


def join_matrices(parts: Sequence[Path], path: Path, columns: int) -> None:
    """Stack CSR archives of float32 below each other, a part in memory at a time.

    Args:
        parts: that `scipy.sparse.save_npz` wrote uncompressed, ``[N_i, columns]`` each.
        path: of the archive to write.
        columns: of all.
    """
    starts = [np.load(part)["indptr"] for part in parts]
    entries = sum(int(ends[-1]) for ends in starts)
    rows = sum(len(ends) - 1 for ends in starts)
    kind = np.dtype(np.int32 if max(entries, columns) < 2**31 else np.int64)
    totals = np.cumsum([0, *(int(ends[-1]) for ends in starts)])
    ends = (part[1:].astype(kind) + kind.type(t) for part, t in zip(starts, totals, strict=False))
    with zipfile.ZipFile(path, "w") as archive:
        _write_array(archive, "indptr", (rows + 1,), chain([np.zeros(1)], ends), kind)
        indices = (np.load(part)["indices"].astype(kind) for part in parts)
        _write_array(archive, "indices", (entries,), indices, kind)
        data = (np.load(part)["data"] for part in parts)
        _write_array(archive, "data", (entries,), data, np.dtype(np.float32))
        for name, value in (("format", b"csr"), ("shape", (rows, columns)), ("_is_array", True)):
            array = np.asarray(value)
            _write_array(archive, name, array.shape, [array], array.dtype)


def _write_array(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...],
    pieces: Iterable[NDArray[Any]],
    kind: np.dtype[Any],
) -> None:
    """An array of an archive, from its pieces."""
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)  # pyright: ignore[reportArgumentType]
        for piece in pieces:
            file.write(piece.astype(kind, copy=False).tobytes())
