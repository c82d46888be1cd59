"""Nearest neighbours: labels of the training documents that share a text's words."""

from dataclasses import replace

from dexa.recipe import FurtherChoice, Recipe
from dexa.recipes.alone import alone
from dexa.types import NEIGHBOURS


def knn() -> Recipe:
    """The nearest training documents vote; with `encoder.name` set, by its untrained vectors."""
    return replace(alone("knn", NEIGHBOURS), further=FurtherChoice(temperature=0.3))
