"""Sparse matrices as the metrics read them; what a caller passes in is never changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix

from dexa.errors import DataError
from dexa.types import NO_LABEL


def as_csr(matrix: Any, name: str) -> csr_array:
    """A view of a CSR matrix as `csr_array`.

    Raises:
        DataError: it is not a CSR matrix.
    """
    if not isinstance(matrix, csr_array | csr_matrix):
        raise DataError(
            f"{name} given as {type(matrix).__name__}",
            expected="a scipy csr_array",
            do="convert other sparse matrices with csr_array(matrix)",
        )
    return csr_array(matrix)


def relevant(labels: Any, name: str) -> csr_array:
    """True where a stored value is above 0, ids ascending and each pair once.

    Args:
        labels: the labels of documents, CSR ``[N, L]``.
        name: what they are, for errors.

    Raises:
        DataError: it is not a CSR matrix.
    """
    matrix = as_csr(labels, name)
    if not matrix.has_canonical_format or not (matrix.data > 0).all():
        matrix = matrix.copy()
        matrix.sum_duplicates()
        matrix.data = matrix.data > 0
        matrix.eliminate_zeros()
    parts = (np.ones(matrix.nnz, dtype=bool), matrix.indices, matrix.indptr)
    return csr_array(parts, shape=matrix.shape)


def scored_answers(predictions: Mapping[str, NDArray[Any]]) -> csr_array:
    """Answers ``{"indices": [N, K], "scores": [N, K]}`` as CSR; `NO_LABEL` scores -inf there.

    Raises:
        DataError: other keys, arrays of another type or shape, or an id that cannot be.
    """
    if set(predictions) != {"indices", "scores"}:
        raise DataError(
            f"a mapping of {', '.join(map(str, predictions)) or 'nothing'}",
            expected="of indices and scores",
        )
    ids, scores = (np.asarray(predictions[name]) for name in ("indices", "scores"))
    right = (ids.dtype.kind in "iu", scores.dtype.kind == "f", ids.ndim == 2)
    if not all(right) or ids.shape != scores.shape:
        raise DataError(
            f"indices {ids.dtype} {ids.shape} with scores {scores.dtype} {scores.shape}",
            expected="integers [N, K] with floats [N, K]",
        )
    if (lowest := ids.min(initial=0)) < NO_LABEL:
        raise DataError(f"the label id {lowest} among the indices", expected="ids from 0, or -1")
    if lowest == NO_LABEL:
        scores = np.where(ids == NO_LABEL, -np.inf, scores)
    # SciPy would widen int32 ids to the int64 of ends.
    kind = np.int32 if ids.size < 1 << 31 else np.int64
    ends = np.arange(len(ids) + 1, dtype=kind) * kind(ids.shape[1])
    shape = (len(ids), int(ids.max(initial=0)) + 1)
    return csr_array((scores.reshape(-1), ids.reshape(-1), ends), shape=shape)


def shape_of(matrix: Any) -> tuple[int, int]:
    """Rows and columns, for type checkers that take scipy's `shape` to be None."""
    return cast("tuple[int, int]", matrix.shape)
