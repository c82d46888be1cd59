"""Scorers beside label search and classifiers: votes of neighbours, and those that read words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from dexa.data.dataset import ADD_TEXTS
from dexa.errors import DataError
from dexa.index import ExactIndex
from dexa.lexical import (
    Bm25,
    FrequentLabels,
    LabelSearch,
    LinearFit,
    Mentions,
    TextFeatures,
    WordIndex,
    centroids,
)
from dexa.model import Scorers, WordScorer, WordScorers
from dexa.neighbours import NeighbourVotes, SearchT
from dexa.recipe import Recipe
from dexa.training.corpus import Corpus
from dexa.training.encoded import Encoded
from dexa.training.stages import shortlist_of
from dexa.types import (
    BM25,
    CENTROIDS,
    FREQUENT,
    LABEL_WORDS,
    LINEAR,
    MENTIONS,
    NEIGHBOURS,
    SCORERS,
    SHORTLIST,
    WORD_NEIGHBOURS,
    Progress,
)

_READING = {LABEL_WORDS, LINEAR, FREQUENT, WORD_NEIGHBOURS, MENTIONS, BM25, CENTROIDS}


class Texts(NamedTuple):
    """What the scorers read; None where there are tokens alone.

    Attributes:
        documents: all of the data set.
        labels: the L label texts.
        titles: what the labels are called in a text.
    """

    documents: Sequence[str] | None
    labels: Sequence[str] | None
    titles: Sequence[str] | None


def with_further(
    scorers: Scorers,
    recipe: Recipe,
    corpus: Corpus,
    arrays: Encoded,
    texts: Texts,
    seed: int,
    progress: Progress,
) -> Scorers:
    """The scorers that a recipe names, trained on the training documents.

    Args:
        scorers: label search and classifiers, or none.
        recipe: names the others.
        corpus: to learn from.
        arrays: vectors of the trained encoder.
        texts: of documents and labels.
        seed: of the labels drawn to compare with.
        progress: told what is done.
    """
    reading = _reading(recipe)
    if SHORTLIST in recipe.fusion.scorers:
        scorers = replace(scorers, shortlist=shortlist_of(corpus, arrays, recipe, seed))
    if NEIGHBOURS in recipe.fusion.scorers:
        index = ExactIndex(arrays.documents)
        votes = _votes(index, corpus, recipe.further.neighbours, recipe.further.temperature)
        scorers = replace(scorers, neighbours=votes)
    if reading:
        progress.note("the scorers that read words are fitted")
        scorers = replace(scorers, words=_WordFit(texts, corpus, recipe, seed).all_of(reading))
    return scorers


def check_texts(recipe: Recipe, texts: Texts) -> None:
    """Refuse a recipe that reads the words of texts that are not there, before it trains.

    Raises:
        DataError: a scorer reads words, and there are tokens alone.
    """
    if _reading(recipe) and None in texts:
        raise DataError(
            "a data set without texts",
            expected="texts, for the scorers that read words",
            do=f"{ADD_TEXTS}; or take a recipe that reads tokens alone, such as dexa",
        )


def _reading(recipe: Recipe) -> list[str]:
    """The scorers of a recipe that read words, in the order in which scorers are shown."""
    return [name for name in SCORERS if name in _READING and name in recipe.fusion.scorers]


class _WordFit:
    """Fits the scorers that read words, over one set of features.

    Args:
        texts: of all documents of the data set, and of its L labels.
        corpus: the training documents, with their labels.
        recipe: numbers of the scorers.
        seed: of the labels drawn to compare with.
    """

    def __init__(self, texts: Texts, corpus: Corpus, recipe: Recipe, seed: int) -> None:
        assert texts.documents is not None
        assert texts.labels is not None
        assert texts.titles is not None
        self._corpus, self._choice, self._seed = corpus, recipe.further, seed
        self._label_texts, self._titles = texts.labels, texts.titles
        self._read = [texts.documents[int(row)] for row in corpus.rows]
        self._features = TextFeatures.fit(self._read, texts.labels)
        self._documents = self._features.transform(self._read)
        self._labels = self._features.transform(texts.labels)

    def all_of(self, names: Sequence[str]) -> WordScorers:
        """The scorers of some names."""
        return WordScorers(
            features=self._features,
            by_name={name: self._scorer(name) for name in names if name != MENTIONS},
            mentions=self._mentions() if MENTIONS in names else None,
        )

    def _mentions(self) -> Mentions:
        return Mentions.fit(self._titles, self._read, self._corpus.labels, self._features)

    def _scorer(self, name: str) -> WordScorer | FrequentLabels:
        choice, truth = self._choice, self._corpus.labels
        if name == WORD_NEIGHBOURS:
            index = WordIndex.over(self._documents)
            return _votes(index, self._corpus, choice.neighbours, choice.word_temperature)
        if name == LABEL_WORDS:
            return LabelSearch.over(self._labels)
        if name == BM25:
            counts = self._features.word_counts(self._label_texts)
            return Bm25.over(counts, k1=choice.k1, b=choice.b)
        if name == CENTROIDS:
            return LabelSearch.over(centroids(self._documents, self._labels, truth))
        if name == FREQUENT:
            idf = self._features.weights[: len(self._features.words)]
            return FrequentLabels.fit(self._documents, self._read, truth, idf, self._seed)
        assert name == LINEAR
        fit = LinearFit(rounds=choice.rounds)
        return fit(self._documents, self._labels, truth, self._features.groups, self._seed)


def _votes(
    index: SearchT, corpus: Corpus, neighbours: int, temperature: float
) -> NeighbourVotes[SearchT]:
    return NeighbourVotes(
        index=index,
        labels=corpus.labels,
        neighbours=neighbours,
        temperature=temperature,
        rows=corpus.rows,
    )
