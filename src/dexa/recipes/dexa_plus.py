"""A siamese encoder on batches of labels, and scorers that read words, fused by boosted trees."""

from dataclasses import replace

from dexa.recipe import AuxiliaryChoice, EncoderStage, FusionChoice, LabelBatches, Recipe
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
    return replace(
        dexa(),
        name="dexa-plus",
        auxiliary=AuxiliaryChoice(shared_vectors=0, head_labels=0),
        encoder_stage=EncoderStage(task="labels", loss="softmax"),
        label_batches=LabelBatches(mixed=0.0),
        fusion=fusion,
    )
