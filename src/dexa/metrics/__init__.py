"""How good predictions are: pure functions of predictions and the true labels.

`ranking` puts predictions of any form in order; `measures`, `propensity_scored` and `label_sets`
score them; `per_document` and `significance` say whether two systems differ. Figures are
fractions; ``[k]`` arrays hold the values for 1 … k.
"""

from dexa.metrics.answers import chosen, drop_pairs, to_csr
from dexa.metrics.comparison import Compared, compare
from dexa.metrics.label_sets import coverage, jaccard, macro_f1, micro_f1
from dexa.metrics.measures import (
    abandonment,
    auc,
    evaluate,
    hits,
    micro_recall,
    micro_recall_at_truth,
    ndcg,
    precision,
    recall,
    recall_at_truth,
)
from dexa.metrics.per_document import PerDocument
from dexa.metrics.propensity import (
    inverse_propensity,
    inverse_propensity_of,
    propensity_constants,
)
from dexa.metrics.propensity_scored import ps_recall, psndcg, psp
from dexa.metrics.ranking import Predictions, top_k
from dexa.metrics.significance import Bootstrap, paired_bootstrap, paired_randomisation

__all__ = [
    "Bootstrap",
    "Compared",
    "PerDocument",
    "Predictions",
    "abandonment",
    "auc",
    "chosen",
    "compare",
    "coverage",
    "drop_pairs",
    "evaluate",
    "hits",
    "inverse_propensity",
    "inverse_propensity_of",
    "jaccard",
    "macro_f1",
    "micro_f1",
    "micro_recall",
    "micro_recall_at_truth",
    "ndcg",
    "paired_bootstrap",
    "paired_randomisation",
    "precision",
    "propensity_constants",
    "ps_recall",
    "psndcg",
    "psp",
    "recall",
    "recall_at_truth",
    "to_csr",
    "top_k",
]
