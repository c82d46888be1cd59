from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dexa.data import DataWarning, Row, load_dataset, open_source
from dexa.data.tables import label_keys
from dexa.errors import DataError

Records = Sequence[dict[str, Any]]
Writer = Callable[[Path, Records], None]


def write_csv(path: Path, records: Records) -> None:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(records[0]))
    writer.writeheader()
    for record in records:
        cells = {k: json.dumps(v) if isinstance(v, list) else v for k, v in record.items()}
        writer.writerow(cells)
    content = out.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_jsonl(path: Path, records: Records) -> None:
    content = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_parquet(path: Path, records: Records) -> None:
    pq.write_table(pa.Table.from_pylist(list(records)), path, row_group_size=1)


FORMATS = pytest.mark.parametrize(
    ("suffix", "write"),
    [
        (".csv", write_csv),
        (".csv.gz", write_csv),
        (".jsonl", write_jsonl),
        (".jsonl.gz", write_jsonl),
        (".parquet", write_parquet),
    ],
)

TRAIN = [
    {"text": " the sky,\nat noon ", "labels": ["blue", "bright"]},
    {"text": "a \u2028rose\x85\r", "labels": ["red"]},
    {"text": "", "labels": []},
]


@FORMATS
def test_labels_seen_in_train_are_the_universe(tmp_path: Path, suffix: str, write: Writer) -> None:
    write(tmp_path / f"train{suffix}", TRAIN)
    write(tmp_path / f"test{suffix}", [{"labels": ["grey", "red", "huge"], "text": "a brick"}])
    source = open_source(tmp_path)
    assert (source.name, source.fields, source.splits) == (
        tmp_path.name,
        ("text",),
        ("trn", "tst"),
    )
    assert (source.n_labels, source.n_documents("trn"), source.n_documents("tst")) == (3, 3, 1)
    assert list(source.label_texts()) == ["blue", "bright", "red"]
    assert list(source.rows("trn")) == [
        Row("the sky,\nat noon", [0, 1], [1.0, 1.0]),
        Row("a \u2028rose", [2], [1.0]),
        Row("", [], []),
    ]
    with pytest.warns(DataWarning, match=rf"test{suffix}: 2 labels were dropped"):
        assert list(source.rows("tst")) == [Row("a brick", [2], [1.0])]


@FORMATS
def test_labels_table_with_keys(tmp_path: Path, suffix: str, write: Writer) -> None:
    write(tmp_path / f"train{suffix}", [{"text": "a", "labels": [7, 40]}])
    keys = [{"label": 40, "text": "forty"}, {"label": 7, "text": "seven"}, {"label": 8, "text": ""}]
    write(tmp_path / f"labels{suffix}", keys)
    source = open_source(tmp_path)
    assert source.n_labels == 3
    assert list(source.label_texts()) == ["forty", "seven", ""]
    assert list(source.rows("trn")) == [Row("a", [0, 1], [1.0, 1.0])]


@FORMATS
def test_labels_table_without_keys(tmp_path: Path, suffix: str, write: Writer) -> None:
    write(tmp_path / f"train{suffix}", [{"text": "a", "labels": [2, 0]}])
    write(tmp_path / f"labels{suffix}", [{"text": "zero"}, {"text": "one"}, {"text": "two"}])
    dataset = load_dataset(tmp_path)
    assert dataset.label_texts == ["zero", "one", "two"]
    assert dataset.train is not None
    assert dataset.train.labels.toarray().tolist() == [[1, 0, 1]]


@FORMATS
def test_a_single_table(tmp_path: Path, suffix: str, write: Writer) -> None:
    path = tmp_path / f"news{suffix}"
    write(path, TRAIN)
    (tmp_path / "filter_labels_train.txt").write_text("0 0\n")
    dataset = load_dataset(path)
    assert (dataset.name, dataset.folder, dataset.test) == ("news", tmp_path, None)
    assert dataset.train is not None
    assert dataset.train.texts == ["the sky,\nat noon", "a \u2028rose", ""]
    assert dataset.train.labels.toarray().tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert len(dataset.train.filter_pairs) == 0  # the filter belongs to train.*


@FORMATS
def test_columns_by_choice(tmp_path: Path, suffix: str, write: Writer) -> None:
    record = {"title": "t", "abstract": "a", "tags": ["x"], "more": "m"}
    write(tmp_path / f"train{suffix}", [record])
    (tmp_path / "filter_labels_train.txt").write_text("0 0\n")
    source = open_source(tmp_path, fields=["abstract", "title"], labels_column="tags")
    assert source.fields == ("abstract", "title")
    assert list(source.rows("trn")) == [Row("a t", [0], [1.0])]
    assert source.filter_pairs("trn").tolist() == [[0, 0]]
    assert load_dataset(tmp_path, text_column="title", labels_column="tags").fields == ("title",)
    write(tmp_path / f"labels{suffix}", [{"text": "spare", "id": "x"}])
    source = open_source(tmp_path, text_column="title", labels_column="tags")
    assert list(source.label_texts()) == ["spare"]


@pytest.mark.parametrize(
    ("cell", "keys"),
    [
        (None, []),
        ("", []),
        ("  ", []),
        (";", []),
        ([], []),
        ("[]", []),
        ("red", ["red"]),
        ("dark red", ["dark red"]),
        (" red ; dark blue ;", ["red", "dark blue"]),
        ("red, dark blue", ["red", "dark blue"]),
        ("a, b; c", ["a, b", "c"]),
        ("3", ["3"]),
        ("3 14  15", ["3", "14", "15"]),
        ("3 of 14", ["3 of 14"]),
        ("3;14", ["3", "14"]),
        ('["a, b", "c; d"]', ["a, b", "c; d"]),
        ("[3, 14]", ["3", "14"]),
        (7, ["7"]),
        ([7, " red "], ["7", "red"]),
    ],
)
def test_cells_of_labels(tmp_path: Path, cell: Any, keys: list[str]) -> None:
    assert label_keys(cell, tmp_path, 1) == keys


@pytest.mark.parametrize(
    "cell",
    [True, 1.0, {"a": 1}, [None], [""], [["a"]], [1, 1.5], "[1,", "['a']", '[1, "1"]', "a;a"],
)
def test_cells_that_are_no_labels(tmp_path: Path, cell: Any) -> None:
    path = tmp_path / "t.csv"
    with pytest.raises(DataError, match=r"t\.csv:5: label"):
        label_keys(cell, path, 5)


def test_csv_of_long_cells_blank_lines_and_windows_ends(tmp_path: Path) -> None:
    long = "word " * 60_000
    content = f'text, labels\r\n\r\n"{long}",a\r\nshort,b\r\n'
    (tmp_path / "train.csv").write_bytes(content.encode("utf-8-sig"))
    texts = [row.text for row in open_source(tmp_path).rows("trn")]
    assert texts == [long.strip(), "short"]


def test_mixed_formats_and_nulls(tmp_path: Path) -> None:
    write_parquet(
        tmp_path / "train.parquet",
        [{"text": "a", "labels": ["x", "y"]}, {"text": None, "labels": None}],
    )
    (tmp_path / "test.jsonl").write_text('{"text": null, "labels": null}\n')
    (tmp_path / "labels.csv").write_text("id,text\nx,ex\ny,why\n")
    dataset = load_dataset(tmp_path)
    assert dataset.train is not None
    assert dataset.test is not None
    assert dataset.train.texts == ["a", ""]
    assert dataset.train.labels.toarray().tolist() == [[1, 1], [0, 0]]
    assert (dataset.test.texts, dataset.test.labels.nnz) == ([""], 0)


def test_a_test_table_is_enough_beside_a_labels_table(tmp_path: Path) -> None:
    write_csv(tmp_path / "test.csv", [{"text": "a", "labels": "x"}])
    with pytest.raises(DataError, match="a test table alone"):
        open_source(tmp_path)
    write_csv(tmp_path / "labels.csv", [{"label": "x", "text": "ex"}])
    assert list(open_source(tmp_path).rows("tst")) == [Row("a", [0], [1.0])]
