"""The fusion of a model folder: its arrays, and what its recipe says of them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.fusion import (
    BlendFusion,
    BoostedFusion,
    DecisionTree,
    Forest,
    Fusion,
    SingleScorer,
    TreeFusion,
)
from dexa.recipe import Recipe


def opened_fusion(
    recipe: Recipe, arrays: dict[str, torch.Tensor], inverse_propensity: NDArray[np.float64]
) -> Fusion:
    """The fusion of a recipe, from its arrays by name."""
    choice = recipe.fusion
    if choice.method == "single":
        return SingleScorer(scorer=choice.scorers[0], inverse_propensity=inverse_propensity)
    if choice.method == "blend":
        return BlendFusion(
            weights=arrays["weights"],
            scorers=choice.scorers,
            logits=recipe.classifier_stage.loss == "bce",
            sharpness=recipe.label_batches.sharpness,
            inverse_propensity=inverse_propensity,
        )
    if choice.method == "tree":
        return TreeFusion(
            tree=DecisionTree(**arrays),
            tree_weight=choice.tree_weight,
            beta=choice.beta,
            inverse_propensity=inverse_propensity,
        )
    return BoostedFusion(
        forest=Forest(**arrays),
        scorers=choice.scorers,
        depth=choice.candidates,
        tail_weight=choice.tail_weight,
        inverse_propensity=inverse_propensity,
    )
