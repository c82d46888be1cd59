"""A weighted sum of scores, each brought to a scale of its own (SiameseXML, Astec: "beta").

The papers blend two scores, of classifiers and of the shortlist, by a beta that is chosen on test.
Here any number are blended, by weights that are chosen on held-out documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.fusion.candidates import Candidates, best_of
from dexa.types import CLASSIFIERS, NO_LABEL, RERANKER, TopK

_LEARNT = (CLASSIFIERS, RERANKER)
_STEPS = 20
_DEPTH = 5  # answers by which weights are chosen


@dataclass(frozen=True, kw_only=True)
class BlendFusion:
    """``Σ weight · scale(score)``, whose weights add up to 1.

    Attributes:
        weights: float32 ``[S]``, of each scorer.
        scorers: names, in the order of the weights.
        logits: whether scores of classifiers are logits; else they are cosines.
        sharpness: a cosine s counts as ``exp(sharpness · (s − 1))``.
        inverse_propensity: float64 ``[L]``.
    """

    weights: torch.Tensor
    scorers: tuple[str, ...]
    logits: bool
    sharpness: float
    inverse_propensity: NDArray[np.float64]

    def __call__(self, candidates: Candidates, k: int) -> TopK:
        """The k best candidates of each text; equal scores go to the smaller label id."""
        return best_of(candidates.labels, self._blended(candidates), k)

    def scores(self, candidates: Candidates, columns: torch.Tensor) -> torch.Tensor:
        """Fused scores ``[B, K]`` of the candidates in some columns ``[B, K]`` of each row."""
        return self._blended(candidates).gather(1, columns)

    def for_rarity(self, label: int) -> float:
        """What a label's fused score has for its rarity: nothing."""
        del label
        return 0.0

    def _blended(self, candidates: Candidates) -> torch.Tensor:
        scaled = scaled_scores(
            candidates, self.scorers, logits=self.logits, sharpness=self.sharpness
        )
        blended = torch.einsum("sbc,s->bc", scaled, self.weights.to(scaled.device))
        return blended.masked_fill(candidates.labels == NO_LABEL, -torch.inf)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The weights by name."""
        return {"weights": self.weights}


def scaled_scores(
    candidates: Candidates, scorers: Sequence[str], *, logits: bool, sharpness: float
) -> torch.Tensor:
    """Scores from 0 to 1, ``[S, B, C]``, the best candidate of a text having 1 by each scorer.

    Logits of classifiers become probabilities, cosines ``exp(sharpness · (s − 1))``.
    """
    parts = []
    for name in scorers:
        scores = candidates.scores[name].float()
        is_logit = logits and name in _LEARNT
        scaled = scores.sigmoid() if is_logit else (sharpness * (scores - 1)).exp()
        scaled = scaled.masked_fill(candidates.labels == NO_LABEL, 0.0)
        parts.append(scaled / scaled.amax(dim=1, keepdim=True).clamp(min=1e-12))
    return torch.stack(parts)


def fit_weights(scaled: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Weights that find most of what is right among the first five answers, ``[S]``.

    A right answer in place r is worth 1/r.

    From equal weights, each in turn takes the best of 21 shares, the others keeping theirs among
    themselves, until none moves.

    Args:
        scaled: scores ``[S, B, C]`` of B held-out documents.
        right: bool ``[B, C]``, candidates that are right; others are wrong or filtered.
    """
    count = len(scaled)
    weights = torch.full((count,), 1 / count)
    best = _found(scaled, right, weights)
    improved = count > 1 and bool(right.any())
    while improved:
        improved = False
        for scorer in range(count):
            for share in np.linspace(0, 1, _STEPS + 1):
                tried = weights.clone()
                tried[scorer] = 0
                rest = tried.sum()
                if rest == 0:
                    continue
                tried *= (1 - share) / rest
                tried[scorer] = share
                if (found := _found(scaled, right, tried)) > best:
                    best, weights, improved = found, tried, True
    return weights


def _found(scaled: torch.Tensor, right: torch.Tensor, weights: torch.Tensor) -> float:
    blended = torch.einsum("sbc,s->bc", scaled, weights.to(scaled.device))
    first = blended.topk(min(_DEPTH, blended.shape[1]), dim=1).indices
    hits = right.gather(1, first).float()
    places = torch.arange(1, hits.shape[1] + 1, device=hits.device)
    return float((hits / places).sum())
