"""What can be asked of the engine: one class for each kind of request."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

from dexa.estimator import Dexa
from dexa.server.batching import Job


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask(Job):
    """Texts to tag."""

    texts: list[str]
    k: int
    threshold: float | None
    labels: tuple[int, ...] | None
    details: bool

    @property
    def size(self) -> int:
        """As many as there are texts."""
        return len(self.texts)

    @property
    def kind(self) -> Hashable:
        """Those that want the same of other texts."""
        return (Ask, self.details, self.labels)


@dataclass(frozen=True, kw_only=True, slots=True)
class Encode(Job):
    """Texts to turn into vectors."""

    texts: list[str]
    side: Literal["document", "label"]

    @property
    def size(self) -> int:
        """As many as there are texts."""
        return len(self.texts)

    @property
    def kind(self) -> Hashable:
        """Those of the same side."""
        return (Encode, self.side)


@dataclass(frozen=True, kw_only=True, slots=True)
class Explain(Job):
    """An answer to explain."""

    text: str
    label: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw(Job):
    """The labels near a text, in two dimensions."""

    text: str
    k: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Find(Job):
    """Labels whose texts contain a text."""

    query: str
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Add(Job):
    """Labels to add."""

    texts: list[str]
    documents: list[list[str]] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Remove(Job):
    """A label to remove."""

    label: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Replace(Job):
    """Another model to answer from now on."""

    model: Dexa


@dataclass(frozen=True, kw_only=True, slots=True)
class Refresh(Job):
    """Take up what others wrote to the journal of the model folder."""
