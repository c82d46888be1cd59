"""Scorers that read words: label texts, titles said in full, and linear weights.

`TextFeatures` of `dexa.data` turns texts into sparse vectors. `LabelSearch`, `Bm25`, `Mentions` and
`SparseLinear` (fitted by `LinearFit`) answer with *opinions*: a float32 `csr_array` ``[B, L]`` of
positive scores, where a label without an entry scores 0. The best of them are
`dexa.metrics.top_k`, the scores of labels that others proposed `dexa.metrics.chosen`. `WordIndex`
searches documents, for votes.
"""

from dexa.data.features import GROUPS, TextFeatures
from dexa.lexical.bm25 import Bm25
from dexa.lexical.documents import WordIndex, centroids
from dexa.lexical.fitting import LinearFit
from dexa.lexical.frequent import FrequentLabels
from dexa.lexical.label_text import LabelSearch
from dexa.lexical.linear import SparseLinear
from dexa.lexical.mentions import Mentions
from dexa.lexical.prior import first_guess, unseen_labels, weights_of_texts
from dexa.lexical.rows import with_values

__all__ = [
    "GROUPS",
    "Bm25",
    "FrequentLabels",
    "LabelSearch",
    "LinearFit",
    "Mentions",
    "SparseLinear",
    "TextFeatures",
    "WordIndex",
    "centroids",
    "first_guess",
    "unseen_labels",
    "weights_of_texts",
    "with_values",
]
