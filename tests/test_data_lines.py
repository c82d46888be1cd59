from __future__ import annotations

from pathlib import Path

import pytest

from dexa.data import DataWarning, Row, load_dataset, open_source
from dexa.errors import InputError


def write_line_form(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "trn_X.txt").write_bytes("sky\r\n\n a\x85b\rc\u2028d \n".encode())
    (folder / "tst_X.txt").write_text("sea")
    (folder / "Y.txt").write_text("red\nblue\n")
    (folder / "trn_X_Y.txt").write_text("3 2\n1:1.0\n\n0:1.0 1:0.0\n")
    (folder / "tst_X_Y.txt").write_text("1 2\n0:1.0 1:0.25\n")
    return folder


def test_rows(tmp_path: Path) -> None:
    source = open_source(write_line_form(tmp_path / "LF-Lines"))
    assert (source.name, source.fields, source.splits) == ("LF-Lines", ("text",), ("trn", "tst"))
    assert (source.n_labels, source.n_documents("trn"), source.n_documents("tst")) == (2, 3, 1)
    assert list(source.label_texts()) == ["red", "blue"]
    assert list(source.rows("trn")) == [
        Row("sky", [1], [1.0]),
        Row("", [], []),
        Row("a\x85b\rc\u2028d", [0], [1.0]),
    ]
    assert list(source.rows("tst")) == [Row("sea", [0, 1], [1.0, 0.25])]


def test_in_memory(tmp_path: Path) -> None:
    folder = write_line_form(tmp_path / "a")
    (folder / "tst_filter_labels.txt").write_text("0 0\n")
    dataset = load_dataset(folder)
    assert dataset.train is not None
    assert dataset.test is not None
    assert dataset.train.labels.toarray().tolist() == [[0, 1], [0, 0], [1, 0]]
    assert dataset.train.labels.nnz == 2
    assert dataset.test.labels.toarray().tolist() == [[1, 0.25]]
    assert dataset.test.filter_pairs.tolist() == [[0, 0]]
    assert dataset.label_texts == ["red", "blue"]


def test_test_alone(tmp_path: Path) -> None:
    folder = write_line_form(tmp_path / "a")
    (folder / "trn_X.txt").unlink()
    assert open_source(folder).splits == ("tst",)


def test_fields_cannot_be_chosen(tmp_path: Path) -> None:
    folder = write_line_form(tmp_path / "a")
    assert open_source(folder, fields=["text"]).fields == ("text",)
    with pytest.raises(InputError, match="fields title of texts that are whole lines"):
        open_source(folder, fields=["title"])


def test_latin_1_lines(tmp_path: Path) -> None:
    folder = write_line_form(tmp_path / "a")
    (folder / "Y.txt").write_bytes(b"rot\nbla\xfc\n")
    with pytest.warns(DataWarning, match=r"Y\.txt:2: not UTF-8"):
        assert list(open_source(folder).label_texts()) == ["rot", "blaü"]
