"""Two systems on the same documents, metric by metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.metrics import per_document
from dexa.metrics.per_document import PerDocument
from dexa.metrics.ranking import Predictions, top_k
from dexa.metrics.significance import paired_bootstrap, paired_randomisation

CUT_OFFS = (1, 3, 5)
RECALL_CUT_OFFS = (10, 100)


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A metric of two systems; figures are fractions.

    Attributes:
        metric: its name, such as ``P@1``.
        first: of the first system.
        second: of the second.
        difference: the second less the first.
        low: the lower end of the bootstrap's 95 % interval of the difference.
        high: the upper end.
        p_value: of the randomisation test, two-sided.
    """

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float


def compare(
    first: Predictions,
    second: Predictions,
    truth: csr_array,
    inverse_propensity: NDArray[np.floating],
    *,
    draws: int = 10_000,
    seed: int = 0,
) -> list[Compared]:
    """P, nDCG and PSP at 1, 3 and 5 and recall at 10 and 100 of two systems, and what differs.

    Args:
        first: answers for N documents, in any form of `Predictions`.
        second: answers of another system.
        truth: the true labels, ``[N, L]``.
        inverse_propensity: the weight of each label, ``[L]``.
        draws: of each test, see `paired_bootstrap` and `paired_randomisation`. All metrics are
            computed on the same draws.
        seed: of the draws.

    Raises:
        DataError: as `psp`, or fewer than 1 draw.
    """
    ours, theirs = (_columns(answers, truth, inverse_propensity) for answers in (first, second))
    bootstrap = paired_bootstrap(ours, theirs, draws=draws, seed=seed)
    p_values = paired_randomisation(ours, theirs, draws=draws, seed=seed)
    names = [f"{family}@{k}" for family in ("P", "nDCG", "PSP") for k in CUT_OFFS]
    names += [f"R@{k}" for k in RECALL_CUT_OFFS]
    figures = (
        ours.metric,
        theirs.metric,
        bootstrap.difference,
        bootstrap.low,
        bootstrap.high,
        p_values,
    )
    return [
        Compared(
            metric=name,
            first=ours_at,
            second=theirs_at,
            difference=difference,
            low=low,
            high=high,
            p_value=p_value,
        )
        for name, ours_at, theirs_at, difference, low, high, p_value in zip(
            names, *(values.tolist() for values in figures), strict=True
        )
    ]


def _columns(
    predictions: Predictions, truth: csr_array, weights: NDArray[np.floating]
) -> PerDocument:
    """All metrics of a system, a column each."""
    answers = top_k(predictions, max(RECALL_CUT_OFFS))
    best = top_k(answers, max(CUT_OFFS))
    parts = [
        per_document.precision(best, truth).at(*CUT_OFFS),
        per_document.ndcg(best, truth).at(*CUT_OFFS),
        per_document.psp(best, truth, weights).at(*CUT_OFFS),
        per_document.recall(answers, truth, max(RECALL_CUT_OFFS)).at(*RECALL_CUT_OFFS),
    ]
    return PerDocument(
        reached=np.hstack([part.reached for part in parts]),
        possible=np.hstack([part.possible for part in parts]),
    )
