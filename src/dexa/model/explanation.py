"""Why a label has its score for a text, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ScorerShare:
    """What one scorer says of the label.

    Attributes:
        name: of the scorer.
        score: of the label, as the scorer gives it.
        rank: among the candidates by this scorer, from 1.
        share: what it gives to the fused score, its Shapley value; None where the fusion does not
            read it.
    """

    name: str
    score: float
    rank: int
    share: float | None


@dataclass(frozen=True, kw_only=True)
class Voter:
    """A training document that votes for the label.

    Attributes:
        scorer: by which it votes, ``neighbours`` or ``word_neighbours``.
        document: where it stands in the training split; None for one that came with a later label.
        text: None where the model keeps no texts.
        similarity: its cosine with the text.
        vote: its share of all votes.
    """

    scorer: str
    document: int | None
    text: str | None
    similarity: float
    vote: float


@dataclass(frozen=True, kw_only=True)
class Term:
    """A word that text and label have in common.

    Attributes:
        text: the word, two words, or a part of one.
        kind: of `dexa.lexical.GROUPS`.
        share: of the scorer's score, before it becomes a chance.
    """

    text: str
    kind: str
    share: float


@dataclass(frozen=True, kw_only=True)
class Token:
    """A word of the text, or several where it is long.

    Attributes:
        text: itself.
        start: where it begins in the text, in characters.
        score: how much the fused score falls when it is left out.
        label_search: how much the cosine with the label embedding falls; None without an encoder.
    """

    text: str
    start: int
    score: float
    label_search: float | None


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a label has its score for a text.

    Attributes:
        text: that was asked.
        label: its id.
        label_text: None where the model knows no texts.
        hidden: whether it is never answered.
        score: the fused score: `base`, `rarity` and the shares of all scorers add up to it.
        rank: its place among the answers, from 1; None where no scorer proposes it, or it is
            hidden.
        base: what the score would be if all scorers gave the label no more than the last of the
            candidates, without `rarity`.
        rarity: what it has for being a rare label, by ``fusion.tail_weight``.
        scorers: what each says.
        label_text_part: what the label's text gives to its cosine by label search; None without an
            encoder.
        auxiliary_part: what its auxiliary vector gives; both add up to the cosine.
        voters: the documents that vote for it, by each scorer the loudest first, at most ten.
        label_words: common words of the text and the label's text that count most, at most ten.
        linear: words of the text with the largest weights for the label, at most ten.
        linear_bias: of these weights; None where there are none.
        tokens: each left out once, and everything asked again with the same candidates.
    """

    text: str
    label: int
    label_text: str | None
    hidden: bool
    score: float
    rank: int | None
    base: float
    rarity: float
    scorers: tuple[ScorerShare, ...]
    label_text_part: float | None
    auxiliary_part: float | None
    voters: tuple[Voter, ...]
    label_words: tuple[Term, ...]
    linear: tuple[Term, ...]
    linear_bias: float | None
    tokens: tuple[Token, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        values = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
