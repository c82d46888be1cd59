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
from dexa.types import NO_LABEL, TopK

_AT_ONCE = 1 << 18  # candidates whose way through a tree stays in a processor's cache
_LOWEST = -1.0  # below every score: of fillers
_LEAVES = 31  # of a tree
_RIDGE = 30.0  # on the values of leaves: with few documents, trees believe too much without


@dataclass(frozen=True)
class Forest:
    """Trees as plain arrays ``[R, M]``; a leaf points to itself, and its threshold is infinite.

    Attributes:
        left: int64, where a value goes that is at most the threshold.
        right: int64, where others go.
        feature: int64, column of the features.
        threshold: float32.
        value: float32, what a leaf adds.
        start: float32 ``[1]``, what all candidates begin with.
        depth: int64 ``[1]``, of the deepest leaf.
    """

    left: torch.Tensor
    right: torch.Tensor
    feature: torch.Tensor
    threshold: torch.Tensor
    value: torch.Tensor
    start: torch.Tensor
    depth: torch.Tensor

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """The sum of the leaves a candidate falls into, float32 ``[C]`` for ``[C, F]``."""
        parts = [self._sums(part.contiguous()) for part in features.split(_AT_ONCE)]
        return torch.cat(parts) if parts else features.new_empty(0)

    def _sums(self, features: torch.Tensor) -> torch.Tensor:
        count, width = features.shape
        flat = features.flatten()
        first = torch.arange(count, device=features.device) * width
        sums = torch.full((count,), float(self.start), device=features.device)
        trees = zip(self.left, self.right, self.feature, self.threshold, self.value, strict=True)
        for left, right, feature, threshold, value in trees:
            node = torch.zeros_like(first)
            for _ in range(int(self.depth)):
                seen = flat.index_select(0, first + feature.index_select(0, node))
                below = seen <= threshold.index_select(0, node)
                node = torch.where(below, left.index_select(0, node), right.index_select(0, node))
            sums += value.index_select(0, node)
        return sums

    def tensors(self) -> dict[str, torch.Tensor]:
        """The arrays by name."""
        return dict(vars(self))

    def to(self, device: torch.device) -> Forest:
        """The same trees on another device."""
        return Forest(**{name: array.to(device) for name, array in vars(self).items()})


def constant_forest(odds: float) -> Forest:
    """No tree: all candidates have the same odds (their logarithm)."""
    none = torch.zeros(0, 1, dtype=torch.int64)
    return Forest(
        none,
        none.clone(),
        none.clone(),
        torch.zeros(0, 1),
        torch.zeros(0, 1),
        torch.tensor([odds]),
        torch.zeros(1, dtype=torch.int64),
    )


def fit_forest(
    features: torch.Tensor,
    right: torch.Tensor,
    rising: Sequence[bool],
    *,
    trees: int,
    leaf: int,
    seed: int,
) -> Forest:
    """Fit trees whose sum is the logarithm of the odds that a candidate is right.

    Args:
        features: ``[C, F]``.
        right: bool ``[C]``.
        rising: for each feature, whether the odds may never fall as it grows.
        trees: R.
        leaf: candidates in a leaf at least.
        seed: of the candidates whose quantiles are taken, where there are very many.
    """
    target = right.cpu().numpy()
    if len(target) == 0 or target.all() or not target.any():
        return constant_forest(0.0)
    from sklearn.ensemble import HistGradientBoostingClassifier

    fitted = HistGradientBoostingClassifier(
        learning_rate=0.1,
        max_iter=trees,
        max_leaf_nodes=_LEAVES,
        min_samples_leaf=leaf,
        l2_regularization=_RIDGE,
        monotonic_cst=[int(rises) for rises in rising],
        early_stopping=False,  # pyright: ignore[reportArgumentType]
        random_state=seed,
    ).fit(features.cpu().numpy(), target)
    nodes = [predictors[0].nodes for predictors in fitted._predictors]
    return _forest(nodes, float(np.ravel(fitted._baseline_prediction)[0]))


def _forest(trees: list[NDArray[np.void]], start: float) -> Forest:
    """scikit-learn's nodes as arrays of one width."""
    width = max(len(nodes) for nodes in trees)
    own = np.arange(width)
    links = np.tile(own, (2, len(trees), 1))
    feature = np.zeros((len(trees), width), np.int64)
    threshold = np.full((len(trees), width), np.inf, np.float32)
    value = np.zeros((len(trees), width), np.float32)
    for row, nodes in enumerate(trees):
        inner = np.flatnonzero(~nodes["is_leaf"].astype(bool))
        links[0, row, inner], links[1, row, inner] = nodes["left"][inner], nodes["right"][inner]
        feature[row, inner] = nodes["feature_idx"][inner]
        threshold[row, inner] = nodes["num_threshold"][inner]
        value[row, : len(nodes)] = nodes["value"]
    depth = max(int(nodes["depth"].max()) for nodes in trees)
    return Forest(
        left=torch.from_numpy(links[0]),
        right=torch.from_numpy(links[1]),
        feature=torch.from_numpy(feature),
        threshold=torch.from_numpy(threshold),
        value=torch.from_numpy(value),
        start=torch.tensor([start]),
        depth=torch.tensor([depth]),
    )


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
        odds = self.forest.to(columns.device)(features[places]).view(columns.shape)
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
