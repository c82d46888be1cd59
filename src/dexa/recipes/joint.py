"""NGAME++ and DEXA++: the encoder is trained on, together with the classifiers."""

from dataclasses import replace

from dexa.recipe import Recipe
from dexa.recipes.dexa import dexa
from dexa.recipes.ngame import ngame


def dexa_joint() -> Recipe:
    """DEXA++: DEXA whose encoder follows its classifiers, at a tenth of its own rate."""
    return _joint(dexa())


def ngame_joint() -> Recipe:
    """NGAME++: NGAME whose encoder follows its classifiers, at a tenth of its own rate."""
    return _joint(ngame())


def _joint(recipe: Recipe) -> Recipe:
    stage = replace(recipe.classifier_stage, encoder_share=0.1)
    return replace(recipe, name=f"{recipe.name}++", classifier_stage=stage)
