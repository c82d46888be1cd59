"""The trained parts of a recipe, and the folder they live in."""

from dexa.model.changes import HIDE, REMOVE, SHOW, LabelChange, applied, of_state
from dexa.model.explaining import explained
from dexa.model.explanation import Explanation
from dexa.model.folder import check_files, save_model
from dexa.model.journal import Journal
from dexa.model.naming import LabelName, named_labels
from dexa.model.new_labels import Choice, addition, renaming
from dexa.model.opening import load_model, open_model
from dexa.model.parts import FUSION, HIDDEN, REMOVED, SHOWN, Model
from dexa.model.scorers import Asked, Scorers, WordScorer, WordScorers

__all__ = [
    "FUSION",
    "HIDDEN",
    "HIDE",
    "REMOVE",
    "REMOVED",
    "SHOW",
    "SHOWN",
    "Asked",
    "Choice",
    "Explanation",
    "Journal",
    "LabelChange",
    "LabelName",
    "Model",
    "Scorers",
    "WordScorer",
    "WordScorers",
    "addition",
    "applied",
    "check_files",
    "explained",
    "load_model",
    "named_labels",
    "of_state",
    "open_model",
    "renaming",
    "save_model",
]
