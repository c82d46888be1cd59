"""Scorers that need no training: the words of a label's text, and its title said in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.data.features import TextFeatures, Words, width, words_of
from dexa.lexical.rows import with_rows

_LONGEST = 5  # words of a title that is looked for
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no two keys are one for lack of bits


@final
@dataclass(frozen=True, eq=False)
class LabelSearch:
    """Cosine between a text and each label's text that shares a feature with it.

    Attributes:
        by_feature: unit features of label texts, float32 ``[V, L]``.
    """

    by_feature: csr_array

    @classmethod
    def over(cls, texts: csr_array) -> LabelSearch:
        """Search over features ``[L, V]`` of label texts."""
        return cls(csr_array(texts.T.tocsr()))

    def changed(self, labels: NDArray[np.int64], texts: csr_array) -> LabelSearch:
        """The same with other texts for some labels, new labels behind the last ones.

        Args:
            labels: int64 ``[n]``, which; those from L on are new, and follow without a gap.
            texts: features of their texts, ``[n, V]``.
        """
        return LabelSearch.over(with_rows(csr_array(self.by_feature.T.tocsr()), labels, texts))

    def opinions(self, features: csr_array) -> csr_array:
        """Cosines, float32 ``[B, L]``, for features ``[B, V]`` of texts."""
        return csr_array(features @ self.by_feature)


@final
@dataclass(frozen=True, eq=False)
class Mentions:
    """Which labels a text mentions: those whose whole title stands in it, word by word.

    Attributes:
        keys: uint64 ``[M]``, ascending: hashes of the distinct titles of at most five words.
        labels: ones, float32 ``[M, L]``: the labels of each title.
    """

    keys: NDArray[np.uint64]
    labels: csr_array

    @classmethod
    def of(cls, titles: Sequence[str], features: TextFeatures) -> Mentions:
        """Look for titles ``[L]``, none of which may have a word that `features` does not know."""
        words = words_of(titles)
        lengths = np.diff(words.offsets)
        titles_at, keys_at = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
        for length, (texts, keys) in enumerate(_runs(words, features), start=1):
            whole = lengths[texts] == length
            titles_at.append(texts[whole])
            keys_at.append(keys[whole])
        keys, places = np.unique(np.concatenate(keys_at), return_inverse=True)
        named = np.concatenate(titles_at)
        entries = (np.ones(len(named), np.float32), (places, named))
        return cls(keys, csr_array(entries, shape=(len(keys), len(titles))))

    def opinions(self, texts: Sequence[str], features: TextFeatures) -> csr_array:
        """Ones where a text mentions a label, float32 ``[B, L]``."""
        rows, columns = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for at, keys in _runs(words_of(texts), features):
            places = np.searchsorted(self.keys, keys)
            here = places < len(self.keys)
            here[here] = self.keys[places[here]] == keys[here]
            rows.append(at[here])
            columns.append(places[here])
        entries = np.concatenate(rows), np.concatenate(columns)
        titles = csr_array(
            (np.ones(len(entries[0]), np.float32), entries), shape=(len(texts), len(self.keys))
        )
        mentioned = csr_array(titles @ self.labels)
        mentioned.data[:] = 1
        return mentioned

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The parts by name."""
        return {
            "keys": self.keys,
            "indices": self.labels.indices,
            "indptr": self.labels.indptr,
            "labels": np.array([width(self.labels)]),
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Mentions:
        """What `arrays` gave."""
        ones = np.ones(len(arrays["indices"]), np.float32)
        shape = (len(arrays["keys"]), int(arrays["labels"][0]))
        labels = csr_array((ones, arrays["indices"], arrays["indptr"]), shape=shape)
        return cls(arrays["keys"], labels)


def _runs(
    words: Words, features: TextFeatures
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint64]]]:
    """Text and key of every run of 1, 2, … known words within a text."""
    places, texts = features.places(words.known)[words.ids], words.texts
    spelled = (places + 1).astype(np.uint64)
    starts = np.flatnonzero(places >= 0)
    keys = np.zeros(len(starts), np.uint64)
    for length in range(_LONGEST):
        inside = starts + length < len(places)
        starts, keys = starts[inside], keys[inside]
        ends = starts + length
        going_on = (texts[ends] == texts[starts]) & (places[ends] >= 0)
        starts, ends, keys = starts[going_on], ends[going_on], keys[going_on]
        keys = _mixed(keys + spelled[ends])
        yield texts[starts], keys


def _mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Keys spread over 64 bits, no two to the same."""
    keys = (keys ^ (keys >> np.uint64(31))) * _FACTOR
    return keys ^ (keys >> np.uint64(29))
