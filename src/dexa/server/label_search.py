"""Labels by a piece of their text: what a person types to find one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dexa.server.messages import Label

_HITS = 2_000  # occurrences that are ordered; more are not looked at
_BETWEEN = "\n"


class LabelNames:
    """The texts of all labels, to be searched as one long text.

    Args:
        ids: int64 ``[M]``, which labels these are.
        texts: M texts.
        frequency: int64 ``[M]``, documents of each.
    """

    def __init__(
        self, ids: NDArray[np.int64], texts: Sequence[str], frequency: NDArray[np.int64]
    ) -> None:
        self._ids, self._texts, self._frequency = ids, texts, frequency
        folded = [_folded(text) for text in texts]
        self._all = _BETWEEN + _BETWEEN.join(folded) + _BETWEEN
        lengths = np.fromiter(map(len, folded), np.int64, len(folded))
        self._ends = np.cumsum(lengths + len(_BETWEEN))

    def find(self, query: str, limit: int) -> list[Label]:
        """Labels whose text contains the query, whatever its case; none for a blank one.

        The same text comes first, then texts that begin with it, then frequent labels.
        """
        wanted = _folded(query)
        if not wanted:
            return []
        hits = np.searchsorted(self._ends, self._places(wanted), side="right")
        rows: list[int] = np.unique(hits).tolist()
        if not rows:
            return []
        same = [_folded(self._texts[row]) == wanted for row in rows]
        begins = [_folded(self._texts[row]).startswith(wanted) for row in rows]
        keys = [np.array(rows), -self._frequency[rows], ~np.array(begins), ~np.array(same)]
        order = np.lexsort(keys)
        return [self._label(rows[place]) for place in order[:limit].tolist()]

    def _places(self, wanted: str) -> list[int]:
        """Where the text occurs, at most `_HITS` times; whole and first words before others."""
        places: list[int] = []
        for form in (f"{_BETWEEN}{wanted}{_BETWEEN}", f"{_BETWEEN}{wanted}", wanted):
            at = -1
            shift = form.index(wanted)
            while len(places) < _HITS and (at := self._all.find(form, at + 1)) >= 0:
                places.append(at + shift - len(_BETWEEN))
        return places

    def _label(self, row: int) -> Label:
        return Label(int(self._ids[row]), self._texts[row], int(self._frequency[row]))


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
