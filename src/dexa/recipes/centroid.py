"""Label centroids: the mean of a label's text and of its documents, over words."""

from dexa.recipe import Recipe
from dexa.recipes.alone import alone
from dexa.types import CENTROIDS


def centroid() -> Recipe:
    """The cosine between a text and the mean of what belongs to a label."""
    return alone("centroid", CENTROIDS)
