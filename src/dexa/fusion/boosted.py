"""Scores of any number of scorers become one, by gradient-boosted trees.

For each candidate the trees see every scorer's score, its rank by that scorer and its distance to
the scorer's best, how many scorers rank it high, and the label's propensity. They give the odds
that it is right; one dial moves answers towards rare labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.fusion.candidates import Candidates, best_of
from dexa.fusion.forest import Forest
from dexa.types import NO_LABEL, TopK

_LOWEST = -1.0  # below every score: of fillers


@dataclass(frozen=True, kw_only=True)
class BoostedFusion:
    """The fused score ``forest + tail_weight · log(inverse propensity)``.

    Attributes:
        forest: fitted on documents that no scorer was trained on.
        scorers: names, in the order of the features.
        depth: ranks beyond it are one to the trees.
        tail_weight: the dial from P to PSP: 0 answers what is most likely right.
        inverse_propensity: float64 ``[L]``.
    """

    forest: Forest
    scorers: tuple[str, ...]
    depth: int
    tail_weight: float
    inverse_propensity: NDArray[np.float64]

    def __call__(self, candidates: Candidates, k: int) -> TopK:
        """The k best candidates of each text; equal scores go to the smaller label id."""
        labels = candidates.labels
        every = torch.arange(labels.shape[1], device=labels.device).expand_as(labels)
        return best_of(labels, self.scores(candidates, every), k)

    def scores(self, candidates: Candidates, columns: torch.Tensor) -> torch.Tensor:
        """Fused scores ``[B, K]`` of the candidates in some columns ``[B, K]`` of each row."""
        rarity = torch.from_numpy(self.inverse_propensity).to(columns.device).log().float()
        features = boosted_features(candidates, self.scorers, rarity, self.depth)
        rows = torch.arange(len(columns), device=columns.device)[:, None]
        places = (rows * candidates.labels.shape[1] + columns).flatten()
        odds = self.forest(features[places]).view(columns.shape)
        labels = candidates.labels.gather(1, columns)
        fused = odds + self.tail_weight * rarity[labels.clamp(min=0)]
        return fused.masked_fill(labels == NO_LABEL, -torch.inf)

    def for_rarity(self, label: int) -> float:
        """What a label's fused score has for its rarity, whatever the scorers say."""
        return self.tail_weight * float(np.log(self.inverse_propensity[label]))

    def tensors(self) -> dict[str, torch.Tensor]:
        """The arrays of the trees by name."""
        return self.forest.tensors()


def rising_features(scorers: Sequence[str]) -> list[bool]:
    """Which features of `boosted_features` raise the odds as they grow: the scores themselves."""
    return [rises for _ in scorers for rises in (True, False, False)] + [False, False]


def boosted_features(
    candidates: Candidates, scorers: Sequence[str], rarity: torch.Tensor, depth: int
) -> torch.Tensor:
    """Features ``[B · C, 3 S + 2]`` for S scorers.

    Of each scorer the score, the logarithm of the rank, and the distance to its best; then the
    sum of inverse ranks, and the logarithm of the inverse propensity `rarity` ``[L]``. Ranks beyond
    `depth`, to which every scorer proposes, are one, so that a label's features are the same
    however many candidates stand beside it.
    """
    labels = candidates.labels
    columns: list[torch.Tensor] = []
    agreement = torch.zeros(labels.shape, device=labels.device)
    for name in scorers:
        scores = candidates.scores[name].float().nan_to_num(neginf=_LOWEST)
        order = scores.argsort(dim=1, descending=True, stable=True)
        ranks = torch.empty_like(order).scatter_(
            1, order, torch.arange(1, labels.shape[1] + 1, device=labels.device).expand_as(order)
        )
        ranks.clamp_(max=depth + 1)
        agreement += 1 / ranks
        best = scores.amax(dim=1, keepdim=True) if labels.shape[1] else scores
        columns += [scores, ranks.float().log(), best - scores]
    columns += [agreement, rarity[labels.clamp(min=0)]]
    return torch.stack([column.flatten() for column in columns], dim=1)
