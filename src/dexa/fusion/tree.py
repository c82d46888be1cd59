"""Scores of label search and of classifiers become one (DEXA, section 3, "score fusion").

A decision tree tells from both scores and the label's propensity how likely a candidate is right;
the fused score is ``beta · (tree_weight · p + label search) + classifier``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.fusion.candidates import Candidates, best_of
from dexa.types import CLASSIFIERS, LABEL_SEARCH, NO_LABEL, TopK

_LEAF = -1


@dataclass(frozen=True, eq=False)
class DecisionTree:
    """A binary tree as plain arrays, one entry a node; node 0 is the root.

    Attributes:
        left: int64 ``[M]``, child where the feature is at most the threshold; a leaf has -1.
        right: int64 ``[M]``, the other child.
        feature: int64 ``[M]``, column of the features.
        threshold: float64 ``[M]``.
        probability: float64 ``[M]``, share of right candidates among those that reach the node.
    """

    left: torch.Tensor
    right: torch.Tensor
    feature: torch.Tensor
    threshold: torch.Tensor
    probability: torch.Tensor

    _cells: dict[torch.device, _Cells] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Probability that a candidate is right, float32 ``[C]`` for features ``[C, F]``."""
        if features.device not in self._cells:
            self._cells[features.device] = _cells_of(self, features.shape[1], features.device)
        return self._cells[features.device](features)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The arrays by name."""
        names = ("left", "right", "feature", "threshold", "probability")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, eq=False)
class _Cells:
    """A tree of few features as a table: its thresholds cut each feature into steps.

    Attributes:
        thresholds: float64 of each feature, ascending, ``[T]``.
        probability: float32, what the tree answers in each cell, as many dimensions as features.
    """

    thresholds: list[torch.Tensor]
    probability: torch.Tensor

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        by_feature = features.double().T.contiguous()
        steps = zip(self.thresholds, by_feature, strict=True)
        return self.probability[tuple(torch.searchsorted(cuts, values) for cuts, values in steps)]


def _cells_of(tree: DecisionTree, features: int, device: torch.device) -> _Cells:
    """The table of a tree.

    With three features and depth 7 it has 82,000 cells at most; at any depth 256³, 64 MiB, as
    `fit_tree` splits a feature at 255 places at most.
    """
    inner = tree.left != _LEAF
    cuts = [tree.threshold[inner & (tree.feature == f)].cpu().unique() for f in range(features)]
    table = torch.zeros([len(own) + 1 for own in cuts])
    waiting = [(0, [(0, len(own) + 1) for own in cuts])]
    while waiting:
        node, box = waiting.pop()
        if not inner[node]:
            table[tuple(slice(*span) for span in box)] = tree.probability[node].float()
            continue
        feature = int(tree.feature[node])
        (start, end), threshold = box[feature], tree.threshold[node].cpu()
        middle = 1 + int(torch.searchsorted(cuts[feature], threshold))
        for child, span in ((tree.left, (start, middle)), (tree.right, (middle, end))):
            narrowed = [*box[:feature], span, *box[feature + 1 :]]
            waiting.append((int(child[node]), narrowed))
    return _Cells([own.to(device) for own in cuts], table.to(device))


def constant_tree(probability: float) -> DecisionTree:
    """A tree that answers the same for every candidate."""
    leaf = torch.tensor([_LEAF])
    return DecisionTree(
        leaf,
        leaf.clone(),
        torch.tensor([0]),
        torch.zeros(1).double(),
        torch.tensor([probability]).double(),
    )


def fit_tree(
    features: torch.Tensor, right: torch.Tensor, depth: int, leaf: int, seed: int
) -> DecisionTree:
    """Fit a tree to candidates that are known to be right or wrong.

    Splits are looked for among 255 quantiles of a feature, which takes a tenth of the time that all
    values take. The least squares that they minimise are Gini's impurity for an answer of 0 or 1.

    Args:
        features: ``[C, F]``.
        right: bool ``[C]``.
        depth: of the tree at most.
        leaf: candidates in a leaf at least.
        seed: of the candidates whose quantiles are taken, where there are very many.
    """
    target = right.cpu().numpy()
    if len(target) == 0 or target.all() or not target.any():
        return constant_tree(float(target.mean()) if len(target) else 0.0)
    from sklearn.ensemble import HistGradientBoostingRegressor

    fitted = HistGradientBoostingRegressor(
        learning_rate=1.0,
        max_iter=1,
        max_leaf_nodes=None,  # pyright: ignore[reportArgumentType]
        max_depth=depth,
        min_samples_leaf=leaf,
        early_stopping=False,  # pyright: ignore[reportArgumentType]
        random_state=seed,
    ).fit(features.cpu().numpy(), target.astype(np.float64))
    nodes = fitted._predictors[0][0].nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    mean = float(np.ravel(fitted._baseline_prediction)[0])
    return DecisionTree(
        torch.from_numpy(np.where(is_leaf, _LEAF, nodes["left"].astype(np.int64))),
        torch.from_numpy(np.where(is_leaf, _LEAF, nodes["right"].astype(np.int64))),
        torch.from_numpy(nodes["feature_idx"].astype(np.int64)),
        torch.from_numpy(nodes["num_threshold"].astype(np.float64)),
        torch.from_numpy(np.clip(nodes["value"] + mean, 0.0, 1.0)),
    )


@dataclass(frozen=True, kw_only=True)
class TreeFusion:
    """The fused score ``beta · (tree_weight · tree + label search) + classifier``.

    Attributes:
        tree: fitted on documents that no scorer was trained on.
        tree_weight: of the tree beside label search.
        beta: of both beside the classifier.
        inverse_propensity: float64 ``[L]``.
    """

    tree: DecisionTree
    tree_weight: float
    beta: float
    inverse_propensity: NDArray[np.float64]

    def __call__(self, candidates: Candidates, k: int) -> TopK:
        """The k best candidates of each text; equal scores go to the smaller label id."""
        return best_of(candidates.labels, self._scores(candidates), k)

    def scores(self, candidates: Candidates, columns: torch.Tensor) -> torch.Tensor:
        """Fused scores ``[B, K]`` of the candidates in some columns ``[B, K]`` of each row."""
        some = Candidates(
            labels=candidates.labels.gather(1, columns),
            scores={name: said.gather(1, columns) for name, said in candidates.scores.items()},
        )
        return self._scores(some)

    def _scores(self, candidates: Candidates) -> torch.Tensor:
        labels, scores = candidates.labels, candidates.scores
        propensity = torch.from_numpy(self.inverse_propensity).to(labels.device)
        probability = self.tree(tree_features(candidates, propensity))
        # Fillers score -inf by the classifier alone: beta may be 0, and 0 times infinity is none.
        searched = scores[LABEL_SEARCH].masked_fill(labels == NO_LABEL, 0.0)
        tree = self.tree_weight * probability.view(labels.shape)
        return scores[CLASSIFIERS] + self.beta * (tree + searched)

    def for_rarity(self, label: int) -> float:
        """What a label's fused score has for its rarity alone: nothing, the tree sees it all."""
        del label
        return 0.0

    def tensors(self) -> dict[str, torch.Tensor]:
        """The arrays of the tree by name."""
        return self.tree.tensors()


def tree_features(candidates: Candidates, inverse_propensity: torch.Tensor) -> torch.Tensor:
    """Features ``[B · C, 3]``: classifier, label search, inverse propensity ``[L]``."""
    propensity = inverse_propensity[candidates.labels.clamp(min=0)]
    columns = [candidates.scores[CLASSIFIERS], candidates.scores[LABEL_SEARCH], propensity]
    features = torch.stack([column.float().flatten() for column in columns], dim=1)
    return features.nan_to_num(neginf=-1.0)
