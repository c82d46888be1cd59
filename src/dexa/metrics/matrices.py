"""Sparse matrices as the metrics read them; what a caller passes in is never changed."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from scipy.sparse import csr_array, csr_matrix

from dexa.errors import DataError


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


def shape_of(matrix: Any) -> tuple[int, int]:
    """Rows and columns, for type checkers that take scipy's `shape` to be None."""
    return cast("tuple[int, int]", matrix.shape)
