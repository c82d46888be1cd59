"""Nearest neighbours: labels of the training documents that share a text's words."""

from dataclasses import replace

from dexa.recipe import FurtherChoice, Recipe
from dexa.recipes.alone import alone
from dexa.types import WORD_NEIGHBOURS


def knn() -> Recipe:
    """The training documents that share the most words vote."""
    return replace(alone("knn", WORD_NEIGHBOURS), further=FurtherChoice(word_temperature=0.3))
