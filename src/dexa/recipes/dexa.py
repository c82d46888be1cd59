"""DEXA: Deep Encoders with Auxiliary Parameters for Extreme Classification (KDD 2023)."""

from dexa.recipe import Recipe


def dexa() -> Recipe:
    """NGAME's siamese encoder with auxiliary vectors on the labels, classifiers, fusion."""
    return Recipe(name="dexa")
