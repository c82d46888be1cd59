"""Scores of several scorers become one."""

from dexa.fusion.blend import BlendFusion, fit_weights, scaled_scores
from dexa.fusion.boosted import BoostedFusion, boosted_features, rising_features
from dexa.fusion.calibration import Calibration, fit_calibration
from dexa.fusion.candidates import Candidates, pairs_of, union
from dexa.fusion.forest import Forest, constant_forest, fit_forest
from dexa.fusion.shares import shares
from dexa.fusion.single import SingleScorer
from dexa.fusion.tree import DecisionTree, TreeFusion, constant_tree, fit_tree, tree_features

Fusion = TreeFusion | BoostedFusion | BlendFusion | SingleScorer

__all__ = [
    "BlendFusion",
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
    "fit_weights",
    "pairs_of",
    "rising_features",
    "scaled_scores",
    "shares",
    "tree_features",
    "union",
]
