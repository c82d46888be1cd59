"""Rows of matrices that change while all others stay."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.data.features import width

Number = TypeVar("Number", bound=np.generic)


def with_values(
    values: NDArray[Number], places: NDArray[np.int64], others: NDArray[Number]
) -> NDArray[Number]:
    """Values ``[L]`` with others at some places; places from L on make them more."""
    changed = np.empty(max(len(values), int(places.max(initial=-1)) + 1), values.dtype)
    changed[: len(values)] = values
    changed[places] = others
    return changed


def with_rows(matrix: csr_array, places: NDArray[np.int64], others: csr_array) -> csr_array:
    """A matrix ``[L, V]`` with other rows at some places; places from L on make them more.

    Args:
        matrix: the rows that stay keep their entries as they are.
        places: int64 ``[n]``, each once; those from L on follow the last row without a gap.
        others: the rows ``[n, V]`` for these places.
    """
    count = matrix.indptr.size - 1
    fresh = with_values(np.full(count, -1, np.int64), places, np.arange(len(places)))
    lengths = np.append(np.diff(matrix.indptr), np.zeros(len(fresh) - count, np.int64))
    chosen = fresh >= 0
    lengths[chosen] = np.diff(others.indptr)[fresh[chosen]]
    ends = np.concatenate([[0], np.cumsum(lengths)])
    of_others = np.repeat(chosen, lengths)
    stays = np.repeat(~chosen[:count], np.diff(matrix.indptr))
    taken = others[fresh[chosen]]
    data = np.empty(ends[-1], matrix.data.dtype)
    indices = np.empty(ends[-1], matrix.indices.dtype)
    data[of_others], data[~of_others] = taken.data, matrix.data[stays]
    indices[of_others], indices[~of_others] = taken.indices, matrix.indices[stays]
    return csr_array((data, indices, ends), shape=(len(fresh), width(matrix)))
