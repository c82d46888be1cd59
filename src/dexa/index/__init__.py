"""Search for the labels whose vectors have the highest inner product with a query."""

from dexa.index.approximate import FaissIndex
from dexa.index.choosing import AUTO, KINDS, chosen_kind, load_index, reindexed
from dexa.index.exact import ExactIndex

__all__ = ["AUTO", "KINDS", "ExactIndex", "FaissIndex", "chosen_kind", "load_index", "reindexed"]
