from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from dexa.data import DataWarning, read_filter_pairs, write_filter_pairs
from dexa.data.filters import filter_file
from dexa.errors import DataError


@pytest.mark.parametrize(
    ("content", "pairs"),
    [
        (b"", []),
        (b"\n", []),
        (b"  \n\n", []),
        (b"3 4\n", [[3, 4]]),
        (b"3 4", [[3, 4]]),
        (b"0 1\n2 3\n", [[0, 1], [2, 3]]),
        (b"2 3\n0 1\n0 1\n", [[2, 3], [0, 1], [0, 1]]),
        (b" 0\t1 \r\n\r\n2   3\r\n", [[0, 1], [2, 3]]),
    ],
)
def test_reads_files_of_any_length(tmp_path: Path, content: bytes, pairs: list[list[int]]) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(content)
    read = read_filter_pairs(path, 4, 5)
    assert read.dtype == np.int64
    assert read.shape == (len(pairs), 2)
    assert read.tolist() == pairs


def test_no_file_no_pairs(tmp_path: Path) -> None:
    for path in (None, tmp_path / "absent.txt"):
        assert read_filter_pairs(path, 4, 5).shape == (0, 2)


@given(pairs=st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9))))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path: Path, pairs: list[tuple[int, int]]) -> None:
    path = tmp_path / "f.txt"
    write_filter_pairs(path, np.array(pairs, np.int64).reshape(-1, 2))
    assert path.read_text() == "".join(f"{d} {label}\n" for d, label in pairs)
    assert [tuple(p) for p in read_filter_pairs(path, 10**9 + 1, 10**9 + 1).tolist()] == pairs


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("0 1\n4 1\n", 2, "document 4, label 1"),
        ("0 1\n\n0 5\n", 3, "document 0, label 5"),
        ("0 1\n1\n", 2, "'1'; expected a document and a label"),
        ("0 1\n1 2 3\n", 2, "'1 2 3'"),
        ("0 1\n-1 2\n", 2, "'-1 2'"),
        ("0 1\n1.0 2\n", 2, "'1.0 2'"),
        ("0 1\n1,2\n", 2, "'1,2'"),
        ("0 1\ndoc label\n", 2, "'doc label'"),
        ("0 1 2 3\n", 1, "'0 1 2 3'"),
        (f"{10**30} 1\n", 1, "expected a document and a label"),
    ],
)
def test_faults_name_the_line(tmp_path: Path, content: str, line: int, words: str) -> None:
    path = tmp_path / "f.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=words) as caught:
        read_filter_pairs(path, 4, 5)
    assert (caught.value.path, caught.value.line) == (path, line)


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("trn", ["filter_labels_train.txt", "trn_filter_labels.txt"]),
        ("tst", ["filter_labels_test.txt", "tst_filter_labels.txt"]),
    ],
)
def test_names(tmp_path: Path, split: str, names: list[str]) -> None:
    assert filter_file(tmp_path, split) is None
    for name in reversed(names):
        (tmp_path / name).touch()
        assert filter_file(tmp_path, split) == tmp_path / name


def test_misprinted_name_stands_for_test_with_a_warning(tmp_path: Path) -> None:
    misprint = tmp_path / "filter_labels_text.txt"
    misprint.touch()
    assert filter_file(tmp_path, "trn") is None
    with pytest.warns(DataWarning, match="misprint"):
        assert filter_file(tmp_path, "tst") == misprint
    (tmp_path / "filter_labels_test.txt").touch()
    assert filter_file(tmp_path, "tst") == tmp_path / "filter_labels_test.txt"
