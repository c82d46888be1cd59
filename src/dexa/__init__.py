"""Extreme classification with label texts: DEXA and the methods around it.

Names load when they are first used, so that ``import dexa`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dexa import data, errors, metrics, recipes
    from dexa.data import Dataset, load_dataset
    from dexa.errors import DexaError
    from dexa.estimator import Dexa
    from dexa.evaluation import Evaluation
    from dexa.recipe import Recipe
    from dexa.types import TopK

_HOMES = {
    "Dataset": "dexa.data",
    "Dexa": "dexa.estimator",
    "DexaError": "dexa.errors",
    "Evaluation": "dexa.evaluation",
    "Recipe": "dexa.recipe",
    "TopK": "dexa.types",
    "load_dataset": "dexa.data",
}
_MODULES = ("data", "errors", "metrics", "recipes")

__all__ = [
    "Dataset",
    "Dexa",
    "DexaError",
    "Evaluation",
    "Recipe",
    "TopK",
    "data",
    "errors",
    "load_dataset",
    "metrics",
    "recipes",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"dexa.{name}")
    raise AttributeError(f"module 'dexa' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
