"""A sparse matrix whose products with vectors are made by several threads."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.threads import side_by_side

_BLOCKS = 32


class RowBlocks:
    """Blocks of rows with about as many entries each, in float64.

    Each row is summed as SciPy sums it, so that results do not depend on the number of threads.

    Args:
        matrix: ``[R, C]``.
    """

    def __init__(self, matrix: csr_array) -> None:
        shares = np.linspace(0, matrix.nnz, _BLOCKS + 1)
        ends = np.searchsorted(matrix.indptr, shares)
        ends[0], ends[-1] = 0, matrix.indptr.size - 1
        self._blocks = [
            csr_array(matrix[start:stop], dtype=np.float64)
            for start, stop in itertools.pairwise(ends)
        ]

    def __matmul__(self, vector: NDArray[np.float64]) -> NDArray[Any]:
        """The product with a vector ``[C]``, ``[R]``."""
        return np.concatenate(side_by_side(lambda block: block @ vector, self._blocks))
