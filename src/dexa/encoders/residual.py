"""The residual block of the DeepXML framework, and the classifiers' own block behind an encoder."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    """``x + r · dropout(relu(W x / σ(W) + b))``, starting at W = I (Astec, section 3; SiameseXML).

    σ(W), the largest singular value, follows W by one power iteration a step, so that the block
    cannot outgrow what it is added to.

    Args:
        dimension: D.
        dropout: probability on what is added.
        learned_radius: whether r is learned; else it is 1.
    """

    start: torch.Tensor
    radius: torch.Tensor

    def __init__(self, dimension: int, *, dropout: float, learned_radius: bool) -> None:
        super().__init__()
        self.dropout = dropout
        self.weight = nn.Parameter(torch.eye(dimension))
        self.bias = nn.Parameter(torch.zeros(dimension))
        # Every direction of the identity is a singular one; this has a part in all of them.
        self.register_buffer("start", torch.full((dimension,), dimension**-0.5))
        if learned_radius:
            self.radius = nn.Parameter(torch.ones(1))
        else:
            self.register_buffer("radius", torch.ones(1))

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors ``[B, D]`` to vectors ``[B, D]``."""
        added = F.relu(F.linear(vectors, self.weight / self._norm(), self.bias))
        return vectors + self.radius * F.dropout(added, self.dropout, self.training)

    def _norm(self) -> torch.Tensor:
        """The largest singular value, after one more power iteration where the block is trained."""
        with torch.autocast(self.weight.device.type, enabled=False):  # float32 everywhere
            with torch.no_grad():
                right = F.normalize(self.weight.T @ self.start, dim=0)
                left = F.normalize(self.weight @ right, dim=0)
                if self.training:
                    self.start.copy_(left)
            return left.dot(self.weight @ right)


class ClassifierHead(nn.Module):
    """What classifiers see of a document: its vector after a block of their own.

    Args:
        dimension: D.
        dropout: probability in the block.
        cosine: whether classifiers are compared by cosine: vectors of unit length come out, ``[B,
            D]``, by a block with a learned radius. Else vectors with a 1 for the bias of a
            classifier behind them, ``[B, D + 1]``.
    """

    def __init__(self, dimension: int, *, dropout: float, cosine: bool) -> None:
        super().__init__()
        self.cosine, self.dimension = cosine, dimension
        self.block = ResidualBlock(dimension, dropout=dropout, learned_radius=cosine)

    @property
    def width(self) -> int:
        """Dimensions of a classifier."""
        return self.dimension if self.cosine else self.dimension + 1

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Unit vectors ``[B, D]`` to what classifiers are multiplied with."""
        if self.cosine:
            return F.normalize(self.block(vectors), dim=1)
        return F.pad(self.block(vectors), (0, 1), value=1.0)
