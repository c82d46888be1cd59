"""The published methods, one module each; a recipe only picks parts."""

from dexa.recipes.dexa import dexa
from dexa.recipes.ngame import ngame

__all__ = ["dexa", "ngame"]
