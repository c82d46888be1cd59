"""The methods, one module each; a recipe only picks parts."""

from dexa.recipes.dexa import dexa
from dexa.recipes.dexa_plus import dexa_plus
from dexa.recipes.ngame import ngame

__all__ = ["dexa", "dexa_plus", "ngame"]
