"""Whether two systems differ by more than chance, when both answered the same documents.

Efron, Tibshirani: "An Introduction to the Bootstrap" (1993); Smucker, Allan, Carterette: "A
Comparison of Statistical Significance Tests for Information Retrieval Evaluation" (CIKM 2007).
The p-values are of one comparison each: who makes many must correct for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dexa.errors import DataError
from dexa.metrics.formulas import ratio
from dexa.metrics.per_document import PerDocument

_CELLS = 1 << 22  # draws × documents held at once
_ROUNDING = 1e-9  # differences of a draw that are equal but for rounding count as equal


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """What samples of the documents, drawn with replacement, say of a difference.

    Attributes:
        difference: the metric of the second system less that of the first, ``[k]``.
        low: the lower end of the 95 % interval of it, ``[k]``.
        high: the upper end, ``[k]``.
        p_value: how often a sample is as far from the difference as the difference is from 0,
            ``[k]``.
    """

    difference: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p_value: NDArray[np.float64]


def paired_bootstrap(
    first: PerDocument, second: PerDocument, *, draws: int = 10_000, seed: int = 0
) -> Bootstrap:
    """The percentile interval of the difference of two systems, and its two-sided p-value.

    Each draw takes N of the N documents with replacement, the same for both systems, and computes
    the difference of the metric there, for ratios of means with the draw's own denominator.

    Args:
        first: a system, N documents at k cut-offs.
        second: another, on the same documents with the same truth.
        draws: samples; the smallest p-value is 1 / (draws + 1).
        seed: of the samples.

    Raises:
        DataError: shapes or truths that differ, or fewer than 1 draw.
    """
    gains = _difference(first, second, draws)
    n_columns = gains.shape[1]
    varying = np.ptp(first.possible, axis=0) > 0  # the others have the same sum in every draw
    rows = np.hstack([gains, first.possible[:, varying]])
    random = np.random.default_rng(seed)
    sums = np.concatenate([_sample(rows, count, random) for count in _chunks(draws, len(rows))])
    possible = np.tile(first.possible.sum(axis=0), (draws, 1))
    possible[:, varying] = sums[:, n_columns:]
    sampled = ratio(sums[:, :n_columns], possible)
    difference = ratio(gains.sum(axis=0), first.possible.sum(axis=0))
    low, high = np.quantile(sampled, [0.025, 0.975], axis=0)
    p_value = _two_sided(sampled - difference, difference)
    return Bootstrap(difference=difference, low=low, high=high, p_value=p_value)


def paired_randomisation(
    first: PerDocument, second: PerDocument, *, draws: int = 10_000, seed: int = 0
) -> NDArray[np.float64]:
    """The two-sided p-value ``[k]`` of Fisher's randomisation (or permutation) test.

    Were both systems the same, swapping their answers to a document would change nothing. Each
    draw swaps those of a random half of the documents; the p-value is how often the metrics then
    differ by as much as they do. Arguments and errors as `paired_bootstrap`.
    """
    gains = _difference(first, second, draws)
    total = gains.sum(axis=0)
    gains = gains[gains.any(axis=1)]  # where both are equal, swapping changes nothing
    random = np.random.default_rng(seed)
    sums = []
    for count in _chunks(draws, len(gains)):
        swapped = random.integers(0, 256, (count, -(-len(gains) // 8)), dtype=np.uint8)
        swapped = np.unpackbits(swapped, axis=1, count=len(gains))
        sums.append(total - 2 * (swapped.astype(np.float64) @ gains))
    return _two_sided(np.concatenate(sums), total)


def _difference(first: PerDocument, second: PerDocument, draws: int) -> NDArray[np.float64]:
    """What the second system reaches more than the first, ``[N, k]``."""
    if draws < 1:
        raise DataError(f"{draws} draws", expected="at least 1")
    shapes = first.reached.shape, second.reached.shape
    if shapes[0] != shapes[1] or not np.allclose(first.possible, second.possible):
        raise DataError(
            f"{shapes[0]} and {shapes[1]} documents by cut-offs, or another truth",
            expected="two systems on the same documents, with the same true labels and k",
        )
    return second.reached - first.reached


def _sample(
    rows: NDArray[np.float64], count: int, random: np.random.Generator
) -> NDArray[np.float64]:
    """Sums of `count` samples of the rows ``[N, C]``, ``[count, C]``."""
    n = len(rows)
    times = np.empty((count, n))
    for draw in times:
        draw[:] = np.bincount(random.integers(0, n, n), minlength=n)
    return times @ rows


def _chunks(draws: int, n_documents: int) -> Iterator[int]:
    step = max(1, _CELLS // max(1, n_documents))
    for start in range(0, draws, step):
        yield min(step, draws - start)


def _two_sided(sampled: NDArray[np.float64], observed: NDArray[np.float64]) -> NDArray[np.float64]:
    """How often the samples ``[draws, k]`` are as far from 0 as what was observed ``[k]``."""
    extreme = np.abs(sampled) >= np.abs(observed) * (1 - _ROUNDING)
    return (1 + np.count_nonzero(extreme, axis=0)) / (len(sampled) + 1)
