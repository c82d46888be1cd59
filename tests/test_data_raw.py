from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from dexa.data import DataWarning, Row, load_dataset, open_source
from dexa.errors import DataError, InputError

LABELS = [{"uid": "a", "title": " red ", "content": "a colour"}, {"title": "blue", "content": ""}]
TRAIN = [
    {"uid": "1", "title": "sky", "content": "up\nthere", "target_ind": [1], "target_rel": [0.5]},
    {"title": "rose", "content": None, "target_ind": [1, 0]},
    {"title": "nothing", "content": "at all", "target_ind": [], "target_rel": []},
]
TEST = [{"title": "sea", "content": "down", "target_ind": [1, 0], "target_rel": [1, 0]}]


def write_lines(path: Path, records: list[dict[str, Any]], *, ascii_only: bool = True) -> None:
    content = "".join(json.dumps(r, ensure_ascii=ascii_only) + "\n" for r in records).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_raw(folder: Path, suffix: str = ".json.gz", *, ascii_only: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    for stem, records in (("lbl", LABELS), ("trn", TRAIN), ("tst", TEST)):
        write_lines(folder / f"{stem}{suffix}", records, ascii_only=ascii_only)
    return folder


@pytest.mark.parametrize("suffix", [".json.gz", ".json", ".jsonl", ".jsonl.gz"])
def test_rows_in_file_order_with_labels_ascending(tmp_path: Path, suffix: str) -> None:
    source = open_source(write_raw(tmp_path / "LF-Tiny", suffix))
    assert (source.name, source.folder) == ("LF-Tiny", tmp_path / "LF-Tiny")
    assert (source.fields, source.splits) == (("title", "content"), ("trn", "tst"))
    assert (source.n_labels, source.n_documents("trn"), source.n_documents("tst")) == (2, 3, 1)
    assert list(source.label_texts()) == ["red  a colour", "blue"]
    assert list(source.rows("trn")) == [
        Row("sky up\nthere", [1], [0.5]),
        Row("rose", [0, 1], [1.0, 1.0]),
        Row("nothing at all", [], []),
    ]
    assert list(source.rows("tst")) == [Row("sea down", [1], [1.0])]
    assert source.filter_pairs("trn").shape == (0, 2)


def test_title_alone_by_name_or_by_choice(tmp_path: Path) -> None:
    titles = write_raw(tmp_path / "LF-TinyTitles")
    assert list(open_source(titles).label_texts()) == ["red", "blue"]
    both = open_source(titles, fields=["title", "content"])
    assert next(both.rows("tst")).text == "sea down"
    chosen = load_dataset(write_raw(tmp_path / "LF-Tiny"), fields=("title",))
    assert chosen.fields == ("title",)
    assert chosen.train is not None
    assert chosen.train.texts == ["sky", "rose", "nothing"]


def test_a_single_part_is_enough(tmp_path: Path) -> None:
    folder = write_raw(tmp_path / "a")
    (folder / "trn.json.gz").unlink()
    source = open_source(folder)
    assert source.splits == ("tst",)
    with pytest.raises(InputError, match="no split 'trn'; expected one of tst"):
        list(source.rows("trn"))
    assert load_dataset(folder).train is None


def test_titles_only_records_need_the_choice_said(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    for stem in ("lbl", "trn"):
        write_lines(folder / f"{stem}.json.gz", [{"title": "a", "target_ind": [0]}])
    assert list(open_source(folder, fields=["title"]).label_texts()) == ["a"]
    with pytest.raises(InputError, match=r"no field 'content'.*choose others with --fields"):
        list(open_source(folder).label_texts())


def test_latin_1_records_are_read_with_a_warning(tmp_path: Path) -> None:
    folder = write_raw(tmp_path / "a")
    line = '{"title": "caf\xe9", "content": "", "target_ind": [0]}\n'
    (folder / "tst.json.gz").write_bytes(gzip.compress(line.encode("latin-1")))
    with pytest.warns(DataWarning, match=r"tst\.json\.gz:1: not UTF-8"):
        assert next(open_source(folder).rows("tst")).text == "café"


def test_filter_pairs_of_each_part(tmp_path: Path) -> None:
    folder = write_raw(tmp_path / "a")
    (folder / "filter_labels_train.txt").write_text("2 1\n0 0\n")
    (folder / "filter_labels_text.txt").write_text("0 1")
    source = open_source(folder)
    assert source.filter_pairs("trn").tolist() == [[2, 1], [0, 0]]
    with pytest.warns(DataWarning, match="misprint"):
        dataset = load_dataset(folder)
    assert dataset.train is not None
    assert dataset.test is not None
    assert dataset.train.filter_pairs.tolist() == [[2, 1], [0, 0]]
    assert dataset.test.filter_pairs.tolist() == [[0, 1]]


def test_matrices_in_memory(tmp_path: Path) -> None:
    dataset = load_dataset(write_raw(tmp_path / "a"))
    assert dataset.n_labels == 2
    assert dataset.label_texts == ["red  a colour", "blue"]
    assert dataset.train is not None
    assert dataset.train.labels.has_canonical_format
    assert dataset.train.labels.toarray().tolist() == [[0, 0.5], [1, 1], [0, 0]]
    assert dataset.test is not None
    assert (dataset.test.labels.nnz, dataset.test.labels.toarray().tolist()) == (1, [[0, 1]])


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
DOCUMENTS = st.lists(
    st.tuples(
        TEXTS, TEXTS, st.dictionaries(st.integers(0, 4), st.floats(0, 9, width=32), max_size=5)
    ),
    min_size=1,
    max_size=6,
)


@given(
    documents=DOCUMENTS, labels=st.lists(TEXTS, min_size=5, max_size=5), ascii_only=st.booleans()
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_and_relevance_survives(
    tmp_path: Path,
    documents: list[tuple[str, str, dict[int, float]]],
    labels: list[str],
    ascii_only: bool,
) -> None:
    folder = tmp_path / "set"
    folder.mkdir(exist_ok=True)
    records = [
        {"title": t, "content": c, "target_ind": list(row), "target_rel": list(row.values())}
        for t, c, row in documents
    ]
    write_lines(folder / "trn.json", records, ascii_only=ascii_only)
    names = [{"title": text, "content": ""} for text in labels]
    write_lines(folder / "lbl.json", names, ascii_only=ascii_only)
    source = open_source(folder)
    assert list(source.label_texts()) == [text.strip() for text in labels]
    expected = []
    for title, content, row in documents:
        kept = {label: row[label] for label in sorted(row) if row[label] > 0}
        expected.append(Row(f"{title} {content}".strip(), list(kept), list(kept.values())))
    assert list(source.rows("trn")) == expected


def test_a_line_of_a_separator_is_no_blank_line(tmp_path: Path) -> None:
    (tmp_path / "trn.json").write_text('{"title": "a", "target_ind": [0]}\n')
    (tmp_path / "lbl.json").write_bytes(b'{"title": "a"}\n\x1d')
    source = open_source(tmp_path, fields=["title"])
    with pytest.raises(DataError, match=r"lbl\.json:2"):
        list(source.label_texts())
