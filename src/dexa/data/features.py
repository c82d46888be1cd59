"""Sparse features of texts: TF-IDF of words, and of the sub-words that make them up.

Sub-words are what lets ``poodles`` have something in common with ``poodle``: the runs of 3 to 5
characters of a word between ``<`` and ``>``, as fastText cuts them. A text's sub-words are counted
through its words: counts of words ``[N, W]`` times sub-words of words ``[W, S]``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, hstack

from dexa.errors import DataError, InputError

_WORD = r"(?u)\b\w+\b"
_SHORTEST, _LONGEST = 3, 5
_MARK = "#"
"""Tells sub-words from words in a vocabulary: ``#<poo`` is a sub-word, ``poo`` a word."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TextFeatures:
    """What makes texts into sparse features; `fit_features` gives one.

    Attributes:
        words: the words with a feature of their own, the first of the V features.
        subwords: the sub-words, each with `_MARK` before it, the features behind them.
        word_weights: float32, the inverse document frequency of each word.
        subword_weights: float32, that of each sub-word.
        subword_share: the part of a text's squared length that falls on its sub-words.
    """

    words: tuple[str, ...]
    subwords: tuple[str, ...]
    word_weights: NDArray[np.float32]
    subword_weights: NDArray[np.float32]
    subword_share: float

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The names of the V features."""
        return self.words + self.subwords

    def of(self, texts: Sequence[str]) -> csr_array:
        """The features of texts.

        Returns:
            float32 ``[N, V]``, rows of unit length; a text of which nothing is known has an empty
            row.
        """
        counts, seen = _word_counts(texts)
        parts = [_weighted(_chosen(counts, seen, self.words), self.word_weights)]
        if self.subwords:
            grams = _chosen(*_subword_counts(counts, seen), self.subwords)
            share = np.float32(self.subword_share)
            parts[0] *= np.sqrt(1 - share)
            parts.append(_weighted(grams, self.subword_weights) * np.sqrt(share))
        return _unit_rows(csr_array(hstack(parts, format="csr", dtype=np.float32)))


def fit_features(
    texts: Sequence[str],
    *,
    min_texts: int = 2,
    max_share: float = 0.5,
    max_words: int | None = None,
    max_subwords: int = 100_000,
    subword_share: float = 0.5,
) -> TextFeatures:
    """Choose words and sub-words as features, and weigh them.

    The weight of a feature in a text is ``(1 + ln tf) · (1 + ln((1 + N) / (1 + df)))``, tf being
    how often the text has it and df how many of the N texts do.

    Args:
        texts: what documents and labels are made of, those of train alone.
        min_texts: a feature is in as many texts at least.
        max_share: a feature is in no more than this part of the texts.
        max_words: at most as many words, those of most texts; None takes all.
        max_subwords: likewise for sub-words; 0 does without them.
        subword_share: the part of a text's squared length that falls on its sub-words.

    Raises:
        InputError: a number is out of range.
        DataError: no word is left.
    """
    for name, given, fits, expected in (
        ("min_texts", min_texts, min_texts >= 1, "at least 1"),
        ("max_share", max_share, 0 < max_share <= 1, "a part above 0, 1 at most"),
        ("max_words", max_words, max_words is None or max_words >= 1, "at least 1, or None"),
        ("max_subwords", max_subwords, max_subwords >= 0, "at least 0"),
        ("subword_share", subword_share, 0 <= subword_share < 1, "a part from 0 to below 1"),
    ):
        if not fits:
            raise InputError(f"{name} {given}", expected=expected)
    counts, seen = _word_counts(texts)
    most = max_share * len(texts)
    words, word_weights = _frequent(counts, seen, min_texts, most, max_words)
    if not words:
        raise DataError(
            f"no word is in {min_texts} of the {len(texts)} texts, and in {most:g} at most",
            expected="texts that share words",
            do="lower min_texts or raise max_share",
        )
    subwords, subword_weights = (), np.empty(0, np.float32)
    if max_subwords and subword_share:
        grams = _subword_counts(counts, seen)
        subwords, subword_weights = _frequent(*grams, min_texts, most, max_subwords)
    return TextFeatures(
        words=words,
        subwords=subwords,
        word_weights=word_weights,
        subword_weights=subword_weights,
        subword_share=subword_share,
    )


def _word_counts(texts: Sequence[str]) -> tuple[csr_array, list[str]]:
    """How often each text has each word ``[N, W]``, and the words, sorted."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(
        token_pattern=_WORD,
        dtype=np.float32,  # pyright: ignore[reportArgumentType] - its stub knows one type of many
    )
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError:  # no text has a word
        return csr_array(np.empty((len(texts), 0), np.float32)), []
    return csr_array(counts), vectorizer.get_feature_names_out().tolist()


def _subword_counts(counts: csr_array, words: list[str]) -> tuple[csr_array, list[str]]:
    """How often each text has each sub-word ``[N, S]``, and the sub-words, marked and sorted."""
    grams = [_subwords(word) for word in words]
    names = sorted(set().union(*grams))
    places = {name: place for place, name in enumerate(names)}
    indices = np.array([places[gram] for row in grams for gram in row], np.int64)
    values = np.array([times for row in grams for times in row.values()], np.float32)
    pointers = np.cumsum([0, *map(len, grams)])
    of_words = csr_array((values, indices, pointers), shape=(len(words), len(names)))
    return csr_array(counts @ of_words), names


def _subwords(word: str) -> Counter[str]:
    whole = f"<{word}>"
    return Counter(
        _MARK + whole[start : start + length]
        for length in range(_SHORTEST, _LONGEST + 1)
        for start in range(len(whole) - length + 1)
    )


def _frequent(
    counts: csr_array, names: list[str], least: int, most: float, limit: int | None
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """The columns that are in enough texts and not in too many, and what they weigh."""
    frequency = np.bincount(counts.indices, minlength=len(names))
    fit = np.flatnonzero((frequency >= least) & (frequency <= most))
    if limit is not None:
        fit = np.sort(fit[np.argsort(-frequency[fit], kind="stable")[:limit]])
    n_texts = counts.indptr.size - 1
    weights = 1 + np.log((1 + n_texts) / (1 + frequency[fit]))
    return tuple(names[place] for place in fit), weights.astype(np.float32)


def _chosen(counts: csr_array, seen: list[str], chosen: tuple[str, ...]) -> csr_array:
    """The columns of `counts` that are `chosen`, in their order; zero where one was not seen."""
    places = {name: place for place, name in enumerate(chosen)}
    target = np.array([places.get(name, -1) for name in seen], np.int64)
    rows = np.flatnonzero(target >= 0)
    ones = np.ones(len(rows), np.float32)
    return csr_array(
        counts @ csr_array((ones, (rows, target[rows])), shape=(len(seen), len(chosen)))
    )


def _weighted(counts: csr_array, weights: NDArray[np.float32]) -> csr_array:
    """Sub-linear counts times weights, rows of unit length."""
    counts.data = 1 + np.log(counts.data)
    counts.data *= weights[counts.indices]
    return _unit_rows(counts)


def _unit_rows(matrix: csr_array) -> csr_array:
    """Rows of unit length; empty ones stay empty."""
    lengths = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    unit = csr_array(diags_array(scale) @ matrix, dtype=np.float32)
    unit.sum_duplicates()
    return unit
