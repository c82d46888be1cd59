"""How a score comes about: every part of it, taken from the same arrays that gave it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from dexa.errors import InputError
from dexa.fusion import Candidates, shares, union
from dexa.lexical import GROUPS, TextFeatures
from dexa.model.explanation import Explanation, ScorerShare, Term, Token, Voter
from dexa.model.naming import LabelName, named_labels
from dexa.model.parts import HIDDEN, Model
from dexa.neighbours import NOT_IN_DATA, NeighbourVotes
from dexa.types import LABEL_SEARCH, NEIGHBOURS, NO_LABEL, WORD_NEIGHBOURS

_SHOWN = 10  # voters and terms at most
_PIECES = 64  # of a text, that are left out one after the other


def explained(model: Model, text: str, name: LabelName) -> Explanation:
    """Why a label has its score for a text.

    Raises:
        InputError: there is no such label, or the score is a sum of several models'.
    """
    if model.members:
        raise InputError(
            f"a model of {1 + len(model.members)} seeds",
            expected="one whose score is that of one model",
            do="train with one seed to explain scores",
        )
    label = int(named_labels(model, [name])[0])
    vectors = model.vectors_of([text])
    second = model.second_vectors([text])
    asked = model.scorers.ask(vectors, [text], model.shown, second)
    found = asked.best(model.recipe.fusion.candidates)
    proposed = [found[scorer].labels for scorer in model.recipe.fusion.scorers]
    labels = union([*proposed, np.array([[label]])])
    # a hidden label is scored too, so that it can be explained
    anyone = model.scorers.ask(vectors, [text], second=second)
    candidates = anyone.scored(labels[labels != NO_LABEL][None])
    column = int((candidates.labels[0] == label).nonzero())
    every = torch.arange(candidates.labels.shape[1], device=model.device)[None]
    fused = model.fusion.scores(candidates, every)[0]
    rank = int((fused > fused[column]).sum() + (fused[:column] == fused[column]).sum()) + 1
    base, by_scorer = shares(model.fusion, candidates, column, model.recipe.fusion.scorers)
    rarity = model.fusion.for_rarity(label)
    label_words, linear, bias = _terms(model, text, label)
    auxiliary = _auxiliary_part(model, vectors, label) if model.scorers.dense else None
    cosine = candidates.scores.get(LABEL_SEARCH)
    return Explanation(
        text=text,
        label=label,
        label_text=None if model.label_texts is None else model.label_texts[label],
        hidden=bool(model.states[label] == HIDDEN),
        score=float(fused[column]),
        rank=rank if any((those == label).any() for those in proposed) else None,
        base=base - rarity,
        rarity=rarity,
        scorers=_scorers(candidates, column, by_scorer),
        label_text_part=None
        if cosine is None or auxiliary is None
        else float(cosine[0, column]) - auxiliary,
        auxiliary_part=auxiliary,
        voters=_voters(model, text, vectors, label),
        label_words=label_words,
        linear=linear,
        linear_bias=bias,
        tokens=_tokens(model, text, candidates, column, float(fused[column])),
    )


def _scorers(
    candidates: Candidates, column: int, by_scorer: dict[str, float]
) -> tuple[ScorerShare, ...]:
    return tuple(
        ScorerShare(
            name=name,
            score=float(scores[0, column]),
            rank=1 + int((scores[0] > scores[0, column]).sum()),
            share=by_scorer.get(name),
        )
        for name, scores in candidates.scores.items()
    )


def _auxiliary_part(model: Model, vectors: torch.Tensor, label: int) -> float:
    """What the auxiliary vector a gives to the cosine of a text x and a label embedding.

    The embedding is ``u = (e + a) / n`` with e of length 1, so that ``|n u - a| = 1`` gives
    ``n = u·a + sqrt((u·a)² + 1 - |a|²)``, and the part is ``a·x / n``.
    """
    chosen = model.bank.vector_of_label[[label]]
    own = model.bank.some(chosen)[0].double()
    embedding = model.scorers.label_search.vectors[label].double()
    along = embedding @ own
    length = along + (along**2 + 1 - own @ own).clamp(min=0).sqrt()
    if not own.any() or length <= 0:
        return 0.0
    return float(own @ vectors[0].double() / length)


def _voters(model: Model, text: str, vectors: torch.Tensor, label: int) -> tuple[Voter, ...]:
    """Who votes for a label by vectors, then by words."""
    found: list[Voter] = []
    words = model.scorers.words
    if (votes := model.scorers.neighbours) is not None:
        found += _loudest(model, NEIGHBOURS, votes, vectors, label)
    if words is not None and (by_words := words.neighbours) is not None:
        said = words.features.transform([text])
        found += _loudest(model, WORD_NEIGHBOURS, by_words, said, label)
    return tuple(found)


def _loudest(
    model: Model, scorer: str, votes: NeighbourVotes[Any], query: Any, label: int
) -> list[Voter]:
    nearest, voices = votes.voices(query)
    places = nearest.labels[0][voices[0] > 0]
    has_it = csr_array(votes.labels[places][:, [label]]).toarray()[:, 0] > 0
    found = []
    for rank in np.flatnonzero(has_it)[:_SHOWN].tolist():
        place = int(places[rank])
        row = None if votes.rows is None else int(votes.rows[place])
        texts = model.document_texts
        found.append(
            Voter(
                scorer=scorer,
                document=None if row == NOT_IN_DATA else row,
                text=None if texts is None else texts[place],
                similarity=float(nearest.scores[0, rank]),
                vote=float(voices[0, rank]),
            )
        )
    return found


def _terms(
    model: Model, text: str, label: int
) -> tuple[tuple[Term, ...], tuple[Term, ...], float | None]:
    """Common words by label words, by weights of words, and the bias of these."""
    words = model.scorers.words
    if words is None:
        return (), (), None
    said = words.features.transform([text])
    search, linear = words.label_words, words.linear
    shared, weighed, bias = (), (), None
    if search is not None:
        of_label = csr_array(search.by_feature[said.indices][:, [label]]).toarray()[:, 0]
        shared = _strongest(words.features, said, said.data * of_label)
    if linear is not None:
        weights = csr_array(linear.weights[[label]])[:, said.indices].toarray()[0]
        weighed = _strongest(words.features, said, said.data * weights)
        bias = float(linear.bias[label])
    return shared, weighed, bias


def _strongest(features: TextFeatures, said: csr_array, parts: np.ndarray) -> tuple[Term, ...]:
    order = np.argsort(-np.abs(parts), kind="stable")[:_SHOWN]
    groups = features.groups
    return tuple(
        Term(
            text=features.name(int(said.indices[place])),
            kind=GROUPS[groups[said.indices[place]]],
            share=float(parts[place]),
        )
        for place in order.tolist()
        if parts[place] != 0
    )


@dataclass(frozen=True)
class _Piece:
    """A part of a text, from one place to another."""

    start: int
    stop: int


def _pieces(text: str) -> list[_Piece]:
    """The words of a text; of a long one, runs of as many words each."""
    words = [_Piece(*match.span()) for match in re.finditer(r"\S+", text)]
    step = max(1, -(-len(words) // _PIECES))
    runs = [words[start : start + step] for start in range(0, len(words), step)]
    return [_Piece(run[0].start, run[-1].stop) for run in runs]


def _tokens(
    model: Model, text: str, candidates: Candidates, column: int, score: float
) -> tuple[Token, ...]:
    """What becomes of the score when each word is left out, with the same candidates."""
    pieces = _pieces(text)
    if not pieces:
        return ()
    without = [text[: piece.start] + text[piece.stop :] for piece in pieces]
    others = _asked(model, without, candidates.labels)
    columns = torch.full((len(pieces), 1), column, device=model.device)
    fused = model.fusion.scores(others, columns)[:, 0].tolist()
    cosines = [None] * len(pieces)
    if LABEL_SEARCH in candidates.scores:
        before = candidates.scores[LABEL_SEARCH][0, column]
        cosines = (before - others.scores[LABEL_SEARCH][:, column]).tolist()
    return tuple(
        Token(
            text=text[piece.start : piece.stop],
            start=piece.start,
            score=score - after,
            label_search=lost,
        )
        for piece, after, lost in zip(pieces, fused, cosines, strict=True)
    )


def _asked(model: Model, texts: Sequence[str], labels: torch.Tensor) -> Candidates:
    vectors = model.vectors_of(texts)
    asked = model.scorers.ask(vectors, texts, second=model.second_vectors(texts))
    return asked.scored(labels.expand(len(texts), -1))
