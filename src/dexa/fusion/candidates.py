"""Labels that scorers proposed, with the scores of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch.nn import functional as F

from dexa.types import NO_LABEL, TopK


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """Labels that some scorer proposed, with the scores of all scorers.

    Attributes:
        labels: int64 ``[B, C]``, each at most once a row; `NO_LABEL` fills.
        scores: float32 ``[B, C]`` of each scorer by its name, -inf where there is no label.
    """

    labels: torch.Tensor
    scores: Mapping[str, torch.Tensor]

    def rows(self, chosen: torch.Tensor) -> Candidates:
        """Those of some texts."""
        scores = {name: values[chosen] for name, values in self.scores.items()}
        return Candidates(labels=self.labels[chosen], scores=scores)

    def are_in(self, pairs: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Whether each candidate is one of some pairs of row and label ``[P, 2]``, ``[B · C]``."""
        labels = self.labels.cpu().numpy()
        width = int(max(labels.max(initial=0), pairs[:, 1].max(initial=0))) + 1
        keys = np.arange(len(labels))[:, None] * width + labels
        found = np.isin(keys, pairs[:, 0].astype(np.int64) * width + pairs[:, 1])
        return (found & (labels != NO_LABEL)).ravel()


def pairs_of(labels: csr_array) -> NDArray[np.int64]:
    """The entries of a matrix ``[B, L]`` as pairs of row and label, ``[P, 2]``."""
    entries = labels.tocoo()
    return np.stack([entries.row, entries.col], axis=1).astype(np.int64)


def union(found: Sequence[NDArray[np.int64]]) -> torch.Tensor:
    """Labels of any ``[B, K]``, ascending, each once a row, behind `NO_LABEL`, which fills.

    There are as many columns as the row of most labels needs, at least one.
    """
    every = np.sort(np.concatenate(found, axis=1), axis=1)
    every[:, 1:][every[:, 1:] == every[:, :-1]] = NO_LABEL
    every.sort(axis=1)
    needed = max(1, np.count_nonzero((every != NO_LABEL).any(axis=0)))
    return torch.from_numpy(np.ascontiguousarray(every[:, -needed:]))


def best_of(labels: torch.Tensor, scores: torch.Tensor, k: int) -> TopK:
    """The k best of candidates ``[B, C]``; equal scores go to the one that stands first.

    Where there are fewer, `NO_LABEL` fills.
    """
    ordered, best = scores.sort(dim=1, descending=True, stable=True)
    chosen, ordered = labels.gather(1, best[:, :k]), ordered[:, :k]
    if (missing := k - labels.shape[1]) > 0:
        chosen = F.pad(chosen, (0, missing), value=NO_LABEL)
        ordered = F.pad(ordered, (0, missing), value=-torch.inf)
    return TopK(labels=chosen.cpu().numpy(), scores=ordered.cpu().numpy())
