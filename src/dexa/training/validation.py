"""Figures on held-out documents, and the fusion fitted to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from dexa import metrics
from dexa.auxiliary import AuxiliaryBank
from dexa.encoders import TextEncoder, encode
from dexa.evaluation.tables import right_answers
from dexa.fusion import (
    BlendFusion,
    BoostedFusion,
    Calibration,
    Candidates,
    Fusion,
    SingleScorer,
    TreeFusion,
    boosted_features,
    fit_calibration,
    fit_forest,
    fit_tree,
    fit_weights,
    pairs_of,
    rising_features,
    scaled_scores,
    tree_features,
)
from dexa.index import ExactIndex
from dexa.model import Asked
from dexa.recipe import Recipe
from dexa.training.corpus import Corpus
from dexa.training.devices import precision
from dexa.types import NO_LABEL, TopK

_DEPTH = 20
_FOLDS = 3


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


def label_search_on_the_way(
    epoch: int,
    epochs: int,
    times: int,
    corpus: Corpus,
    encoder: TextEncoder,
    bank: AuxiliaryBank | None,
) -> dict[str, float]:
    """`label_search_figures` after some epochs of a stage; nothing after others.

    Args:
        epoch: that is over, counted from 0.
        epochs: of the stage.
        times: how often the stage is validated.
        corpus: with or without held-out documents.
        encoder: as it stands.
        bank: auxiliary vectors; None where there are none.
    """
    if not times or (epoch + 1) % max(1, epochs // times) or not len(corpus.held_out):
        return {}
    with precision(corpus.texts.ids.device):
        labels = encode(encoder, corpus.label_tokens())
        documents = encode(encoder, corpus.held_out)
    return label_search_figures(corpus, documents, bank.added_to(labels) if bank else labels)


def fit_fusion(
    corpus: Corpus,
    asked: Asked,
    recipe: Recipe,
    propensity: tuple[float, float],
    seed: int,
) -> tuple[Fusion, Calibration | None]:
    """The fusion of the scorers, fitted on documents that none was trained on, and its calibration.

    Args:
        corpus: whose held-out part is used; without one the trees tell nothing.
        asked: the held-out documents, put to all scorers.
        recipe: scorers, method, candidates.
        propensity: constants A and B.
        seed: of the trees.
    """
    choice = recipe.fusion
    found = asked.best(choice.candidates)
    candidates = asked.candidates({name: found[name] for name in choice.scorers})
    rarity = metrics.inverse_propensity(corpus.labels, *propensity)
    lessons = lessons_of(corpus, candidates)
    everyone = torch.arange(len(candidates.labels))
    return (
        _fitted(lessons, everyone, recipe, rarity, seed),
        _calibrated(lessons, corpus, recipe, rarity, seed),
    )


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What a fusion is fitted to.

    Attributes:
        candidates: of V held-out documents, C each.
        right: bool ``[V · C]``, which are true.
        count: bool ``[V · C]``, which are to be learnt from.
    """

    candidates: Candidates
    right: torch.Tensor
    count: torch.Tensor

    def of(self, documents: torch.Tensor) -> Lessons:
        """Those of some documents."""
        shape = self.candidates.labels.shape
        right, count = (part.view(shape)[documents].flatten() for part in (self.right, self.count))
        return Lessons(candidates=self.candidates.rows(documents), right=right, count=count)


def lessons_of(corpus: Corpus, candidates: Candidates) -> Lessons:
    """What the held-out documents teach.

    Frequencies are counted without them, and labels that have no other documents do not count:
    that a rare label counts one document more would tell the trees that it is the label of this
    one.
    """
    labels = candidates.labels.flatten().cpu().numpy()
    # A filtered pair is no lesson, but stands among the candidates as it will when texts are asked.
    filtered = candidates.are_in(corpus.held_out_filter)
    return Lessons(
        candidates=candidates,
        right=torch.from_numpy(candidates.are_in(pairs_of(corpus.held_out_labels))),
        count=torch.from_numpy((labels != NO_LABEL) & (corpus.frequency[labels] > 0) & ~filtered),
    )


def _fitted(
    lessons: Lessons,
    documents: torch.Tensor,
    recipe: Recipe,
    inverse_propensity: NDArray[np.float64],
    seed: int,
) -> Fusion:
    """The fusion that some of the held-out documents teach."""
    choice = recipe.fusion
    if choice.method == "single":
        return SingleScorer(scorer=choice.scorers[0], inverse_propensity=inverse_propensity)
    lessons = lessons.of(documents)
    if choice.method == "blend":
        return _blended(lessons, recipe, inverse_propensity)
    candidates, count, right = lessons.candidates, lessons.count, lessons.right[lessons.count]
    if choice.method == "tree":
        rarity = torch.from_numpy(inverse_propensity).to(candidates.labels.device)
        features = tree_features(candidates, rarity).cpu()[count]
        return TreeFusion(
            tree=fit_tree(features, right, choice.depth, choice.leaf, seed),
            tree_weight=choice.tree_weight,
            beta=choice.beta,
            inverse_propensity=inverse_propensity,
        )
    features = boosted_features(
        candidates, choice.scorers, inverse_propensity, choice.candidates
    ).cpu()[count]
    rising = rising_features(choice.scorers)
    return BoostedFusion(
        forest=fit_forest(features, right, rising, trees=choice.trees, leaf=choice.leaf, seed=seed),
        scorers=choice.scorers,
        depth=choice.candidates,
        tail_weight=choice.tail_weight,
        inverse_propensity=inverse_propensity,
    )


def _calibrated(
    lessons: Lessons,
    corpus: Corpus,
    recipe: Recipe,
    inverse_propensity: NDArray[np.float64],
    seed: int,
) -> Calibration | None:
    """What fused scores are worth, by fusions that were fitted without the documents they score.

    A fusion is surer of the documents it was fitted on than of others: a third of them at a time
    is scored by one that saw the other two.
    """
    fold = torch.arange(len(lessons.candidates.labels)) % _FOLDS
    order, parts = [], []
    for part in range(_FOLDS):
        inside = (fold == part).nonzero()[:, 0]
        fusion = _fitted(lessons, (fold != part).nonzero()[:, 0], recipe, inverse_propensity, seed)
        order.append(inside.numpy())
        parts.append(fusion(lessons.candidates.rows(inside), _DEPTH))
    back = np.argsort(np.concatenate(order))
    top = TopK(
        labels=np.concatenate([part.labels for part in parts])[back],
        scores=np.concatenate([part.scores for part in parts])[back],
    )
    top = metrics.drop_pairs(top, corpus.held_out_filter)
    answered = top.labels != NO_LABEL
    return fit_calibration(
        top.scores[answered], right_answers(top, corpus.held_out_labels)[answered]
    )


def _blended(
    lessons: Lessons, recipe: Recipe, inverse_propensity: NDArray[np.float64]
) -> BlendFusion:
    """The blend that held-out documents teach; what is no lesson counts as nothing."""
    scorers, logits = recipe.fusion.scorers, recipe.classifier_stage.loss == "bce"
    sharpness = recipe.label_batches.sharpness
    scaled = scaled_scores(lessons.candidates, scorers, logits=logits, sharpness=sharpness)
    shape, device = lessons.candidates.labels.shape, scaled.device
    count, right = (part.view(shape).to(device) for part in (lessons.count, lessons.right))
    return BlendFusion(
        weights=fit_weights(scaled * count, right & count),
        scorers=scorers,
        logits=logits,
        sharpness=sharpness,
        inverse_propensity=inverse_propensity,
    )
