"""What the page says of a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dexa.model import SHOWN, Model
from dexa.server.messages import ModelFacts

_EXAMPLES = 6
_EXAMPLE_CHARACTERS = 60


def model_facts(parts: Model, texts: Sequence[str], examples: Sequence[str] | None) -> ModelFacts:
    """What the page says of a model.

    Args:
        parts: of the model.
        texts: of all its labels.
        examples: to try; None for some of the texts.
    """
    counts = np.where(parts.states == SHOWN, parts.frequency, 0)
    return ModelFacts(
        name=parts.facts["dataset"]["name"],
        recipe=parts.recipe.name,
        encoder=_encoder_name(parts.recipe.encoder.name),
        dimensions=0 if parts.encoder is None else parts.encoder.dimension,
        labels=int((parts.states == SHOWN).sum()),
        documents=parts.facts["dataset"]["documents"],
        head=_head(counts),
        examples=list(_examples(texts, counts) if examples is None else examples),
        changes=False,
    )


def _encoder_name(name: str) -> str:
    """What kind of encoder it is, without the path it was read from."""
    kind, colon, _ = name.partition(":")
    return kind if colon else name.rpartition("/")[2]


def _head(frequency: NDArray[np.int64]) -> int:
    """The frequency from which on labels have half of all pairs: these are the head."""
    descending = np.sort(frequency)[::-1]
    half = np.searchsorted(np.cumsum(descending), descending.sum() / 2)
    return max(1, int(descending[min(half, len(descending) - 1)]))


def _examples(texts: Sequence[str], frequency: NDArray[np.int64]) -> list[str]:
    """Some label texts, from the most frequent label to a rare one."""
    order = np.argsort(-frequency, kind="stable")
    order = order[: max(1, int((frequency > 0).sum()))]
    spread = np.unique(np.geomspace(1, len(order), _EXAMPLES).astype(np.int64)) - 1
    chosen: list[int] = order[spread].tolist()
    return [texts[label][:_EXAMPLE_CHARACTERS] for label in chosen]
