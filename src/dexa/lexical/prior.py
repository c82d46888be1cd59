"""What all labels share: weights of a label's words by its text, and by the mean of its documents.

`dexa.lexical.fitting` learns how much each is worth. By the same worth a label that comes after
training gets its weights: from its text, and from documents if there are any.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.data.features import GROUPS, width
from dexa.lexical.linear import SparseLinear
from dexa.lexical.support import FAINTEST, WIDEST, Support, find_support

SLIGHT = 0.05
"""Weights below this share of a label's largest are not worth their cost."""


def first_guess() -> NDArray[np.float64]:
    """The prior before anything is learnt: agreement with text and with mean count alike."""
    agreement, none = [10.0] * len(GROUPS), [0.0] * len(GROUPS)
    return np.array([*agreement, *none, *agreement, *none, -5.0, 0.0])


def prior_weights(
    share: NDArray[np.float64], support: Support, groups: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The prior's weights ``[E]`` and bias ``[L]``, by what each kind of agreement is worth."""
    text, mean, rest = np.split(share, [2 * len(GROUPS), 4 * len(GROUPS)])
    often = np.log1p(support.counts)
    kind, by_label = groups[support.features], often[support.labels]
    weights = (text[kind] + text[len(GROUPS) + kind] * by_label) * support.text
    weights += (mean[kind] + mean[len(GROUPS) + kind] * by_label) * support.mean
    return weights, rest[0] + rest[1] * often


def scorer_over(
    support: Support,
    weights: NDArray[np.floating],
    bias: NDArray[np.floating],
    heads: NDArray[np.int64],
    prior: NDArray[np.float64],
) -> SparseLinear:
    """The scorer that has weights ``[E]`` where the support says."""
    kept = (weights.astype(np.float32), support.places.indices, support.places.indptr)
    matrix = csr_array(kept, shape=(len(support.counts), width(support.places)))
    return SparseLinear(matrix, bias.astype(np.float32), heads, prior)


def unseen_labels(
    prior: NDArray[np.float64],
    documents: csr_array,
    texts: csr_array,
    labels: csr_array,
    groups: NDArray[np.int64],
) -> SparseLinear:
    """Weights of labels that were not there when the prior was fitted.

    Args:
        prior: as a fitted `SparseLinear` keeps it.
        documents: features ``[N, V]`` of documents of these labels; there may be none.
        texts: features of their texts ``[n, V]``.
        labels: the true ones of them, ``[N, n]``.
        groups: the group of each feature, ``[V]``.
    """
    support = find_support(documents, texts, labels, widest=WIDEST, faintest=FAINTEST)
    weights, bias = prior_weights(prior, support, groups)
    return scorer_over(support, weights, bias, np.empty(0, np.int64), prior).thinned(SLIGHT)


def weights_of_texts(
    prior: NDArray[np.float64],
    texts: csr_array,
    counts: NDArray[np.integer],
    groups: NDArray[np.int64],
) -> csr_array:
    """What the texts of labels give to their weights, ``[n, V]``.

    Args:
        prior: as a fitted `SparseLinear` keeps it.
        texts: features of the texts, ``[n, V]``.
        counts: documents of each label, ``[n]``.
        groups: the group of each feature, ``[V]``.
    """
    nothing = csr_array((0, len(groups)), dtype=np.float32)
    nobody = csr_array((0, len(counts)), dtype=np.float32)
    support = find_support(nothing, texts, nobody, widest=WIDEST, faintest=FAINTEST)
    support = replace(support, counts=counts.astype(np.float32))
    weights, bias = prior_weights(prior, support, groups)
    return scorer_over(support, weights, bias, np.empty(0, np.int64), prior).weights
