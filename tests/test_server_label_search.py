"""Labels by a piece of their text."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("msgspec", reason="needs the extra serve")

from dexa.server.label_search import LabelNames


@pytest.mark.parametrize("query", ["\t", " \n ", ""])
def test_a_blank_query_finds_nothing(query: str) -> None:
    names = LabelNames(np.arange(2), ["poodle", "dog"], np.array([1, 2]))
    assert names.find(query, 5) == []
    assert [label.text for label in names.find("\tDOG ", 5)] == ["dog"]
