"""Texts as sparse vectors: words, pairs of words that stand in label texts, and parts of words.

Parts of words, the runs of five characters between ``<`` and ``>``, let "action" meet "actor", as
fastText's do; pairs of words let "virtual machine" be more than its words. Each occurrence counts
as its TF-IDF: ``(1 + log count) · log((n + 1) / (1 + df))``, and a text's vector has length 1.
Without a smoothing term, words that stand in every text vanish.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from dexa.errors import ModelFolderError

_WORD = re.compile(r"\w+")
_PART = 5  # letters; 5 alone found as much as 3 to 5 together, at a fifth of the cost
_RARE = 2  # texts that a pair or a part must stand in: fewer, and it can link nothing
_COMMON = (0.003, 50)  # parts in more than this share of the texts, and this many, tell nothing

_AT_ONCE = 4_096  # texts whose features are counted

GROUPS = ("words", "pairs", "parts")
"""The kinds of features, in the order of their columns."""


@dataclass(frozen=True)
class Words:
    """The words of several texts, end to end.

    Attributes:
        known: the distinct words.
        ids: int64 ``[T]``, each word's place in `known`.
        offsets: int64 ``[B + 1]``; text b is ``ids[offsets[b]:offsets[b + 1]]``.
    """

    known: list[str]
    ids: NDArray[np.int64]
    offsets: NDArray[np.int64]

    @property
    def texts(self) -> NDArray[np.int64]:
        """The text of each word, int64 ``[T]``."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def blocks(self) -> Iterator[Words]:
        """The texts in their order, some at a time; at least one block."""
        for start in range(0, max(1, len(self.offsets) - 1), _AT_ONCE):
            offsets = self.offsets[start : start + _AT_ONCE + 1]
            yield Words(self.known, self.ids[offsets[0] : offsets[-1]], offsets - offsets[0])


def words_of(texts: Sequence[str]) -> Words:
    """Lower-case words of texts: letters, digits and underscores in any script."""
    rows = [_WORD.findall(text.lower()) for text in texts]
    places: dict[str, int] = {}
    flat = chain.from_iterable(rows)
    ids = np.fromiter((places.setdefault(word, len(places)) for word in flat), np.int64)
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    return Words(list(places), ids, offsets)


@dataclass(frozen=True, eq=False)
class TextFeatures:
    """What is counted in a text, and how much each count weighs; see the module.

    Attributes:
        words: known words, ascending.
        pairs: int64 ``[P]``, ascending: first word's place times the number of words, plus the
            second's.
        parts: known parts of words, ascending; ``<`` and ``>`` mark the ends of a word.
        weights: float32 ``[V]``, the inverse document frequency of words, pairs and parts.
    """

    words: list[str]
    pairs: NDArray[np.int64]
    parts: list[str]
    weights: NDArray[np.float32]

    @classmethod
    def fit(
        cls, documents: Sequence[str], label_texts: Sequence[str] = (), *, parts: bool = True
    ) -> TextFeatures:
        """Learn words, pairs and parts, and their weights.

        Args:
            documents: those of train alone.
            label_texts: of all labels; pairs that stand in none of them are no features.
            parts: whether parts of words are features.
        """
        found = words_of([*documents, *label_texts])
        n_texts = len(documents) + len(label_texts)
        draft = cls(
            words=sorted(found.known),
            pairs=np.empty(0, np.int64),
            parts=_distinct_parts(found.known) if parts else [],
            weights=np.empty(0, np.float32),
        )
        places, of = draft.places(found.known)[found.ids], found.texts
        texts, pairs = draft._pairs(places, of)
        pairs_of_labels = np.unique(draft._pairs(places, of, of >= len(documents))[1])
        kept = np.isin(pairs, pairs_of_labels)
        counted = np.unique(np.stack([pairs[kept], texts[kept]]), axis=1)
        distinct, pair_frequency = np.unique(counted[0], return_counts=True)
        wide = cls(draft.words, distinct[pair_frequency >= _RARE], draft.parts, draft.weights)
        counts = wide._counts(found)
        frequency = np.bincount(counts.indices, minlength=width(counts))
        common = max(_COMMON[0] * n_texts, _COMMON[1])
        first = len(wide.words) + len(wide.pairs)
        useful = (frequency[first:] >= _RARE) & (frequency[first:] <= common)
        frequency = np.concatenate([frequency[:first], frequency[first:][useful]])
        return cls(
            words=wide.words,
            pairs=wide.pairs,
            parts=[part for part, keep in zip(wide.parts, useful, strict=True) if keep],
            weights=np.log((n_texts + 1) / (frequency + 1)).astype(np.float32),
        )

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def groups(self) -> NDArray[np.int64]:
        """The group of each feature, a place in `GROUPS`, int64 ``[V]``."""
        return np.repeat(np.arange(3), [len(self.words), len(self.pairs), len(self.parts)])

    @property
    def vocabulary(self) -> list[str]:
        """What each feature is called: a word, two words, or ``#`` and a part of a word."""
        plain = len(self.words) + len(self.pairs)
        return [*map(self.name, range(plain)), *(f"#{part}" for part in self.parts)]

    def transform(self, texts: Sequence[str]) -> csr_array:
        """Texts as unit vectors, float32 ``[B, V]``; a text without known features is zero."""
        counts = self._counts(words_of(texts))
        values = (1 + np.log(counts.data)) * self.weights[counts.indices]
        parts = (of_unit_length(values, counts.indptr), counts.indices, counts.indptr)
        return csr_array(parts, shape=counts.shape)

    def name(self, place: int) -> str:
        """A feature as a reader would write it: a word, two words, or a part of a word."""
        rest = place - len(self.words)
        if rest < 0:
            return self.words[place]
        if rest < len(self.pairs):
            first, second = divmod(int(self.pairs[rest]), len(self.words))
            return f"{self.words[first]} {self.words[second]}"
        return self.parts[rest - len(self.pairs)]

    def word_counts(self, texts: Sequence[str]) -> csr_array:
        """How often each word stands in each text, float32 ``[B, V]``, without pairs and parts."""
        counts = self._counts(words_of(texts))
        kept = counts.indices < len(self.words)
        rows = np.repeat(np.arange(len(texts)), np.diff(counts.indptr))[kept]
        return csr_array((counts.data[kept], (rows, counts.indices[kept])), shape=counts.shape)

    def places(self, known: Sequence[str]) -> NDArray[np.int64]:
        """The place of each word among the known ones; -1 for one that is not."""
        return np.fromiter((self._word_places.get(word, -1) for word in known), np.int64)

    def terms(self) -> dict[str, list[str]]:
        """Words and parts, as JSON can hold them."""
        return {"words": self.words, "parts": self.parts}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All else, by name."""
        return {"pairs": self.pairs, "weights": self.weights}

    @classmethod
    def restored(
        cls, terms: Mapping[str, list[str]], arrays: Mapping[str, NDArray[Any]]
    ) -> TextFeatures:
        """What `terms` and `arrays` gave.

        Raises:
            ModelFolderError: they do not belong together.
        """
        features = cls(terms["words"], arrays["pairs"], terms["parts"], arrays["weights"])
        count = len(features.words) + len(features.pairs) + len(features.parts)
        if len(features) != count:
            raise ModelFolderError(
                f"{len(features)} weights for {count} words, pairs and parts",
                expected="a weight for each",
                do="copy the model folder again",
            )
        return features

    @cached_property
    def _word_places(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self.words)}

    @cached_property
    def _part_places(self) -> dict[str, int]:
        return {part: place for place, part in enumerate(self.parts)}

    def _counts(self, found: Words) -> csr_array:
        """How often each feature stands in each text, float32 ``[B, V]``."""
        words, parts = self.places(found.known), self._parts(found.known)
        blocks = [self._counts_of(some, words, parts) for some in found.blocks()]
        return blocks[0] if len(blocks) == 1 else csr_array(vstack(blocks, format="csr"))

    def _counts_of(
        self,
        found: Words,
        words: NDArray[np.int64],
        parts: tuple[NDArray[np.int64], NDArray[np.int64]],
    ) -> csr_array:
        """`_counts` of some texts, with the place of each known word and `_parts` of each."""
        places, texts = words[found.ids], found.texts
        known = places >= 0
        of_pairs, pairs = self._known_pairs(places, texts)
        part_places, starts = parts
        many = np.diff(starts)[found.ids]  # parts of each word
        # a word's parts lie from its start on: part t of all texts' is t, moved by so much
        shifts = starts[found.ids] - (np.cumsum(many) - many)
        chosen = part_places[np.arange(many.sum()) + np.repeat(shifts, many)]
        rows = np.concatenate([texts[known], of_pairs, np.repeat(texts, many)])
        first_pair, first_part = len(self.words), len(self.words) + len(self.pairs)
        columns = np.concatenate([places[known], first_pair + pairs, first_part + chosen])
        shape = (len(found.offsets) - 1, first_part + len(self.parts))
        return csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)

    def _pairs(
        self,
        places: NDArray[np.int64],
        texts: NDArray[np.int64],
        chosen: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Text and key of every two known words that stand side by side in it.

        Args:
            places: of each word of all texts, end to end; -1 for an unknown one.
            texts: of each.
            chosen: which words may be the second; None for all.
        """
        near = (texts[1:] == texts[:-1]) & (places[1:] >= 0) & (places[:-1] >= 0)
        if chosen is not None:
            near &= chosen[1:]
        first, second = places[:-1][near], places[1:][near]
        return texts[1:][near], first * len(self.words) + second

    def _known_pairs(
        self, places: NDArray[np.int64], texts: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Text and place of every pair that is a feature; see `_pairs`."""
        texts, pairs = self._pairs(places, texts)
        found = np.searchsorted(self.pairs, pairs)
        here = found < len(self.pairs)
        here[here] = self.pairs[found[here]] == pairs[here]
        return texts[here], found[here]

    def _parts(self, words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The places of all known parts of words, end to end, and where those of each begin.

        Returns:
            int64 ``[P]``, and ``[W + 1]`` for W words.
        """
        places = self._part_places
        of_words = [[places[p] for p in _parts_of(word) if p in places] for word in words]
        starts = np.zeros(len(words) + 1, np.int64)
        np.cumsum([len(own) for own in of_words], out=starts[1:])
        return np.fromiter(chain.from_iterable(of_words), np.int64), starts


def _parts_of(word: str) -> list[str]:
    marked = f"<{word}>"
    return [marked[i : i + _PART] for i in range(len(marked) - _PART + 1)]


def _distinct_parts(words: Sequence[str]) -> list[str]:
    return sorted(set(chain.from_iterable(map(_parts_of, words))))


def of_unit_length(
    values: NDArray[np.floating], indptr: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Entries ``[E]`` of a CSR matrix whose rows become unit vectors; a row of zeros stays."""
    rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    lengths = np.sqrt(np.bincount(rows, weights=values**2, minlength=len(indptr) - 1))
    unit = values / np.maximum(lengths[rows], np.finfo(np.float32).tiny)
    return unit.astype(np.float32)


def width(matrix: csr_array) -> int:
    """Columns, for type checkers that take scipy's `shape` to be None."""
    return cast("tuple[int, int]", matrix.shape)[1]
