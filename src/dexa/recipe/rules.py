"""What a recipe leaves open, filled in from the size of the data set."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from dexa.recipe.checks import LOSSES
from dexa.recipe.fields import EncoderStage, Recipe


@dataclass(frozen=True, kw_only=True)
class Size:
    """What `completed` has to know of a data set and its encoder.

    Attributes:
        documents: training documents with a label.
        labels: L.
        pairs: of training documents and their labels.
        width: dimensions of the transformer; None for a bag of tokens.
        titles: whether texts are titles rather than full texts.
    """

    documents: int
    labels: int
    pairs: int
    width: int | None
    titles: bool


_ENCODER_CURRICULUM = (10, 25, 50, 75, 100, 125, 150, 200)
_PUBLISHED_EPOCHS = 300
_MANY_DOCUMENTS = 50_000


def completed(recipe: Recipe, size: Size) -> Recipe:
    """The recipe with every field filled in that was left to the data set's size."""
    first, second = recipe.encoder_stage, recipe.classifier_stage
    bag = size.width is None
    by_labels = first.task == "labels"
    by_softmax = by_labels and first.loss == "softmax"
    many = 3_200 if by_softmax else 1_600
    drawn = size.documents  # in an epoch
    if by_labels:
        drawn = label_draws(size.documents, size.labels, size.pairs)
    batch = _or(first.batch_size, _batch_size(size.documents, many))
    enough = _usual_epochs(size, by_softmax)
    epochs = _or(first.epochs, _epochs(drawn / batch, enough, 60, 1_000))
    last_batch = _or(second.batch_size, _batch_size(size.documents, 2_048))
    last_steps = size.documents / last_batch
    last_epochs = _or(second.epochs, _epochs(last_steps, 6 if bag else 20, 20, 230))
    shared = min(65_536, math.ceil(size.labels / 3)) if first.task == "documents" else 0
    shared = _or(recipe.auxiliary.shared_vectors, shared)
    return dataclasses.replace(
        recipe,
        encoder=_filled(
            recipe.encoder,
            max_length=32 if size.titles else 128,
            pairs=_pairs(size) if bag else 0,
        ),
        auxiliary=_filled(
            recipe.auxiliary,
            shared_vectors=shared,
            head_labels=min(1_000, size.labels // 100) if shared else 0,
            initial_norm=0.0 if bag else 0.15,
            learning_rate=1e-4 if bag else 5e-4,
        ),
        encoder_stage=_filled(
            first,
            epochs=epochs,
            batch_size=batch,
            learning_rate=_learning_rate(size.width),
            warmup_steps=min(100, math.ceil(epochs * drawn / batch / 10)),
            loss=LOSSES[first.task][0],
            temperature=_temperature(first, size),
            cluster_from=max(1, epochs // 30),
            curriculum=_scaled(_ENCODER_CURRICULUM, epochs, _PUBLISHED_EPOCHS),
        ),
        label_clusters=_filled(
            recipe.label_clusters, clusters=max(2, min(65_536, size.labels // 8))
        ),
        classifier_stage=_filled(
            second,
            epochs=last_epochs,
            batch_size=last_batch,
            curriculum=_scaled((20,), last_epochs, 100),
        ),
        fusion=_filled(recipe.fusion, validation=min(5_000, size.documents // 20)),
    )


def label_draws(documents: int, labels: int, pairs: int) -> int:
    """Labels that an epoch of label batches draws.

    As many as there are labels or documents, whichever are more, but not more than there are pairs.
    """
    return min(max(documents, labels), pairs)


def _batch_size(documents: int, most: int) -> int:
    """A 16th of the documents, within 256 and `most`; an eighth where that is below 256."""
    return min(most, max(documents // 16, min(256, max(1, documents // 8))))


def _usual_epochs(size: Size, by_softmax: bool) -> int:
    """Of the encoder stage, where batches are not few.

    From batches of labels, by a softmax, a transformer goes on learning; but a small set by heart.
    """
    if size.width is None:
        return 20
    return 80 if by_softmax and size.documents >= _MANY_DOCUMENTS else 40


def _temperature(first: EncoderStage, size: Size) -> float:
    """Low where a transformer learns from batches of labels, still lower with few documents."""
    if first.loss != "softmax":
        return 0.1
    if size.width is None or first.task != "labels":
        return 0.07
    return 0.05 if size.documents >= _MANY_DOCUMENTS else 0.03


def _epochs(steps_of_epoch: float, enough: int, most: int, steps: int) -> int:
    """As many as are `enough`; where batches are few, up to `most`, to make so many `steps`.

    With fewer steps little moves from its start.
    """
    if not steps_of_epoch:
        return enough  # no document has a label: training refuses that, with words
    return max(enough, min(most, math.ceil(steps / steps_of_epoch)))


def _pairs(size: Size) -> int:
    """About as many as the training texts have: a power of two, at most 262,144."""
    texts = size.documents + size.labels
    return min(1 << 18, 1 << (texts if size.titles else 4 * texts).bit_length())


def _learning_rate(width: int | None) -> float:
    """Small transformers bear, and want, five times the published rate."""
    if width is None:
        return 1e-2
    return 1e-3 if width <= 384 else 2e-4


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _filled(part: Any, **defaults: Any) -> Any:
    missing = {key: value for key, value in defaults.items() if getattr(part, key) is None}
    return dataclasses.replace(part, **missing)


def _scaled(epochs: tuple[int, ...], total: int, published: int) -> tuple[int, ...]:
    return tuple(sorted({max(1, round(e * total / published)) for e in epochs}))
