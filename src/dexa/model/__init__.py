"""The trained parts of a recipe, and the folder they live in."""

from dexa.model.folder import check_files, load_model, save_model
from dexa.model.parts import FUSION, Model
from dexa.model.scorers import Asked, Scorers, WordScorers

__all__ = [
    "FUSION",
    "Asked",
    "Model",
    "Scorers",
    "WordScorers",
    "check_files",
    "load_model",
    "save_model",
]
