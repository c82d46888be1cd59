"""One-vs-all: a sparse linear classifier a label, over words."""

from dexa.recipe import Recipe
from dexa.recipes.alone import alone
from dexa.types import LINEAR


def ova() -> Recipe:
    """Weights of words for each label, fitted against the wrong labels that score highest."""
    return alone("ova", LINEAR)
