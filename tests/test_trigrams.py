"""Runs of three characters, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

import dexa.lexical.trigrams as module
from dexa.lexical.trigrams import BUCKETS, trigram_counts


@given(st.lists(st.text(max_size=40), max_size=8))
@example([])
@example(["", " ", "\t a\n\nbc "])
@example(["lib-dev (>= 1.0)", "ÄÖ é 漢字 🙂🙂🙂", "\x00\x00"])
def test_as_scikit_learn_counts_them(texts: list[str]) -> None:
    found = trigram_counts(texts)
    assert found.shape == (len(texts), BUCKETS)
    analyze = CountVectorizer(analyzer="char_wb", ngram_range=(3, 3)).build_analyzer()
    for row, text in enumerate(texts):
        # scikit-learn leaves white space that is not one of several as it is
        runs = analyze(" ".join(text.split()))
        counts = np.unique(runs, return_counts=True)[1] if runs else []
        mine = found.data[found.indptr[row] : found.indptr[row + 1]]
        assert sorted(mine) == sorted(counts)


def test_lone_surrogates_are_counted() -> None:
    assert trigram_counts(["a\ud800b"]).sum() == 3


def test_the_same_run_has_the_same_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["red stone", "RED", "stone red red", "", "tsone"] * 3
    whole = trigram_counts(texts).toarray()
    monkeypatch.setattr(module, "_AT_ONCE", 2)
    assert np.array_equal(trigram_counts(texts).toarray(), whole)
    assert np.array_equal(whole[1] * 2 + whole[0] - whole[1], whole[2])
    assert np.array_equal(whole[3], np.zeros(BUCKETS))
    assert not np.array_equal(whole[0] - whole[1], whole[4])
