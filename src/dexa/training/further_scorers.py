"""Scorers beside label search and classifiers: votes of neighbours, and those that read words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dexa.errors import DataError
from dexa.index import ExactIndex
from dexa.lexical import Bm25, LabelSearch, LinearFit, TextFeatures, WordIndex, centroids
from dexa.model import Scorers, WordScorer, WordScorers
from dexa.neighbours import NeighbourVotes, SearchT
from dexa.recipe import Recipe
from dexa.training.corpus import Corpus
from dexa.training.encoded import Encoded
from dexa.training.stages import shortlist_of
from dexa.types import (
    BM25,
    CENTROIDS,
    LABEL_WORDS,
    LINEAR,
    NEIGHBOURS,
    SCORERS,
    SHORTLIST,
    Progress,
)


def with_further(
    scorers: Scorers,
    recipe: Recipe,
    corpus: Corpus,
    arrays: Encoded,
    texts: tuple[Sequence[str] | None, Sequence[str] | None],
    seed: int,
    progress: Progress,
) -> Scorers:
    """The scorers that a recipe names, trained on the training documents.

    Args:
        scorers: label search and classifiers, or none.
        recipe: names the others.
        corpus: to learn from.
        arrays: vectors of the trained encoder.
        texts: of all documents of the data set, and of the labels; None where there are tokens
            alone.
        seed: of the labels drawn to compare with.
        progress: told what is done.
    """
    reading = _reading(recipe)
    if SHORTLIST in recipe.fusion.scorers:
        scorers = replace(scorers, shortlist=shortlist_of(corpus, arrays, recipe, seed))
    if NEIGHBOURS in recipe.fusion.scorers and NEIGHBOURS not in reading:
        votes = _votes(ExactIndex(arrays.documents), corpus, recipe)
        scorers = replace(scorers, neighbours=votes)
    if reading:
        document_texts, label_texts = texts
        assert document_texts is not None and label_texts is not None
        progress.note("the scorers that read words are fitted")
        read = [document_texts[int(row)] for row in corpus.rows]
        fit = _WordFit(read, label_texts, corpus, recipe, seed)
        by_name = {name: fit(name) for name in reading}
        scorers = replace(scorers, words=WordScorers(features=fit.features, by_name=by_name))
    return scorers


def check_texts(recipe: Recipe, texts: tuple[Sequence[str] | None, Sequence[str] | None]) -> None:
    """Refuse a recipe that reads the words of texts that are not there, before it trains.

    Raises:
        DataError: a scorer reads words, and there are tokens alone.
    """
    if _reading(recipe) and None in texts:
        raise DataError(
            "token files alone",
            expected="texts, for the scorers that read words",
            do="give the texts, or take a recipe that reads tokens alone, such as dexa",
        )


def _reading(recipe: Recipe) -> list[str]:
    """The scorers of a recipe that read words, in the order in which scorers are shown."""
    words = {LABEL_WORDS, LINEAR, BM25, CENTROIDS}
    if recipe.encoder.absent:
        words.add(NEIGHBOURS)
    return [name for name in SCORERS if name in words and name in recipe.fusion.scorers]


class _WordFit:
    """Fits the scorers that read words, over one set of features.

    Args:
        documents: N texts.
        label_texts: L texts.
        corpus: with their labels.
        recipe: numbers of the scorers.
        seed: of the labels drawn to compare with.
    """

    def __init__(
        self,
        documents: Sequence[str],
        label_texts: Sequence[str],
        corpus: Corpus,
        recipe: Recipe,
        seed: int,
    ) -> None:
        self._corpus, self._recipe, self._seed = corpus, recipe, seed
        self._label_texts = label_texts
        self.features = TextFeatures.fit(documents, label_texts)
        self._documents = self.features.transform(documents)
        self._labels = self.features.transform(label_texts)

    def __call__(self, name: str) -> WordScorer:
        """The scorer of that name."""
        choice = self._recipe.further
        if name == NEIGHBOURS:
            return _votes(WordIndex.over(self._documents), self._corpus, self._recipe)
        if name == LABEL_WORDS:
            return LabelSearch.over(self._labels)
        if name == BM25:
            counts = self.features.word_counts(self._label_texts)
            return Bm25.over(counts, k1=choice.k1, b=choice.b)
        truth = self._corpus.labels
        if name == CENTROIDS:
            return LabelSearch.over(centroids(self._documents, self._labels, truth))
        assert name == LINEAR
        fit = LinearFit(rounds=choice.rounds)
        return fit(self._documents, self._labels, truth, self.features.groups, self._seed)


def _votes(index: SearchT, corpus: Corpus, recipe: Recipe) -> NeighbourVotes[SearchT]:
    choice = recipe.further
    return NeighbourVotes(
        index=index,
        labels=corpus.labels,
        neighbours=choice.neighbours,
        temperature=choice.temperature,
        rows=corpus.rows,
    )
