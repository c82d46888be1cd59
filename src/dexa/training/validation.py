"""Figures on held-out documents, and the fusion fitted to them."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from dexa import metrics
from dexa.fusion import (
    BoostedFusion,
    Candidates,
    TreeFusion,
    boosted_features,
    fit_forest,
    fit_tree,
    pairs_of,
    rising_features,
    tree_features,
)
from dexa.index import ExactIndex
from dexa.model import Asked
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
    asked: Asked,
    choice: FusionChoice,
    propensity: tuple[float, float],
    seed: int,
) -> TreeFusion | BoostedFusion:
    """The fusion of the scorers, fitted on documents that none was trained on.

    Args:
        corpus: whose held-out part is used; without one the trees tell nothing.
        asked: the held-out documents, put to all scorers.
        choice: scorers, method, candidates.
        propensity: constants A and B.
        seed: of the trees.
    """
    inverse_propensity = metrics.inverse_propensity(corpus.labels, *propensity)
    found = asked.best(choice.candidates)
    candidates = asked.candidates({name: found[name] for name in choice.scorers})
    seen, right = lessons(corpus, candidates)
    rarity = torch.from_numpy(inverse_propensity).to(candidates.labels.device)
    if choice.method == "tree":
        features = tree_features(candidates, rarity).cpu()[seen]
        return TreeFusion(
            tree=fit_tree(features, right, choice.depth, choice.leaf, seed),
            tree_weight=choice.tree_weight,
            beta=choice.beta,
            inverse_propensity=inverse_propensity,
        )
    features = boosted_features(
        candidates, choice.scorers, rarity.log().float(), choice.candidates
    ).cpu()[seen]
    rising = rising_features(choice.scorers)
    return BoostedFusion(
        forest=fit_forest(features, right, rising, trees=choice.trees, leaf=choice.leaf, seed=seed),
        scorers=choice.scorers,
        depth=choice.candidates,
        tail_weight=choice.tail_weight,
        inverse_propensity=inverse_propensity,
    )


def lessons(corpus: Corpus, candidates: Candidates) -> tuple[torch.Tensor, torch.Tensor]:
    """Which candidates of the held-out documents the fusion learns from, and which are right.

    Frequencies are counted without the held-out documents, and labels that have no other
    documents are left out: that a rare label counts one document more would tell the trees that
    it is the label of this one.

    Returns:
        bool ``[B · C]``, and of those that are true bool whether they are right.
    """
    labels = candidates.labels.flatten().cpu().numpy()
    # A filtered pair is no lesson, but stands among the candidates as it will when texts are asked.
    filtered = candidates.are_in(corpus.held_out_filter)
    seen = torch.from_numpy((labels != NO_LABEL) & (corpus.frequency[labels] > 0) & ~filtered)
    right = torch.from_numpy(candidates.are_in(pairs_of(corpus.held_out_labels)))[seen]
    return seen, right
