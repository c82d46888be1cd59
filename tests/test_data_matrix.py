# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from scipy.sparse import csr_array

from dexa.data import blocks, read_label_matrix, read_matrix, write_matrix
from dexa.data import entries as entries_module
from dexa.data import matrix as matrix_module
from dexa.data.entries import float_string, parse_rows
from dexa.data.matrix import label_rows, matrix_shape
from dexa.errors import DataError, MissingFileError

EXAMPLE = "3 3\n0:1.0 2:0.5\n\n1:2.0\n"

# Beyond these bounds, and at 1e-4, `spelled` is not exact; `test_spelling` has such values.
FLOATS = st.floats(-(2.0**66), 2.0**66, width=32).filter(
    lambda x: x == 0 or (abs(x) > 2.0**-66 and abs(x) != np.float32(1e-4))
)
ROWS = st.lists(st.dictionaries(st.integers(0, 11), FLOATS, max_size=6), max_size=8)


def matrix_of(rows: list[dict[int, float]], n_columns: int = 12) -> csr_array:
    """A CSR matrix with the entries in the order that the dictionaries have them."""
    indices = [i for row in rows for i in row]
    values = np.array([v for row in rows for v in row.values()], np.float32)
    pointers = np.cumsum([0, *(len(row) for row in rows)])
    return csr_array((values, np.array(indices, np.int64), pointers), shape=(len(rows), n_columns))


def text_of(rows: list[dict[int, float]], n_columns: int = 12) -> str:
    """The text form, by a loop that is plainly right."""
    lines = [f"{len(rows)} {n_columns}"]
    lines += [" ".join(f"{i}:{spelled(row[i])}" for i in sorted(row)) for row in rows]
    return "\n".join(lines) + "\n"


def spelled(value: float) -> str:
    """The first of ever more digits that float32 reads as the value, as Python spells them."""
    attempts = (f"{value:.{digits}g}" for digits in range(1, 10))
    return repr(float(next(text for text in attempts if np.float32(text) == np.float32(value))))


def entries(matrix: csr_array) -> list[dict[int, float]]:
    rows = []
    for start, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        pairs = zip(matrix.indices[start:end], matrix.data[start:end], strict=True)
        rows.append({int(i): float(v) for i, v in pairs})
    return rows


def test_example_of_the_format(tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_text(EXAMPLE)
    matrix = read_matrix(path)
    assert matrix.dtype == np.float32
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    assert matrix.has_canonical_format
    assert matrix.toarray().tolist() == [[1, 0, 0.5], [0, 0, 0], [0, 2, 0]]
    write_matrix(tmp_path / "again.txt", matrix)
    assert (tmp_path / "again.txt").read_bytes() == EXAMPLE.encode()


@given(rows=ROWS, read_bytes=st.integers(1, 40), write_entries=st.integers(1, 5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip_in_blocks_of_any_size(
    tmp_path: Path, rows: list[dict[int, float]], read_bytes: int, write_entries: int
) -> None:
    path = tmp_path / "m.txt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "READ_BYTES", read_bytes)
        patch.setattr(matrix_module, "_WRITE_ENTRIES", write_entries)
        write_matrix(path, matrix_of(rows))
        read = read_matrix(path)
        assert path.read_text() == text_of(rows)
        assert read.shape == (len(rows), 12)
        assert entries(read) == rows
        path.write_text(text_of(rows).removesuffix("\n") + " # a comment, no newline")
        if rows and rows[-1]:  # else the comment would be a line of its own, which is no row
            assert entries(read_matrix(path)) == rows


@given(rows=ROWS, read_bytes=st.integers(1, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_labels_keep_what_is_above_zero(
    tmp_path: Path, rows: list[dict[int, float]], read_bytes: int
) -> None:
    rows = [{i: abs(v) for i, v in row.items()} for row in rows] or [{}]
    expected = [{i: v for i, v in sorted(row.items()) if v > 0} for row in rows]
    path = tmp_path / "m.txt"
    path.write_text(text_of(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "READ_BYTES", read_bytes)
        assert entries(read_label_matrix(path)) == expected
        streamed = [dict(zip(*row, strict=True)) for row in label_rows(path)]
    assert streamed == expected


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("2 3\n0:1\n2:3e-1\n", [{0: 1}, {2: 0.3}]),
        ("2 3\n0:1.\n2:.5", [{0: 1}, {2: 0.5}]),
        ("2 3\r\n0:1.0 1:1.0\r\n\r\n", [{0: 1, 1: 1}, {}]),
        ("2 3\n 0:1.0   1:1.0 \n\t2:-1E+2\n", [{0: 1, 1: 1}, {2: -100}]),
        ("# head\n2 3 # shape\n# alone\n0:1.0 # behind\n\n  # end\n", [{0: 1}, {}]),
        ("2 3\nqid:1 0:1.0\nqid:2\n", [{0: 1}, {}]),
        ("0 3\n", []),
        ("2 3\n\n\n", [{}, {}]),
        ("2 3\n0:0.0\n1:-0.0\n", [{0: 0}, {1: 0}]),
    ],
)
def test_reads_what_the_format_allows(
    tmp_path: Path, content: str, rows: list[dict[int, float]]
) -> None:
    path = tmp_path / "m.txt"
    path.write_bytes(content.encode())
    read = read_matrix(path)
    assert read.shape == (len(rows), 3)
    assert entries(read) == [{i: float(np.float32(v)) for i, v in row.items()} for row in rows]


@pytest.mark.parametrize("read_bytes", [1, 1 << 24])
@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("", 1, "an empty file"),
        ("# only\n", 1, "an empty file"),
        ("0:1.0\n", 1, "a header `rows cols`"),
        ("3\n", 1, "a header `rows cols`"),
        ("-1 3\n", 1, "a header `rows cols`"),
        ("1 3 5\n0:1.0\n", 1, "the old form"),
        ("# c\n\n1 3\n", 2, "a header `rows cols`"),
        (f"{'9' * 30} 3\n", 1, "a header `rows cols`"),
        ("2 3\n0:1.0\n3:1.0\n", 3, "index 3; expected an index from 0 to 2"),
        ("2 3\n0:1.0 0:1.0\n\n", 2, "index 0 after 0; expected ascending"),
        ("2 3\n\n2:1.0 1:1.0\n", 3, "index 1 after 2; expected ascending"),
        ("2 3\n0:1.0\n0:nan\n", 3, "'0:nan'"),
        ("2 3\n0:1.0\n0:inf\n", 3, "'0:inf'"),
        ("2 3\n0:1.0\n0:1e39\n", 3, "value 1e[+]39; expected a finite float32"),
        ("2 3\n0:1.0\n0:1e999\n", 3, "value inf; expected a finite float32"),
        ("2 3\n0:1.0\n9999999999999999:1\n", 3, "'9999999999999999:1'"),
        ("2 3\n0:1.0\n-1:1.0\n", 3, "'-1:1.0'"),
        ("2 3\n0:1.0\n+1:1.0\n", 3, "'[+]1:1.0'"),
        ("2 3\n0:1.0\n1.0:1.0\n", 3, "'1.0:1.0'"),
        ("2 3\n0:1.0\n0\n", 3, "'0'; expected `index:value`"),
        ("2 3\n0:1.0\n0:\n", 3, "'0:'; expected `index:value`"),
        ("2 3\n0:1.0\n:1\n", 3, "':1'; expected `index:value`"),
        ("2 3\n0:1.0\n0:1 qid:3\n", 3, "'qid:3'"),
        ("2 3\n0:1.0\n0:1:2\n", 3, "'0:1:2'"),
        ("2 3\n0:1.0\n0:1_0\n", 3, "'0:1_0'"),
        ("2 3\n0:1.0\n0:0x1\n", 3, "'0:0x1'"),
        ("2 3\n0:1.0\n0:1.2.3\n", 3, "'0:1.2.3'"),
        ("2 3\n0:1.0\n0:1e\n", 3, "'0:1e'"),
        ("2 3\n0:1.0\n0,1 0:1.0\n", 3, "'0,1'"),
        ("2 3\n0:1.0\ncafé\n", 3, "expected `index:value`"),
        ("2 3\n# c\n\n# c\n5:1.0\n", 5, "index 5"),
        ("3 3\n0:1.0\n\n", 3, "the file ends after 2 rows, 1 are missing"),
        ("3 3\n", 1, "the file ends after 0 rows, 3 are missing"),
        ("1 3\n0:1.0\n1:1.0\n2:1.0\n", 3, "row 2; expected the 1 rows"),
        ("1 3\n0:1.0\n\n", 3, "row 2; expected the 1 rows"),
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
    path = tmp_path / "m.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=words) as caught:
        read_matrix(path)
    assert (caught.value.path, caught.value.line) == (path, line)
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_text("0:1.0 2:0.5\n\n1:2.0\n")
    assert read_matrix(path, header=False).toarray().tolist() == [[1, 0, 0.5], [0, 0, 0], [0, 2, 0]]
    path.write_text("")
    assert read_matrix(path, header=False).shape == (0, 0)
    path.write_text("0:1.0\n1 2\n")
    with pytest.raises(DataError, match=r"m\.txt:2: '1'"):
        read_matrix(path, header=False)


@given(rows=st.lists(st.lists(st.tuples(st.integers(0, 11), st.integers(-9, 9)), max_size=6)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_not_strict_sums_and_fills_up(tmp_path: Path, rows: list[list[tuple[int, int]]]) -> None:
    path = tmp_path / "m.txt"
    lines = [" ".join(f"{index}:{value}" for index, value in row) for row in rows]
    path.write_text(f"{len(rows) + 2} 12\n" + "".join(f"{line}\n" for line in lines))
    expected: list[dict[int, float]] = []
    for row in [*rows, [], []]:
        sums: dict[int, float] = {}
        for index, value in row:
            sums[index] = sums.get(index, 0) + value
        expected.append({index: sums[index] for index in sorted(sums)})
    assert entries(read_matrix(path, strict=False)) == expected


def test_not_strict_is_still_exact(tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    for content, line, words in (
        ("1 3\n1:1\n\n", 3, "row 2"),
        ("1 3\n1:1 3:1\n", 2, "index 3"),
        ("1 3\n1:1e39\n", 2, "value 1e"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=words) as caught:
            read_matrix(path, strict=False)
        assert caught.value.line == line


def test_sums_beyond_float32_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_text("1 3\n1:3e38 1:3e38\n")
    with pytest.raises(DataError, match=r"m\.txt:2: the values of index 1 add up to inf"):
        read_matrix(path, strict=False)


def test_gzipped(tmp_path: Path) -> None:
    path = tmp_path / "m.txt.gz"
    path.write_bytes(gzip.compress(EXAMPLE.encode()))
    assert read_matrix(path).nnz == 3
    content = gzip.compress(EXAMPLE.encode() * 40)
    for broken in (content[:-12], content[:10] + b"\xff" * 40, b"1 3\n\n"):
        path.write_bytes(broken)
        with pytest.raises(DataError, match=r"m\.txt\.gz:\d+: broken gzip"):
            read_matrix(path)


@pytest.mark.parametrize(
    ("value", "spelling"),
    [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (100, "100.0"),
        (0.1, "0.1"),
        (1e-4, "1e-04"),
        (1.0001e-4, "0.00010001"),
        (1.234e-5, "1.234e-05"),
        (1e-45, "1e-45"),
        (1234567.8, "1234567.8"),
        (123456789, "123456790.0"),
        (-1e10, "-10000000000.0"),
        (9e15, "9000000000000000.0"),
        (1e16, "1e+16"),
        (3.4028235e38, "3.4028235e+38"),
    ],
)
def test_spelling(tmp_path: Path, value: float, spelling: str) -> None:
    """As NumPy 2.0 writes float32, whatever NumPy is installed."""
    path = tmp_path / "m.txt"
    write_matrix(path, csr_array(([value], [0], [0, 1]), shape=(1, 1)))
    assert path.read_text() == f"1 1\n0:{spelling}\n"
    assert read_matrix(path).data[0] == np.float32(value)
    assert float_string(np.float32(value)) == spelling


PIECES = ["1:", "2:3", " ", "\n", ":", "1.5", "-", "+", "e", "E5", ".", "0", "0:1", "x", "#"]
PIECES += ["qid:3 ", "\t", "\r", "nan", "inf", "0x1", "1e999", ",", '"']


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=12))
def test_the_fast_way_reads_as_the_slow_one(pieces: list[str]) -> None:
    block = "".join(pieces).encode() + b"\n"
    ways = []
    for table_numbers in (entries_module._table_numbers, lambda _: None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(entries_module, "_table_numbers", table_numbers)
            try:
                rows = parse_rows(block, np.arange(block.count(b"\n")), Path("m.txt"))
                ways.append([column.tolist() for column in rows])
            except DataError as error:
                ways.append(str(error))
    assert ways[0] == ways[1]


def test_labels_are_never_negative_nor_none(tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_text("2 3\n0:1.0\n1:-0.5\n")
    with pytest.raises(DataError, match=r"value -0\.5; expected a finite float32 of at least 0"):
        read_label_matrix(path)
    with pytest.raises(DataError, match=r"m\.txt:3: value -0.5"):
        list(label_rows(path))
    for header in ("0 3\n", "0 0\n"):
        path.write_text(header)
        with pytest.raises(DataError, match=r"m\.txt:1: 0 documents and \d labels"):
            read_label_matrix(path)


@given(content=st.text(alphabet="01:. -#\n\r\te", max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_matrix_or_one_error_with_a_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "m.txt"
    path.write_bytes(b"2 3\n" + content.encode())
    try:
        matrix = read_matrix(path)
    except DataError as error:
        assert error.path == path
        assert error.line is not None
        assert 1 <= error.line <= content.count("\n") + 2
    else:
        assert matrix.shape == (2, 3)
        write_matrix(path, matrix)
        assert entries(read_matrix(path)) == entries(matrix)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"m\.txt: no such file"):
        matrix_shape(tmp_path / "m.txt")


def test_write_sorts_and_sums_on_a_copy(tmp_path: Path) -> None:
    matrix = csr_array(
        (np.array([1.0, 2.0, 3.0]), np.array([2, 0, 2]), np.array([0, 3])), shape=(1, 3)
    )
    write_matrix(tmp_path / "m.txt", matrix)
    assert (tmp_path / "m.txt").read_text() == "1 3\n0:2.0 2:4.0\n"
    assert matrix.indices.tolist() == [2, 0, 2]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_write_refuses_what_it_could_not_read(tmp_path: Path, value: float) -> None:
    with pytest.raises(DataError, match="not a finite float32"):
        write_matrix(tmp_path / "m.txt", csr_array(np.array([[value]])))
    assert list(tmp_path.iterdir()) == []


def test_large_matrices_take_a_moment(tmp_path: Path) -> None:
    """134,835 × 131,073 with 284,746 entries: at most 0.15 CPU-s to read, 0.3 to write."""
    draw = np.random.default_rng(0)
    cells = np.unique(draw.integers(0, 134_835 * 131_073, 284_746))
    counts = np.bincount(cells // 131_073, minlength=134_835)
    matrix = csr_array(
        (np.ones(len(cells), np.float32), cells % 131_073, np.concatenate([[0], counts.cumsum()])),
        shape=(134_835, 131_073),
    )
    path = tmp_path / "m.txt"
    assert _fastest(lambda: write_matrix(path, matrix)) < 0.3
    assert _fastest(lambda: read_matrix(path)) < 0.15
    read = read_matrix(path)
    assert np.array_equal(read.indptr, matrix.indptr)
    assert np.array_equal(read.indices, matrix.indices)
    assert (read.data == 1).all()


def _fastest(step: Callable[[], object]) -> float:
    """CPU seconds of the best of three."""
    times = []
    for _ in range(3):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return min(times)


def test_whole_numbers_without_decimals(tmp_path: Path) -> None:
    """As the repository's convert_format.pl spells them."""
    values = np.float32([[1, 0, 0.5], [0, 1e10, 1e-5], [2e16, -3, 0]])
    write_matrix(tmp_path / "a.txt", csr_array(values), decimals=False)
    assert (tmp_path / "a.txt").read_text() == (
        "3 3\n0:1 2:0.5\n1:10000000000 2:1e-05\n0:2e+16 1:-3\n"
    )
    assert np.array_equal(read_matrix(tmp_path / "a.txt").toarray(), values)
