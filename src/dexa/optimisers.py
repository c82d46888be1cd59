"""Adam for tables of which a batch touches a few rows."""

from __future__ import annotations

import torch


class RowAdam:
    """Adam (Kingma & Ba, 2015) whose moments move only in the rows that have a gradient.

    A row's bias correction counts that row's own updates. One count for the whole table, as in
    PyTorch's ``SparseAdam``, makes the first update of a row first seen late up to
    ``(1 − β1) / √(1 − β2)`` = 3.2 times too long.

    Args:
        table: ``[R, D]``, changed in place.
        beta1: decay of the first moment.
        beta2: decay of the second moment.
        epsilon: added to the root of the second moment.
    """

    def __init__(
        self,
        table: torch.Tensor,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        self.table = table.detach()
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.first = torch.zeros_like(self.table)
        self.second = torch.zeros_like(self.table)
        self.updates = torch.zeros(len(self.table), dtype=torch.int32, device=self.table.device)

    @torch.no_grad()
    def update(self, rows: torch.Tensor, gradient: torch.Tensor, learning_rate: float) -> None:
        """Move some rows.

        Args:
            rows: int64 ``[U]``, each at most once.
            gradient: ``[U, D]``.
            learning_rate: length of a step.
        """
        gradient = gradient.to(self.table.dtype)
        self.updates[rows] += 1
        count = self.updates[rows].unsqueeze(1)
        first = torch.lerp(gradient, self.first[rows], self.beta1)
        second = torch.lerp(gradient.square(), self.second[rows], self.beta2)
        self.first[rows], self.second[rows] = first, second
        first = first / (1 - self.beta1**count)
        second = second / (1 - self.beta2**count)
        self.table[rows] -= learning_rate * first / (second.sqrt() + self.epsilon)

    def state(self) -> dict[str, torch.Tensor]:
        """What must be kept to go on later."""
        return {"first": self.first, "second": self.second, "updates": self.updates}

    @torch.no_grad()
    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from what `state` gave."""
        for name, kept in self.state().items():
            kept.copy_(state[name])


def linear_schedule(step: int, *, warmup: int, total: int) -> float:
    """Share of the highest learning rate at a step: linear growth, then linear decay to zero.

    The warm-up is at most a tenth of the run, so that a short run still decays.
    """
    warmup = min(warmup, max(1, total // 10))
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (total - step) / max(1, total - warmup))
