"""Search for the labels whose vectors have the highest inner product with a query."""

from dexa.index.choosing import AUTO, KINDS, chosen_kind, load_index, reindexed
from dexa.index.exact import ExactIndex
from dexa.index.graph import FaissIndex
from dexa.index.quantised import PqIndex

__all__ = [
    "AUTO",
    "KINDS",
    "ExactIndex",
    "FaissIndex",
    "PqIndex",
    "chosen_kind",
    "load_index",
    "reindexed",
]
