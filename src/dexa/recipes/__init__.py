"""The methods, one module each; a recipe only picks parts."""

from dexa.recipes.bm25 import bm25
from dexa.recipes.centroid import centroid
from dexa.recipes.dexa import dexa
from dexa.recipes.dexa_plus import dexa_plus
from dexa.recipes.knn import knn
from dexa.recipes.ngame import ngame
from dexa.recipes.ova import ova

__all__ = ["bm25", "centroid", "dexa", "dexa_plus", "knn", "ngame", "ova"]
