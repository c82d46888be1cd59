"""Scorers beside label search and classifiers: votes of neighbours, and those that read words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from dexa.errors import DataError
from dexa.index import ExactIndex
from dexa.lexical import LabelSearch, LinearFit, TextFeatures
from dexa.model import Scorers, WordScorers
from dexa.neighbours import NeighbourVotes
from dexa.recipe import FusionChoice
from dexa.training.corpus import Corpus
from dexa.types import LABEL_WORDS, LINEAR, NEIGHBOURS, Progress


def with_further(
    scorers: Scorers,
    choice: FusionChoice,
    corpus: Corpus,
    documents: torch.Tensor,
    texts: tuple[Sequence[str] | None, Sequence[str] | None],
    seed: int,
    progress: Progress,
) -> Scorers:
    """The scorers that a recipe names, trained on the training documents.

    Args:
        scorers: label search and classifiers.
        choice: names the others.
        corpus: to learn from.
        documents: unit vectors of the training documents, ``[N, D]``.
        texts: of all documents of the data set, and of the labels; None where there are tokens
            alone.
        seed: of the labels drawn to compare with.
        progress: told what is done.
    """
    if NEIGHBOURS in choice.scorers:
        index = ExactIndex(documents)
        votes = NeighbourVotes(index=index, labels=corpus.labels, rows=corpus.rows)
        scorers = replace(scorers, neighbours=votes)
    if _reads_words(choice):
        document_texts, label_texts = texts
        assert document_texts is not None and label_texts is not None
        progress.note("the scorers that read words are fitted")
        read = [document_texts[int(row)] for row in corpus.rows]
        scorers = replace(scorers, words=_word_scorers(read, label_texts, corpus, seed))
    return scorers


def check_texts(
    choice: FusionChoice, texts: tuple[Sequence[str] | None, Sequence[str] | None]
) -> None:
    """Refuse a recipe that reads the words of texts that are not there, before it trains.

    Raises:
        DataError: a scorer reads words, and there are tokens alone.
    """
    if _reads_words(choice) and None in texts:
        raise DataError(
            "token files alone",
            expected="texts, for the scorers that read words",
            do="give the texts, or take a recipe that reads tokens alone, such as dexa",
        )


def _reads_words(choice: FusionChoice) -> bool:
    return bool({LABEL_WORDS, LINEAR} & set(choice.scorers))


def _word_scorers(
    documents: Sequence[str], label_texts: Sequence[str], corpus: Corpus, seed: int
) -> WordScorers:
    features = TextFeatures.fit(documents, label_texts)
    labels = features.transform(label_texts)
    linear = LinearFit()(
        features.transform(documents), labels, corpus.labels, features.groups, seed
    )
    return WordScorers(features=features, label_words=LabelSearch.over(labels), linear=linear)
