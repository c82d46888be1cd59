"""Search for the labels whose vectors have the highest inner product with a query."""

from dexa.index.exact import ExactIndex

__all__ = ["ExactIndex"]
