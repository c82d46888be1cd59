"""What can be asked of the engine: one class for each kind of request."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Literal

from dexa.estimator import Dexa


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
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
class Encode:
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
class _Alone:
    """A job that is computed by itself."""

    size: ClassVar[int] = 1

    @property
    def kind(self) -> Hashable:
        """None but itself."""
        return id(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Explain(_Alone):
    """An answer to explain."""

    text: str
    label: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw(_Alone):
    """The labels near a text, in two dimensions."""

    text: str
    k: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Find(_Alone):
    """Labels whose texts contain a text."""

    query: str
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Add(_Alone):
    """Labels to add."""

    texts: list[str]
    documents: list[list[str]] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Remove(_Alone):
    """A label to remove."""

    label: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Replace(_Alone):
    """Another model to answer from now on."""

    model: Dexa
