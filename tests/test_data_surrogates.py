from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dexa.data import Surrogates, read_surrogates, write_surrogates
from dexa.errors import DataError, InputError, MissingFileError

SOME = Surrogates(
    labels=6,
    features=9,
    valid=np.array([0, 2, 5]),
    mapping=np.array([1, 0, 1]),
    threshold=65536,
    method=1,
)
FILES = ("data_stats.json", "valid_labels.txt", "surrogate_mapping.txt")


def written(folder: Path) -> Path:
    write_surrogates(folder, SOME)
    return folder


def test_the_files(tmp_path: Path) -> None:
    folder = written(tmp_path / "65536.108")
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert json.loads((folder / FILES[0]).read_text()) == {
        "threshold": 65536,
        "method": 1,
        "surrogate": "9,2,2",
        "extreme": "9,6,3",
    }
    assert (folder / FILES[1]).read_text() == "0\n2\n5\n"
    assert (folder / FILES[2]).read_text() == "1\n0\n1\n"


@given(data=st.data(), labels=st.integers(1, 12), threshold=st.integers(0, 10**6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_round_trip(tmp_path: Path, data: st.DataObject, labels: int, threshold: int) -> None:
    valid = data.draw(st.sets(st.integers(0, labels - 1), min_size=1).map(sorted))
    drawn = data.draw(st.lists(st.integers(0, 4), min_size=len(valid), max_size=len(valid)))
    before = Surrogates(
        labels=labels,
        features=data.draw(st.integers(0, 10**9)),
        valid=np.array(valid),
        mapping=np.unique(drawn, return_inverse=True)[1],
        threshold=threshold,
        method=0,
    )
    write_surrogates(tmp_path / "a", before)
    after = read_surrogates(tmp_path / "a")
    for name, value in vars(before).items():
        assert np.array_equal(getattr(after, name), value), name
    assert after.surrogates == len(set(drawn))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (FILES[1], "0\n2\n2\n", r"valid_labels\.txt:3: 2; expected ids below 6, ascending"),
        (FILES[1], "0\n2\n6\n", r"valid_labels\.txt:3: 6; expected ids below 6"),
        (FILES[1], "0\n\n2\n", r"valid_labels\.txt:2: ''; expected a whole number"),
        (FILES[1], "0\n-2\n3\n", r"valid_labels\.txt:2: '-2'"),
        (FILES[1], "0\n2\n", r"2 lines; expected 3, as data_stats\.json says"),
        (FILES[2], "1\n0\n2\n", r"surrogate_mapping\.txt:3: 2; expected ids below 2"),
        (FILES[2], "1\n1\n1\n", r"1 surrogates between 1 and 1; expected ids from 0"),
        (FILES[0], "[]", "JSON list; expected a JSON object"),
        (FILES[0], '{"surrogate": "9,2"}', "surrogate is '9,2'; expected three counts"),
        (FILES[0], '{"surrogate": "9,2,2", "extreme": "9,6,3"}', "threshold is None"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, content: str, words: str) -> None:
    folder = written(tmp_path / "a")
    (folder / name).write_text(content)
    with pytest.raises(DataError, match=words):
        read_surrogates(folder)


@pytest.mark.parametrize("name", FILES)
def test_missing_files(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path / "a")
    (folder / name).unlink()
    with pytest.raises(MissingFileError, match=name):
        read_surrogates(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"valid": np.array([0, 2])}, "one for each label"),
        ({"valid": np.array([0, 0, 2])}, "ascending ids below 6"),
        ({"labels": 5}, "ascending ids below 5"),
        ({"mapping": np.array([0, 2, 2])}, "without gaps"),
    ],
)
def test_surrogates_that_do_not_fit(changes: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(SOME, **changes)
