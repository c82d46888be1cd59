"""DEXA with scorers that read words and neighbours, fused by boosted trees."""

from dataclasses import replace

from dexa.recipe import EncoderStage, FusionChoice, Recipe
from dexa.recipes.dexa import dexa
from dexa.types import (
    CLASSIFIERS,
    FREQUENT,
    LABEL_SEARCH,
    LABEL_WORDS,
    LINEAR,
    MENTIONS,
    NEIGHBOURS,
    WORD_NEIGHBOURS,
)

_SCORERS = (
    LABEL_SEARCH,
    CLASSIFIERS,
    NEIGHBOURS,
    LABEL_WORDS,
    LINEAR,
    FREQUENT,
    WORD_NEIGHBOURS,
    MENTIONS,
)


def dexa_plus() -> Recipe:
    """What the dense scorers miss, words find: eight scorers, fused by boosted trees."""
    fusion = FusionChoice(scorers=_SCORERS, method="boosted", candidates=50, tail_weight=0.3)
    stage = EncoderStage(loss="softmax", rarity=0.2)
    return replace(dexa(), name="dexa-plus", encoder_stage=stage, fusion=fusion)
