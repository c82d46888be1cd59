"""The methods, one module each; a recipe only picks parts."""

from dexa.recipes.bm25 import bm25
from dexa.recipes.centroid import centroid
from dexa.recipes.deepxml import deepxml, deepxml_anns, deepxml_ova
from dexa.recipes.dexa import dexa
from dexa.recipes.dexa_plus import dexa_plus
from dexa.recipes.joint import dexa_joint, ngame_joint
from dexa.recipes.knn import knn
from dexa.recipes.ngame import ngame
from dexa.recipes.ova import ova
from dexa.recipes.siamesexml import siamesexml, siamesexml_joint

__all__ = [
    "bm25",
    "centroid",
    "deepxml",
    "deepxml_anns",
    "deepxml_ova",
    "dexa",
    "dexa_joint",
    "dexa_plus",
    "knn",
    "ngame",
    "ngame_joint",
    "ova",
    "siamesexml",
    "siamesexml_joint",
]
