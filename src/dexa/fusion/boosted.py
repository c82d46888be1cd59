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
        return best_of(labels, self._fused(self._features(candidates), labels), k)

    def scores(self, candidates: Candidates, columns: torch.Tensor) -> torch.Tensor:
        """Fused scores ``[B, K]`` of the candidates in some columns ``[B, K]`` of each row."""
        labels = candidates.labels
        rows = torch.arange(len(columns), device=columns.device)[:, None]
        places = (rows * labels.shape[1] + columns).flatten()
        return self._fused(self._features(candidates)[places], labels.gather(1, columns))

    def _features(self, candidates: Candidates) -> torch.Tensor:
        return boosted_features(candidates, self.scorers, self.inverse_propensity, self.depth)

    def _fused(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        rarity = features[:, -1]
        fused = self.forest(features) + self.tail_weight * rarity
        return fused.view(labels.shape).masked_fill(labels == NO_LABEL, -torch.inf)

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
    candidates: Candidates,
    scorers: Sequence[str],
    inverse_propensity: NDArray[np.float64],
    depth: int,
) -> torch.Tensor:
    """Features ``[B · C, 3 S + 2]`` for S scorers.

    Of each scorer the score, the logarithm of the rank, and the distance to its best; then the
    sum of inverse ranks, and the logarithm of the label's inverse propensity, of those of all
    labels ``[L]``. Ranks beyond `depth`, to which every scorer proposes, are one, so that a label's
    features are the same however many candidates stand beside it.
    """
    labels = candidates.labels
    width = labels.shape[1]
    scores = torch.stack([candidates.scores[name].float() for name in scorers])
    scores.nan_to_num_(neginf=_LOWEST)
    order = scores.argsort(dim=2, descending=True, stable=True)
    places = torch.arange(1, width + 1, device=order.device).expand_as(order)
    ranks = torch.empty_like(order).scatter_(2, order, places).clamp_(max=depth + 1).float()
    best = scores.amax(dim=2, keepdim=True) if width else scores
    of_each = torch.stack([scores, ranks.log(), best - scores], dim=1).flatten(0, 1)
    agreement = ranks.reciprocal().sum(dim=0)
    of_all = torch.from_numpy(inverse_propensity).to(labels.device)
    rarity = of_all[labels.clamp(min=0)].log().float()
    return torch.cat([of_each, agreement[None], rarity[None]]).flatten(1).T
