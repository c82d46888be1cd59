"""Which stage does what a recipe describes."""

from __future__ import annotations

import dataclasses

import torch

from dexa.auxiliary import AuxiliaryBank
from dexa.encoders import TextEncoder
from dexa.index import ExactIndex
from dexa.kernels import chosen_products
from dexa.model import Scorers
from dexa.recipe import Recipe
from dexa.shortlists import Shortlist
from dexa.training.classifier_stage import ClassifierStage
from dexa.training.corpus import Corpus
from dexa.training.encoded import Encoded, encoded
from dexa.training.encoder_stage import EncoderStage
from dexa.training.label_stage import LabelStage
from dexa.training.label_vectors import make_shortlist, smoothed
from dexa.training.loop import Stage
from dexa.training.shortlist_stage import ShortlistStage, Start
from dexa.training.surrogate_stage import SurrogateStage
from dexa.training.tuning import TunedEncoder
from dexa.types import CLASSIFIERS, RERANKER, Silence

_DOCUMENTS_AT_ONCE = 4_096


def make_encoder_stage(
    corpus: Corpus, encoder: TextEncoder, bank: AuxiliaryBank, recipe: Recipe, seed: int
) -> Stage:
    """The stage that trains the encoder on the task of the recipe."""
    if recipe.encoder_stage.task == "labels":
        return LabelStage(corpus, encoder, recipe, seed)
    if recipe.encoder_stage.task == "clusters" and recipe.encoder_stage.epochs:
        return SurrogateStage(corpus, encoder, recipe, seed)
    return EncoderStage(corpus, encoder, bank, recipe, seed)


def make_classifier_stage(
    corpus: Corpus,
    arrays: Encoded,
    trained: tuple[TextEncoder, AuxiliaryBank],
    recipe: Recipe,
    seed: int,
) -> ClassifierStage | ShortlistStage:
    """The stage that trains classifiers against the labels that the recipe names.

    Args:
        corpus: what to train on.
        arrays: vectors of the encoder as it stands.
        trained: encoder and auxiliary vectors, of which the first may be trained further.
        recipe: completed.
        seed: of the run.
    """
    options, device = recipe.classifier_stage, corpus.texts.ids.device
    encoder, bank = trained
    assert recipe.encoder_stage.learning_rate is not None
    rate = options.encoder_share * recipe.encoder_stage.learning_rate
    weights: torch.Tensor | None = arrays.label_vectors
    if options.start == "smoothed":
        weights = smoothed(corpus, arrays.label_vectors, recipe.label_graph, seed)
    if options.compared_with == "batch":
        tuned = TunedEncoder(encoder, device, highest=rate) if rate else None
        return ClassifierStage(corpus, arrays.documents, weights, options, seed, device, tuned)

    def renewed() -> torch.Tensor:
        latest = encoded(corpus, encoder, bank, recipe, None, Silence())
        return shortlist_of(corpus, latest, recipe, seed).lists(latest.documents, corpus.known)

    lists = None
    if options.compared_with == "shortlist" and options.epochs:
        lists = shortlist_of(corpus, arrays, recipe, seed).lists(arrays.documents, corpus.known)
    start = Start(
        documents=arrays.documents,
        weights=None if options.start == "zero" else weights,
        lists=lists,
        renewed=renewed,
        encoder=encoder if rate else None,
        encoder_rate=rate,
    )
    return ShortlistStage(corpus, start, options, seed, device)


def shortlist_of(corpus: Corpus, arrays: Encoded, recipe: Recipe, seed: int) -> Shortlist:
    """The shortlist of a recipe, whose label vectors are smoothed as its classifiers start."""
    vectors = arrays.label_vectors
    if recipe.classifier_stage.start == "smoothed":
        vectors = smoothed(corpus, vectors, recipe.label_graph, seed)
    return make_shortlist(corpus, recipe.shortlist, arrays.documents, vectors, seed)


def make_reranker_stage(
    corpus: Corpus,
    arrays: Encoded,
    scorers: Scorers,
    fresh: TextEncoder,
    recipe: Recipe,
    seed: int,
) -> ShortlistStage:
    """The stage that trains a second encoder on the answers of the first classifiers.

    Args:
        corpus: what to train on.
        arrays: vectors of the first encoder.
        scorers: the first classifiers.
        fresh: the second encoder, as the first was before it was trained.
        recipe: completed.
        seed: of the run.
    """
    choice, device = recipe.reranker, corpus.texts.ids.device
    lists = shortlist_of(corpus, arrays, recipe, seed).lists(arrays.documents, corpus.known)
    lists = _best_by_classifiers(lists, arrays.documents, scorers, choice.length)
    options = dataclasses.replace(
        recipe.classifier_stage,
        compared_with="shortlist",
        loss="bce",
        start="zero",
        epochs=choice.epochs,
        learning_rate=choice.learning_rate,
        shortlist_every=0,
    )
    start = Start(
        documents=arrays.documents,
        weights=None,
        lists=lists,
        renewed=lambda: lists,
        encoder=fresh,
        encoder_rate=choice.learning_rate,
    )
    return ShortlistStage(corpus, start, options, seed, device, "reranker_stage")


def with_reranker(scorers: Scorers, stage: ShortlistStage) -> Scorers:
    """The scorers, and what the stage of the re-ranker has trained."""
    assert stage.tuned.encoder is not None
    return dataclasses.replace(
        scorers,
        dense={**scorers.dense, RERANKER: ExactIndex(stage.trained())},
        heads={**scorers.heads, RERANKER: stage.trained_head()},
        second=stage.tuned.encoder.eval(),
    )


@torch.no_grad()
def _best_by_classifiers(
    lists: torch.Tensor, documents: torch.Tensor, scorers: Scorers, length: int
) -> torch.Tensor:
    """The labels of lists ``[N, S]`` that classifiers score highest, ``[N, length]``."""
    weights = scorers.classifiers.vectors
    parts = [lists.new_empty(0, min(length, lists.shape[1]))]
    for some, vectors in zip(
        lists.split(_DOCUMENTS_AT_ONCE), documents.split(_DOCUMENTS_AT_ONCE), strict=True
    ):
        labels = some.to(weights.device, torch.int64)
        seen = scorers.seen(CLASSIFIERS, vectors.to(weights.device))
        scores = chosen_products(seen, weights, labels)
        best = scores.masked_fill(labels < 0, -torch.inf).topk(parts[0].shape[1], dim=1).indices
        parts.append(labels.gather(1, best).int().cpu())
    return torch.cat(parts)
