"""The trained parts of a recipe, and the folder they live in."""

from dexa.model.folder import load_model, save_model
from dexa.model.parts import CLASSIFIERS, FUSION, LABEL_SEARCH, Model, Scorers

__all__ = [
    "CLASSIFIERS",
    "FUSION",
    "LABEL_SEARCH",
    "Model",
    "Scorers",
    "load_model",
    "save_model",
]
