"""Gradient-boosted trees as plain arrays, and how they are asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

_AT_ONCE = {"cpu": 1 << 11, "cuda": 1 << 16}  # candidates; those of a CPU stay in its cache
_LEAVES = 31  # of a tree: a bit each in an int32
_RIDGE = 30.0  # on the values of leaves: with few documents, trees believe too much without
_EXPONENT, _BIAS = 23, 127  # where the exponent of a float32 stands, and what it is of 1


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees as plain arrays ``[R, M]``; a leaf points to itself, and its threshold is infinite.

    Attributes:
        left: int64, where a value goes that is at most the threshold.
        right: int64, where others go.
        feature: int64, column of the features.
        threshold: float32.
        value: float32, what a leaf adds.
        start: float32 ``[1]``, what all candidates begin with.
    """

    left: torch.Tensor
    right: torch.Tensor
    feature: torch.Tensor
    threshold: torch.Tensor
    value: torch.Tensor
    start: torch.Tensor
    _masks: dict[torch.device, _Masks] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """The sum of the leaves a candidate falls into, float32 ``[C]`` for ``[C, F]``."""
        device = features.device
        if device not in self._masks:
            self._masks[device] = _masks_of(self, device)
        parts = features.split(_AT_ONCE[device.type])
        return torch.cat([self._masks[device](part) for part in parts])

    def tensors(self) -> dict[str, torch.Tensor]:
        """The arrays by name."""
        names = ("left", "right", "feature", "threshold", "value", "start")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, eq=False)
class _Masks:
    """Which leaves a value rules out: QuickScorer (Lucchese et al., SIGIR 2015).

    The leaves of a tree are bits of a number, the leftmost first. A value above the threshold of a
    node rules out the leaves to the left of it. Of those that no value rules out, the leftmost is
    the one that a candidate falls into.

    Attributes:
        columns: the features that are looked at.
        thresholds: of each, ascending, ``[T]``.
        left_over: of each, int32 ``[T + 1, R]``: the leaves that are left of a value above t of
            its thresholds.
        all_leaves: int32 ``[R]``.
        values: float32 ``[R · (_LEAVES + 1)]``, of the leaves from left to right.
        start: float32 ``[1]``.
    """

    columns: list[int]
    thresholds: list[torch.Tensor]
    left_over: list[torch.Tensor]
    all_leaves: torch.Tensor
    values: torch.Tensor
    start: torch.Tensor

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """What `Forest` says of candidates."""
        trees = len(self.all_leaves)
        left = self.all_leaves.repeat(len(features), 1)
        by_column = features.T.contiguous()
        for column, thresholds, masks in zip(
            self.columns, self.thresholds, self.left_over, strict=True
        ):
            above = torch.searchsorted(thresholds, by_column[column])
            left &= masks.index_select(0, above)
        leftmost = (left & -left).float().view(torch.int32)
        places = (leftmost >> _EXPONENT) - _BIAS
        places += torch.arange(trees, dtype=torch.int32, device=left.device) * (_LEAVES + 1)
        values = self.values.index_select(0, places.flatten())
        return values.view(len(features), trees).sum(dim=1) + self.start


def _masks_of(forest: Forest, device: torch.device) -> _Masks:
    trees = len(forest.left)
    left, right, value = (
        array.cpu().tolist() for array in (forest.left, forest.right, forest.value)
    )
    feature, threshold = forest.feature.cpu().numpy(), forest.threshold.cpu().numpy()
    all_leaves = np.zeros(trees, np.int32)
    values = np.zeros((trees, _LEAVES + 1), np.float32)
    inner: list[tuple[int, int, int]] = []
    for tree in range(trees):
        order: list[int] = []
        inner += [(tree, *found) for found in _rule_outs(left[tree], right[tree], 0, order)]
        all_leaves[tree] = (1 << len(order)) - 1
        values[tree, : len(order)] = [value[tree][leaf] for leaf in order]
    tree_of, node, ruled_out = np.array(inner, np.int64).reshape(-1, 3).T
    columns, of_column = np.unique(feature[tree_of, node], return_inverse=True)
    thresholds, left_over = [], []
    for number in range(len(columns)):
        here = np.flatnonzero(of_column == number)
        steps, step = np.unique(threshold[tree_of[here], node[here]], return_inverse=True)
        masks = np.tile(all_leaves, (len(steps) + 1, 1))
        kept = ~ruled_out[here].astype(np.int32)
        np.bitwise_and.at(masks, (step + 1, tree_of[here]), kept)
        masks = np.bitwise_and.accumulate(masks, axis=0)
        thresholds.append(torch.from_numpy(steps).to(device))
        left_over.append(torch.from_numpy(masks).to(device))
    return _Masks(
        columns=columns.tolist(),
        thresholds=thresholds,
        left_over=left_over,
        all_leaves=torch.from_numpy(all_leaves).to(device),
        values=torch.from_numpy(values).flatten().to(device),
        start=forest.start.to(device),
    )


def _rule_outs(
    left: list[int], right: list[int], node: int, order: list[int]
) -> Iterator[tuple[int, int]]:
    """The inner nodes from a node on, each with the leaves to the left of it as bits.

    Args:
        left: of a tree, where a value goes that is at most the threshold.
        right: where others go.
        node: where to begin.
        order: leaves that were met, from left to right; more are added.
    """
    if left[node] == node:
        order.append(node)
        return
    first = len(order)
    yield from _rule_outs(left, right, left[node], order)
    yield node, (1 << len(order)) - (1 << first)
    yield from _rule_outs(left, right, right[node], order)


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
    return Forest(
        left=torch.from_numpy(links[0]),
        right=torch.from_numpy(links[1]),
        feature=torch.from_numpy(feature),
        threshold=torch.from_numpy(threshold),
        value=torch.from_numpy(value),
        start=torch.tensor([start]),
    )
