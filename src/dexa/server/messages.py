"""What goes over the wire: each message once, for checks, for answers and for the OpenAPI document.

Limits are part of the messages, so that the document tells them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

BODY_BYTES = 1 << 20
"""Longer bodies are refused with 413."""

QUERY_CHARACTERS, LABELS_SHOWN = 200, 100
"""Limits of a search for labels."""

Text = Annotated[str, Meta(max_length=20_000)]
Texts = Annotated[list[Text], Meta(min_length=1, max_length=256)]
LabelId = Annotated[int, Meta(ge=0, lt=1 << 31)]
LabelText = Annotated[str, Meta(min_length=1, max_length=1_000)]


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Texts to tag with labels."""

    texts: Annotated[Text | Texts, Meta(description="one text, or several")]
    k: Annotated[int, Meta(ge=1, le=1_000, description="labels a text at most")] = 5
    threshold: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(description="only labels that are right with at least this probability"),
    ] = None
    labels: Annotated[
        Annotated[list[LabelId], Meta(min_length=1, max_length=10_000)] | None,
        Meta(description="only these labels, by their ids"),
    ] = None
    details: Annotated[
        bool, Meta(description="also the score of every scorer, and how frequent a label is")
    ] = False


class Tag(Struct, kw_only=True, omit_defaults=True):
    """A label that was found for a text."""

    id: int
    text: str
    score: float
    probability: float | UnsetType = UNSET
    frequency: int | UnsetType = UNSET
    scorers: dict[str, float] | UnsetType = UNSET


class Tags(Struct, frozen=True):
    """The labels of one text, best first."""

    labels: list[Tag]


class Answer(Struct, frozen=True, kw_only=True):
    """Answers in the order of the texts, and how long they took."""

    answers: list[Tags]
    milliseconds: float


class TextsToEncode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Texts to turn into vectors."""

    texts: Annotated[Text | Texts, Meta(description="one text, or several")]
    side: Annotated[
        str, Meta(pattern="^(document|label)$", description="which kind of text they are")
    ] = "document"


class Vectors(Struct, frozen=True):
    """Unit vectors in the order of the texts."""

    vectors: list[list[float]]


class TextAndLabel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer to explain."""

    text: Text
    label: Annotated[LabelId, Meta(description="id of the label")]


class NewLabels(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Labels to add."""

    texts: Annotated[list[LabelText], Meta(min_length=1, max_length=100)]
    documents: Annotated[
        Annotated[list[Annotated[list[Text], Meta(max_length=100)]], Meta(max_length=100)] | None,
        Meta(description="for each label, documents that have it"),
    ] = None


class Label(Struct, frozen=True):
    """A label of the model."""

    id: int
    text: str
    frequency: int


class Labels(Struct, frozen=True):
    """Labels that were found, added or removed."""

    labels: list[Label]


class Neighbourhood(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text whose surroundings are to be drawn."""

    text: Text
    k: Annotated[int, Meta(ge=1, le=200, description="labels at most")] = 40


class Place(Struct, frozen=True, kw_only=True):
    """Where a label lies on the map; both axes run from -1 to 1."""

    id: int
    text: str
    frequency: int
    cosine: float
    x: float
    y: float


class Map(Struct, frozen=True, kw_only=True):
    """Labels near a text in two dimensions, and where the text itself lies."""

    text: tuple[float, float]
    labels: list[Place]


class ModelFacts(Struct, frozen=True, kw_only=True):
    """What the page says of the model."""

    name: str
    recipe: str
    encoder: str
    dimensions: Annotated[int, Meta(description="of vectors; 0 without an encoder")]
    labels: int
    documents: int
    head: Annotated[int, Meta(description="a label of so many documents or more is frequent")]
    examples: list[str]
    changes: Annotated[bool, Meta(description="whether labels can be changed, with the token")]


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was refused."""

    error: str
    field: str | None = None


class Health(Struct, frozen=True):
    """Whether the server lives, or can answer."""

    status: str
