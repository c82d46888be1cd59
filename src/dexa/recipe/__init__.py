"""Recipes: a method as a frozen description of its parts and stages."""

from dexa.recipe.fields import (
    AuxiliaryChoice,
    ClassifierStage,
    EncoderChoice,
    EncoderStage,
    Recipe,
)
from dexa.recipe.label_fields import (
    LabelBatches,
    LabelClusters,
    LabelGraph,
    RerankerChoice,
    ShortlistChoice,
)
from dexa.recipe.rules import Size, completed, label_draws
from dexa.recipe.scoring_fields import FurtherChoice, FusionChoice, IndexChoice

__all__ = [
    "AuxiliaryChoice",
    "ClassifierStage",
    "EncoderChoice",
    "EncoderStage",
    "FurtherChoice",
    "FusionChoice",
    "IndexChoice",
    "LabelBatches",
    "LabelClusters",
    "LabelGraph",
    "Recipe",
    "RerankerChoice",
    "ShortlistChoice",
    "Size",
    "completed",
    "label_draws",
]
