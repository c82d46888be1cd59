"""Figures on held-out documents, and the fusion fitted to them."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from dexa import metrics
from dexa.fusion import TreeFusion, constant_tree, fit_tree
from dexa.index import ExactIndex
from dexa.model import Scorers
from dexa.recipe import FusionChoice
from dexa.training.corpus import Corpus
from dexa.types import NO_LABEL

_DEPTH = 20


def label_search_figures(
    corpus: Corpus, documents: torch.Tensor, label_vectors: torch.Tensor
) -> dict[str, float]:
    """P@1, P@5 and R@10 of label search on the held-out documents, in percent."""
    found = ExactIndex(F.normalize(label_vectors, dim=1)).search(documents, _DEPTH)
    found = metrics.drop_pairs(found, corpus.held_out_filter)
    precision = metrics.precision(found, corpus.held_out_labels, k=5)
    recall = metrics.recall(found, corpus.held_out_labels, k=10)
    figures = {"P@1": precision[0], "P@5": precision[4], "R@10": recall[9]}
    return {name: round(100 * float(value), 4) for name, value in figures.items()}


def fit_fusion(
    corpus: Corpus,
    documents: torch.Tensor,
    scorers: Scorers,
    choice: FusionChoice,
    propensity: tuple[float, float],
    seed: int,
) -> TreeFusion:
    """The fusion of both scorers, fitted on documents that neither was trained on.

    Frequencies are counted without the held-out documents, and labels that have no other
    documents are left out: that a rare label counts one document more would tell the tree that
    it is the label of this one.

    Args:
        corpus: whose held-out part is used; without one the tree answers 0.
        documents: unit vectors of the held-out documents, ``[V, D]``.
        scorers: trained.
        choice: candidates, depth, weights.
        propensity: constants A and B.
        seed: of the tree.
    """
    tree = constant_tree(0.0)
    inverse_propensity = metrics.inverse_propensity(corpus.labels, *propensity)
    if len(documents):
        found = {
            name: metrics.drop_pairs(top, corpus.held_out_filter)
            for name, top in scorers.search(documents, choice.candidates).items()
        }
        candidates = scorers.candidates(documents, found)
        labels = candidates.labels.flatten().cpu().numpy()
        seen = torch.from_numpy((labels != NO_LABEL) & (corpus.frequency[labels] > 0))
        device = candidates.labels.device
        features = candidates.features(torch.from_numpy(inverse_propensity).to(device)).cpu()
        right = torch.from_numpy(candidates.are_true(corpus.held_out_labels))
        tree = fit_tree(features[seen], right[seen], choice.depth, choice.leaf, seed)
    return TreeFusion(
        tree=tree,
        tree_weight=choice.tree_weight,
        beta=choice.beta,
        inverse_propensity=inverse_propensity,
    )
