"""Which labels a text names: those whose whole title stands in it, word by word.

How much a mention is worth differs from label to label: a text that names "memory" is rarely about
it. A mention counts as the share of the training documents naming the label that have it, the
"keyphraseness" of Mihalcea & Csomai, "Wikify!", CIKM 2007.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.data.features import TextFeatures, Words, words_of
from dexa.lexical.rows import with_values

_LONGEST = 5  # words of a title that is looked for
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no two keys are one for lack of bits
_DOUBT = 2.0  # documents that the worth of a mention of any label counts as
_AT_ONCE = 8_192  # documents read for the worth


@final
@dataclass(frozen=True, eq=False)
class Mentions:
    """Labels that a text mentions.

    Attributes:
        keys: uint64 ``[M]``, ascending: hashes of the distinct titles of at most five words.
        labels: ones, float32 ``[M, L]``: the labels of each title.
        worth: float32 ``[L]``, above 0 and at most 1: what a mention of each label counts.
        common: float32 ``[1]``, what it counts of a label that no document has named yet.
    """

    keys: NDArray[np.uint64]
    labels: csr_array
    worth: NDArray[np.float32]
    common: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        titles: Sequence[str],
        documents: Sequence[str],
        truth: csr_array,
        features: TextFeatures,
    ) -> Mentions:
        """Look for titles, and learn what finding them is worth.

        Args:
            titles: of L labels; one with a word that `features` does not know is never found.
            documents: N texts.
            truth: their labels, ``[N, L]``.
            features: whose words count.
        """
        one = np.ones(1, np.float32)
        looked_for = cls(*_incidence(*_titles(titles, features), len(titles)), one, one)
        looked_for = looked_for.worth_of(np.ones(len(titles), np.float32))
        named, right = np.zeros(len(titles)), np.zeros(len(titles))
        true = csr_array((np.ones(truth.nnz, np.float32), truth.indices, truth.indptr), truth.shape)
        for start in range(0, len(documents), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            found = looked_for.opinions(documents[some], features)
            named += found.sum(axis=0)
            right += (found * true[some]).sum(axis=0)
        common = (right.sum() + 1) / (named.sum() + 2)
        worth = (right + _DOUBT * common) / (named + _DOUBT)
        return cls(
            looked_for.keys,
            looked_for.labels,
            worth.astype(np.float32),
            np.array([common], np.float32),
        )

    def worth_of(self, worth: NDArray[np.float32]) -> Mentions:
        """The same titles, where a mention counts otherwise, float32 ``[L]``."""
        return Mentions(self.keys, self.labels, worth, self.common)

    def changed(
        self, labels: NDArray[np.int64], titles: Sequence[str], features: TextFeatures
    ) -> Mentions:
        """The same with other titles for some labels, new labels behind the last ones.

        Args:
            labels: int64 ``[n]``, which; those from L on are new, and follow without a gap.
            titles: of these labels.
            features: as `fit` had them.
        """
        entries = self.labels.tocoo()
        kept = ~np.isin(entries.col, labels)
        keys, which = _titles(titles, features)
        keys = np.concatenate([self.keys[entries.row[kept]], keys])
        named = np.concatenate([entries.col[kept], labels[which]])
        worth = with_values(self.worth, labels, np.repeat(self.common, len(labels)))
        return Mentions(*_incidence(keys, named, len(worth)), worth, self.common)

    def opinions(self, texts: Sequence[str], features: TextFeatures) -> csr_array:
        """What the labels that each text mentions are worth, float32 ``[B, L]``."""
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
        mentioned.data = self.worth[mentioned.indices]
        return mentioned

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The parts by name."""
        return {
            "keys": self.keys,
            "indices": self.labels.indices,
            "indptr": self.labels.indptr,
            "worth": self.worth,
            "common": self.common,
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Mentions:
        """What `arrays` gave."""
        ones = np.ones(len(arrays["indices"]), np.float32)
        shape = (len(arrays["keys"]), len(arrays["worth"]))
        labels = csr_array((ones, arrays["indices"], arrays["indptr"]), shape=shape)
        return cls(arrays["keys"], labels, arrays["worth"], arrays["common"])


def _titles(
    titles: Sequence[str], features: TextFeatures
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The key of each title that can be found, and its place."""
    words = words_of(titles)
    lengths = np.diff(words.offsets)
    keys_at, titles_at = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for length, (texts, keys) in enumerate(_runs(words, features), start=1):
        whole = lengths[texts] == length
        keys_at.append(keys[whole])
        titles_at.append(texts[whole])
    return np.concatenate(keys_at), np.concatenate(titles_at)


def _incidence(
    keys: NDArray[np.uint64], labels: NDArray[np.int64], n_labels: int
) -> tuple[NDArray[np.uint64], csr_array]:
    """The distinct keys, ascending, and the labels ``[M, L]`` of each."""
    distinct, places = np.unique(keys, return_inverse=True)
    entries = (np.ones(len(labels), np.float32), (places, labels))
    return distinct, csr_array(entries, shape=(len(distinct), n_labels))


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
