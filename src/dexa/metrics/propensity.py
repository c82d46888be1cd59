"""How likely a true label was to be recorded at all, and the weights that follow.

Jain, Prabhu, Varma: "Extreme Multi-label Loss Functions" (KDD 2016).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.errors import DataError
from dexa.metrics.matrices import relevant, shape_of


def inverse_propensity(train_labels: csr_array, a: float, b: float) -> NDArray[np.float64]:
    """The weight of each label: the rarer in training, the larger.

    ``1 + C (n_l + B)^-A`` with ``C = (ln N - 1) (B + 1)^A``, where ``n_l`` of the N training
    documents have label l. (pyxclib adds up the stored values instead, the same where all are 1.)

    Args:
        train_labels: the true labels of the training documents, ``[N, L]``.
        a: the constant A of the data set, see `propensity_constants`.
        b: the constant B.

    Returns:
        ``[L]``, each at least 1.

    Raises:
        DataError: fewer than 3 documents (C would be negative), or constants that cannot be.
    """
    true = relevant(train_labels, "training labels")
    n_documents, n_labels = shape_of(true)
    counts = np.bincount(true.indices, minlength=n_labels)
    return inverse_propensity_of(counts, n_documents, a, b)


def inverse_propensity_of(
    counts: NDArray[np.integer], n_documents: int, a: float, b: float
) -> NDArray[np.float64]:
    """The same by the number of training documents of each label ``[L]``, of `n_documents`."""
    if n_documents < 3:
        raise DataError(
            f"{n_documents} training documents", expected="at least 3, for propensities"
        )
    if not (0 <= a < math.inf and 0 < b < math.inf):
        raise DataError(f"constants A = {a}, B = {b}", expected="A of at least 0 and B above 0")
    c = (math.log(n_documents) - 1) * (b + 1) ** a
    return 1 + c * (counts + b) ** -a


def propensity_constants(name: str) -> tuple[float, float]:
    """The published constants (A, B) for a data set, by the family in its name.

    Wikipedia 0.5, 0.4; Amazon 0.6, 2.6; all others 0.55, 1.5, to which WikiSeeAlso and Wiki10
    belong despite their names.
    """
    name = name.casefold()
    if "amazon" in name:
        return 0.6, 2.6
    if "wiki" in name and "seealso" not in name and "wiki10" not in name:
        return 0.5, 0.4
    return 0.55, 1.5
