"""One scorer alone: nothing to fuse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.fusion.candidates import Candidates, best_of
from dexa.types import TopK


@dataclass(frozen=True, kw_only=True)
class SingleScorer:
    """The fused score is that of the one scorer.

    Attributes:
        scorer: its name.
        inverse_propensity: float64 ``[L]``, which a model keeps whatever its fusion.
    """

    scorer: str
    inverse_propensity: NDArray[np.float64]

    def __call__(self, candidates: Candidates, k: int) -> TopK:
        """The k best candidates of each text; equal scores go to the smaller label id."""
        return best_of(candidates.labels, candidates.scores[self.scorer], k)

    def scores(self, candidates: Candidates, columns: torch.Tensor) -> torch.Tensor:
        """Scores ``[B, K]`` of the candidates in some columns ``[B, K]`` of each row."""
        return candidates.scores[self.scorer].gather(1, columns)

    def for_rarity(self, label: int) -> float:
        """What a label's score has for its rarity: nothing."""
        return 0.0

    def tensors(self) -> dict[str, torch.Tensor]:
        """No arrays."""
        return {}
