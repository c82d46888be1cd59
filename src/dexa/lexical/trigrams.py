"""Runs of three characters, by hash: how often each stands in a text.

A run lies within one word, a space before and after it included, where a word is all between white
space: so "c++", "lib-dev" and the endings of words count. Runs are those that scikit-learn calls
``char_wb``. They fall into buckets, so that no list of them is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array, vstack

_BITS = 17
BUCKETS = 1 << _BITS

_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, and its high bits mix all of a key
_SHIFT = np.uint64(64 - _BITS)
_AT_ONCE = 1_024  # texts


def trigram_counts(texts: Sequence[str]) -> csr_array:
    """How often each run stands in each text, float32 ``[B, BUCKETS]``."""
    blocks = [texts[start : start + _AT_ONCE] for start in range(0, len(texts), _AT_ONCE)]
    counts = [_counts(block) for block in blocks or [[]]]
    return counts[0] if len(counts) == 1 else csr_array(vstack(counts, format="csr"))


def _counts(texts: Sequence[str]) -> csr_array:
    padded = [f" {' '.join(text.lower().split())} " for text in texts]
    rows = np.repeat(np.arange(len(texts)), [len(text) for text in padded])[1:-1]
    letters = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32)
    codes = letters.astype(np.uint64)
    keys = (codes[:-2] << np.uint64(42)) | (codes[1:-1] << np.uint64(21)) | codes[2:]
    # Two texts meet in two spaces, so a run with a letter in its middle lies in one of them.
    inside = letters[1:-1] != ord(" ")
    buckets = (keys[inside] * _FACTOR) >> _SHIFT
    entries = (np.ones(len(buckets), np.float32), (rows[inside], buckets.astype(np.int64)))
    return csr_array(entries, shape=(len(texts), BUCKETS))
