"""What the baselines share: one scorer, without an encoder."""

from dexa.recipe import (
    AuxiliaryChoice,
    ClassifierStage,
    EncoderChoice,
    EncoderStage,
    FusionChoice,
    Recipe,
)


def alone(name: str, scorer: str) -> Recipe:
    """A recipe of one scorer, untrained but for itself, that learns from all documents."""
    return Recipe(
        name=name,
        encoder=EncoderChoice(name="none"),
        auxiliary=AuxiliaryChoice(shared_vectors=0, head_labels=0),
        encoder_stage=EncoderStage(epochs=0),
        classifier_stage=ClassifierStage(epochs=0),
        fusion=FusionChoice(scorers=(scorer,), method="single", validation=0),
    )
