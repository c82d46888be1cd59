"""The highest of many scores, by two looks at few."""

from __future__ import annotations

import torch

FOLD = 16
"""The best K of n scores lie in the K best columns of the scores folded to ``[FOLD, n / FOLD]``:
the best K of far fewer numbers are looked for, twice."""


def highest(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k highest of scores ``[B, n]``, or all: their places and values, in no order.

    Only of a width that is a multiple of `FOLD` fewer numbers are looked at.
    """
    width = scores.shape[1]
    if width < 2 * FOLD * k or width % FOLD:
        found = scores.topk(min(k, width), sorted=False)
        return found.indices, found.values
    folded = scores.unflatten(1, (FOLD, -1))
    columns = folded.amax(dim=1).topk(k, sorted=False).indices
    inside = folded.gather(2, columns[:, None].expand(-1, FOLD, -1)).flatten(1)
    found = inside.topk(k, sorted=False)
    fold, column = found.indices // k, found.indices % k
    return fold * folded.shape[2] + columns.gather(1, column), found.values
