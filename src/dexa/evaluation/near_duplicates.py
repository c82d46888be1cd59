"""Labels whose texts differ in letter case, punctuation and white space alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHOWN_GROUPS = 10
_SHOWN_LABELS = 3


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """Groups of near-duplicate texts, the largest first.

    Attributes:
        ids: places of the texts that have a near-duplicate, group by group, ascending in each.
        ends: ``[G + 1]``; group g is ``ids[ends[g]:ends[g + 1]]``.
    """

    ids: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ends) - 1

    def group(self, number: int) -> list[int]:
        """The places of the texts of a group."""
        return self.ids[self.ends[number] : self.ends[number + 1]].tolist()

    def facts(self, texts: Sequence[str]) -> dict[str, Any]:
        """How many there are, and the largest groups, with some ids and spellings of each."""
        groups = [self.group(number) for number in range(min(_SHOWN_GROUPS, len(self)))]
        return {
            "labels": len(self.ids),
            "groups": len(self),
            "largest": [
                {
                    "size": len(group),
                    "labels": group[:_SHOWN_LABELS],
                    "texts": list(dict.fromkeys(texts[label] for label in group))[:_SHOWN_LABELS],
                }
                for group in groups
            ],
        }


def find_near_duplicates(texts: Sequence[str]) -> NearDuplicates:
    """Find texts that are equal once folded; empty texts have no duplicates."""
    numbers: dict[str, int] = {}
    group = np.fromiter(
        (numbers.setdefault(folded(text), len(numbers)) for text in texts), np.int64, len(texts)
    )
    size = np.bincount(group, minlength=len(numbers))
    if "" in numbers:
        size[numbers[""]] = 0
    shared = np.flatnonzero(size[group] > 1)
    ids = shared[np.lexsort((shared, group[shared], -size[group[shared]]))]
    starts = np.flatnonzero(np.diff(group[ids], prepend=-1))
    return NearDuplicates(ids=ids, ends=np.append(starts, len(ids)))


def folded(text: str) -> str:
    """A text in lower case, with one space for each run of punctuation and white space.

    Symbols stay, so that C and C++ differ; a text of nothing but punctuation stays as it is.
    """
    lower = text.lower()
    return " ".join(lower.translate(_SPACES).split()) or lower.strip()


class _Spaces(dict[int, str]):
    r"""Each character, or a space for punctuation and white space; filled when first asked.

    Not ``\W``, which would break the words of scripts that write vowels as marks.
    """

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        self[code] = " " if unicodedata.category(letter)[0] in "PZ" else letter
        return self[code]


_SPACES = _Spaces()
