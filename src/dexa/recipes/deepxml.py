"""DeepXML (WSDM 2021): extreme classification by way of a surrogate task. Here as Astec."""

from dataclasses import replace

from dexa.recipe import (
    AuxiliaryChoice,
    ClassifierStage,
    EncoderChoice,
    EncoderStage,
    FusionChoice,
    LabelGraph,
    Recipe,
    ShortlistChoice,
)
from dexa.types import CLASSIFIERS, SHORTLIST


def deepxml() -> Recipe:
    """An encoder that learns clusters of labels, then classifiers on shortlists.

    A label is the documents it is given to: its text is not read.
    """
    return Recipe(
        name="deepxml",
        encoder=EncoderChoice(name="sparse", dropout=0.5, label_side="centroid"),
        auxiliary=AuxiliaryChoice(shared_vectors=0, head_labels=0),
        encoder_stage=EncoderStage(task="clusters", batch_size=256, validations=0),
        label_graph=LabelGraph(steps=50, restart=0.2),
        shortlist=ShortlistChoice(sources=("centroids",), votes_weight=0.075),
        classifier_stage=ClassifierStage(
            start="zero",
            compared_with="shortlist",
            loss="bce",
            own_block=True,
            positives=20,
            batch_size=256,
            learning_rate=5e-3,
        ),
        fusion=FusionChoice(scorers=(CLASSIFIERS, SHORTLIST), method="blend"),
    )


def deepxml_ova() -> Recipe:
    """DeepXML-OVA: encoder and classifiers from scratch, each document against all labels."""
    recipe = deepxml()
    return replace(
        recipe,
        name="deepxml-ova",
        encoder_stage=replace(recipe.encoder_stage, epochs=0),
        classifier_stage=replace(
            recipe.classifier_stage, compared_with="all", encoder_share=1.0, epochs=20
        ),
        fusion=replace(recipe.fusion, scorers=(CLASSIFIERS,)),
    )


def deepxml_anns() -> Recipe:
    """DeepXML-ANNS: encoder and classifiers from scratch, by shortlists that are renewed."""
    recipe = deepxml()
    return replace(
        recipe,
        name="deepxml-anns",
        encoder_stage=replace(recipe.encoder_stage, epochs=0),
        classifier_stage=replace(
            recipe.classifier_stage, encoder_share=1.0, epochs=20, shortlist_every=5
        ),
    )
