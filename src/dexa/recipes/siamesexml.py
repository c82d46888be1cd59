"""SiameseXML (ICML 2021): a siamese encoder of documents and labels, then classifiers."""

from dataclasses import replace

from dexa.recipe import (
    AuxiliaryChoice,
    ClassifierStage,
    EncoderChoice,
    EncoderStage,
    FusionChoice,
    Recipe,
)
from dexa.types import CLASSIFIERS, LABEL_SEARCH, SHORTLIST


def siamesexml() -> Recipe:
    """Batches of labels, classifiers that start at graph-smoothed label vectors, shortlists."""
    return Recipe(
        name="siamesexml",
        encoder=EncoderChoice(name="sparse", activation="gelu"),
        auxiliary=AuxiliaryChoice(shared_vectors=0, head_labels=0),
        encoder_stage=EncoderStage(task="labels"),
        classifier_stage=ClassifierStage(
            start="smoothed",
            compared_with="shortlist",
            loss="prob",
            own_block=True,
            positives=20,
            batch_size=256,
            learning_rate=2e-4,
        ),
        fusion=FusionChoice(scorers=(CLASSIFIERS, SHORTLIST, LABEL_SEARCH), method="blend"),
    )


def siamesexml_joint() -> Recipe:
    """SiameseXML++: the encoder follows the classifiers, at a tenth of its own rate."""
    recipe = siamesexml()
    stage = replace(recipe.classifier_stage, encoder_share=0.1)
    return replace(recipe, name="siamesexml++", classifier_stage=stage)
