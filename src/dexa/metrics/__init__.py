"""How good predictions are: pure functions of predictions and the true labels.

`ranking` puts predictions of any form in order, `measures` scores them, `propensity` weighs
rare labels. Figures are fractions; ``[k]`` arrays hold the values for 1 … k.
"""

from dexa.metrics.measures import coverage, ndcg, precision, psndcg, psp, recall
from dexa.metrics.propensity import inverse_propensity, propensity_constants
from dexa.metrics.ranking import Predictions, drop_pairs, to_csr, top_k

__all__ = [
    "Predictions",
    "coverage",
    "drop_pairs",
    "inverse_propensity",
    "ndcg",
    "precision",
    "propensity_constants",
    "psndcg",
    "psp",
    "recall",
    "to_csr",
    "top_k",
]
