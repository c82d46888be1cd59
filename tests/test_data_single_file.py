from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from scipy.sparse import csr_array

from dexa.data import (
    DataWarning,
    blocks,
    read_matrix,
    read_single_file,
    write_matrix,
    write_single_file,
)
from dexa.data import matrix as matrix_module
from dexa.data.single_file import is_single_file
from dexa.errors import DataError
from test_data_matrix import FLOATS, entries, matrix_of, spelled

EXAMPLE = "3 4 2\n0,1 0:0.5 3:1.0\n 2:1.0\n1 \n"

ROWS = st.lists(
    st.tuples(
        st.sets(st.integers(0, 4), max_size=3),
        st.dictionaries(st.integers(0, 11), FLOATS, max_size=4),
    ),
    max_size=7,
)


def text_of(rows: list[tuple[set[int], dict[int, float]]]) -> str:
    """The old form, by a loop that is plainly right."""
    lines = [f"{len(rows)} 12 5"]
    for labels, features in rows:
        pairs = [f"{i}:{spelled(features[i])}" for i in sorted(features)]
        lines.append(",".join(map(str, sorted(labels))) + " " + " ".join(pairs))
    return "\n".join(lines) + "\n"


def test_example_of_the_form(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text(EXAMPLE)
    features, labels = read_single_file(path)
    assert features.toarray().tolist() == [[0.5, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert labels.toarray().tolist() == [[1, 1], [0, 0], [0, 1]]
    assert features.dtype == labels.dtype == np.float32
    write_single_file(tmp_path / "again.txt", features, labels)
    assert (tmp_path / "again.txt").read_text() == EXAMPLE
    assert is_single_file(path)


@given(rows=ROWS, read_bytes=st.integers(1, 50), write_entries=st.integers(1, 5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip_in_blocks_of_any_size(
    tmp_path: Path,
    rows: list[tuple[set[int], dict[int, float]]],
    read_bytes: int,
    write_entries: int,
) -> None:
    path = tmp_path / "train.txt"
    features = matrix_of([row for _, row in rows])
    labels = matrix_of([dict.fromkeys(row, 1.0) for row, _ in rows], 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "READ_BYTES", read_bytes)
        patch.setattr(matrix_module, "_WRITE_ENTRIES", write_entries)
        write_single_file(path, features, labels)
        assert path.read_text() == text_of(rows)
        read = read_single_file(path)
    assert entries(read.features) == [row for _, row in rows]
    assert entries(read.labels) == [dict.fromkeys(sorted(row), 1.0) for row, _ in rows]


@given(rows=ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip_by_way_of_two_matrices(
    tmp_path: Path, rows: list[tuple[set[int], dict[int, float]]]
) -> None:
    single, features, labels = (tmp_path / name for name in ("s.txt", "x.txt", "y.txt"))
    single.write_text(text_of(rows))
    read = read_single_file(single)
    write_matrix(features, read.features)
    write_matrix(labels, read.labels)
    write_single_file(single, read_matrix(features), read_matrix(labels))
    assert single.read_text() == text_of(rows)


@pytest.mark.parametrize(
    ("content", "labels", "features"),
    [
        ("1 3 3\n2,0 0:1", [{0, 2}], [{0: 1}]),
        ("1 3 3\n2,0\n", [{0, 2}], [{}]),
        ("2 3 3\n\n 1:1\n", [set(), set()], [{}, {1: 1}]),
        ("1 3 3\r\n1 0:1.0  2:2.0 \r\n", [{1}], [{0: 1, 2: 2}]),
        ("1 3 3\n1\t0:1.0\n", [{1}], [{0: 1}]),
        ("# head\n1 3 3\n# alone\n1 0:1 # behind\n #\n", [{1}], [{0: 1}]),
        ("1 3 3\n# c\n1 0:1\n", [{1}], [{0: 1}]),
        ("0 3 3\n# c\n", [], []),
        ("0 3 3\n", [], []),
    ],
)
def test_reads_what_the_form_allows(
    tmp_path: Path,
    content: str,
    labels: list[set[int]],
    features: list[dict[int, float]],
) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(content.encode())
    read = read_single_file(path)
    assert [set(row) for row in entries(read.labels)] == labels
    assert entries(read.features) == features


@pytest.mark.parametrize("read_bytes", [1, 1 << 24])
@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("", 1, "an empty file; expected a header `documents features labels`"),
        ("1 3\n0:1.0\n", 1, "one matrix alone"),
        ("1 3 x\n0 0:1.0\n", 1, "'1 3 x'"),
        ("2 3 3\n1 0:1.0\n0:1.0 1:1.0\n", 3, "'0:1.0'; expected labels `l1,l2`.* with a space"),
        ("2 3 3\n1 0:1.0\n1, 1:1.0\n", 3, "'1,'"),
        ("2 3 3\n1 0:1.0\n1,,2 1:1.0\n", 3, "'1,,2'"),
        ("2 3 3\n1 0:1.0\n-1 1:1.0\n", 3, "'-1'"),
        ("2 3 3\n1 0:1.0\n1.0 1:1.0\n", 3, "'1.0'"),
        ("2 3 3\n1 0:1.0\n3 1:1.0\n", 3, "index 3; expected an index from 0 to 2"),
        ("2 3 3\n1 0:1.0\n2,1,2 1:1.0\n", 3, "index 2 after 2"),
        ("2 3 3\n1 0:1.0\n2 3:1.0\n", 3, "index 3; expected an index from 0 to 2"),
        ("2 3 3\n1 0:1.0\n2 1:1.0 1:1.0\n", 3, "index 1 after 1"),
        ("2 3 3\n1 0:1.0\n2 1:1.0 0:1.0\n", 3, "index 0 after 1"),
        ("2 3 3\n1 0:1.0\n2 1:x\n", 3, "'1:x'"),
        ("2 3 3\n1 0:1.0\n2 1:1e39\n", 3, "value 1e[+]39"),
        ("2 3 3\n1 0:1.0\n2 1:nan\n", 3, "'1:nan'"),
        ("2 3 3\n# c\n1 0:1.0\n2 7:1.0\n", 4, "index 7"),
        ("2 3 0\n 0:1.0\n0 0:1.0\n", 3, "index 0; expected no entries: no columns"),
        ("3 3 3\n1 0:1.0\n\n", 3, "the file ends after 2 rows, 1 are missing"),
        ("1 3 3\n1 0:1.0\n\n", 3, "row 2; expected the 1 rows"),
    ],
)
def test_faults_name_the_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str,
    line: int,
    words: str,
    read_bytes: int,
) -> None:
    monkeypatch.setattr(blocks, "READ_BYTES", read_bytes)
    path = tmp_path / "train.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=words) as caught:
        read_single_file(path)
    assert (caught.value.path, caught.value.line) == (path, line)


def test_relevances_are_lost_aloud(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    labels = csr_array(np.array([[0.5, 0.0], [1.0, 2.0]], np.float32))
    with pytest.warns(DataWarning, match=r"train\.txt: 2 relevances are not 1"):
        write_single_file(path, csr_array((2, 3)), labels)
    assert path.read_text() == "2 3 2\n0 \n0,1 \n"


def test_a_written_zero_is_no_label(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    labels = csr_array(([0.0, 1.0], [0, 1], [0, 2]), shape=(1, 2))
    write_single_file(path, csr_array((1, 3)), labels)
    assert path.read_text() == "1 3 2\n1 \n"
    assert labels.nnz == 2


def test_rows_of_both_are_as_many(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 rows of features and 1 of labels"):
        write_single_file(tmp_path / "train.txt", csr_array((2, 3)), csr_array((1, 3)))


@pytest.mark.parametrize("content", ["", "# c\n", "1 2\n", "1 2 3 4\n", "\n1 2 3\n"])
def test_other_files_are_not_of_the_form(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.txt").write_text(content)
    assert not is_single_file(tmp_path / "x.txt")
