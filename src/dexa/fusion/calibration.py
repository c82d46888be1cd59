"""What a fused score is worth: the probability that an answer is right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """A rising curve from fused scores to probabilities, straight between its knots.

    Attributes:
        scores: float32 ``[M]``, of the knots, ascending.
        probabilities: float32 ``[M]``, that an answer of that score is right, never falling.
        precisions: float32 ``[M]``, the share of right ones among all answers to held-out
            documents that score at least as much.
    """

    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    precisions: NDArray[np.float32]

    def __call__(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities of scores of any shape; 0 for -inf, where there is no answer."""
        found = np.interp(scores, self.scores, self.probabilities).astype(np.float32)
        found[np.isneginf(scores)] = 0.0
        return found

    def threshold(self, precision: float) -> float:
        """The lowest probability such that answers above it are right as often as asked.

        Args:
            precision: the share of answers that are to be right, above 0 and at most 1.

        Raises:
            InputError: no share, or one that no threshold reached on held-out documents.
        """
        if not 0 < precision <= 1:
            raise InputError(f"a precision of {precision}", expected="above 0 and at most 1")
        # where the curve is level, its first knot counts: those of equal probability go together
        rises = np.diff(self.probabilities, prepend=-1) > 0
        reached = np.flatnonzero(rises & (self.precisions >= precision))
        if not len(reached):
            highest = self.precisions[rises].max()
            raise InputError(
                f"a precision of {precision}",
                expected=f"at most {highest:.3f}, the highest that any threshold reached on "
                "held-out documents",
            )
        return float(self.probabilities[reached[0]])

    def tensors(self) -> dict[str, torch.Tensor]:
        """The arrays by name."""
        return {name: torch.from_numpy(array) for name, array in vars(self).items()}

    @staticmethod
    def restored(tensors: dict[str, torch.Tensor]) -> Calibration:
        """The curve that `tensors` took apart."""
        return Calibration(**{name: tensor.numpy() for name, tensor in tensors.items()})


def fit_calibration(scores: NDArray[np.floating], right: NDArray[np.bool_]) -> Calibration | None:
    """The curve of least squared error that never falls (isotonic regression).

    Args:
        scores: finite ones ``[A]``, of answers to documents that the fusion did not see.
        right: whether each is right.

    Returns:
        None where all are right or none is: they tell nothing of the others.
    """
    if not len(right) or right.all() or not right.any():
        return None
    from sklearn.isotonic import IsotonicRegression

    scores = scores.astype(np.float32)
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0).fit(scores, right.astype(np.float64))
    knots = fitted.X_thresholds_.astype(np.float32)
    descending = np.argsort(-scores, kind="stable")
    ascending = scores[descending][::-1]
    right_above = np.concatenate([np.cumsum(right[descending])[::-1], [0]])
    first = np.searchsorted(ascending, knots, side="left")
    return Calibration(
        scores=knots,
        probabilities=fitted.y_thresholds_.astype(np.float32),
        precisions=(right_above[first] / (len(scores) - first)).astype(np.float32),
    )
