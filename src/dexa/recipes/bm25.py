"""BM25 over label texts."""

from dexa.recipe import Recipe
from dexa.recipes.alone import alone
from dexa.types import BM25


def bm25() -> Recipe:
    """Label texts that share words with a text: no document is learnt from."""
    return alone("bm25", BM25)
