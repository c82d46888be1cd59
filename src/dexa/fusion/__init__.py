"""Scores of several scorers become one."""

from dexa.fusion.boosted import (
    BoostedFusion,
    Forest,
    boosted_features,
    constant_forest,
    fit_forest,
    rising_features,
)
from dexa.fusion.calibration import Calibration, fit_calibration
from dexa.fusion.candidates import Candidates, pairs_of, union
from dexa.fusion.shares import shares
from dexa.fusion.single import SingleScorer
from dexa.fusion.tree import DecisionTree, TreeFusion, constant_tree, fit_tree, tree_features

Fusion = TreeFusion | BoostedFusion | SingleScorer

__all__ = [
    "BoostedFusion",
    "Calibration",
    "Candidates",
    "DecisionTree",
    "Forest",
    "Fusion",
    "SingleScorer",
    "TreeFusion",
    "boosted_features",
    "constant_forest",
    "constant_tree",
    "fit_calibration",
    "fit_forest",
    "fit_tree",
    "pairs_of",
    "rising_features",
    "shares",
    "tree_features",
    "union",
]
