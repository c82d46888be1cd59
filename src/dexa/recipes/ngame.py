"""NGAME: Negative mining-aware mini-batching for extreme classification (WSDM 2023)."""

from dataclasses import replace

from dexa.recipe import AuxiliaryChoice, Recipe
from dexa.recipes.dexa import dexa


def ngame() -> Recipe:
    """DEXA without auxiliary vectors: a label is the encoding of its text."""
    return replace(dexa(), name="ngame", auxiliary=AuxiliaryChoice(shared_vectors=0, head_labels=0))
