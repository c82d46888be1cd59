from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from dexa.data import DataWarning, Row, convert, load_dataset, open_source, write_npz
from dexa.data.npz import read_label_npz
from dexa.errors import DataError, InputError, MissingFileError


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


def test_the_layout_of_dexml(tmp_path: Path) -> None:
    lines = write_line_form(tmp_path / "a")
    folder = tmp_path / "LF-Dexml"
    convert(lines, folder, "dexml")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
        "Y.trn.npz",
        "Y.tst.npz",
        "raw/Y.txt",
        "raw/trn_X.txt",
        "raw/tst_X.txt",
    ]
    expected, found = open_source(lines), open_source(folder)
    assert list(found.label_texts()) == ["red", "blue"]
    for split in ("trn", "tst"):
        assert list(found.rows(split)) == list(expected.rows(split))
        assert found.n_documents(split) == expected.n_documents(split)
    write_npz(folder / "Y.trn.npz", csr_array(np.float32([[1, 0, 0]])))
    with pytest.raises(DataError, match=r"Y\.trn\.npz: 3 columns, but raw/Y\.txt has 2 lines"):
        open_source(folder)
    (folder / "Y.trn.npz").unlink()
    with pytest.raises(MissingFileError, match=r"raw/Y\.txt and labels in Y\.trn\.npz"):
        open_source(folder)


def test_raw_texts_are_latin_1(tmp_path: Path) -> None:
    folder = tmp_path / "LF-Raw"
    folder.mkdir()
    (folder / "trn.raw.txt").write_bytes(b"caf\xe9 \xc3\xa9\n a \n")
    (folder / "lbl.raw.txt").write_bytes(b"\xfcber\nb\n")
    (folder / "trn_X_Y.txt").write_text("2 2\n0:1.0\n1:1.0\n")
    dataset = load_dataset(folder)
    assert dataset.train is not None
    assert dataset.train.texts == ["café Ã©", "a"]  # never guessed to be UTF-8, and no warning
    assert dataset.label_texts == ["über", "b"]
    convert(folder, tmp_path / "again", "raw-text")
    assert (tmp_path / "again" / "trn.raw.txt").read_bytes() == b"caf\xe9 \xc3\xa9\na\n"
    assert (tmp_path / "again" / "lbl.raw.txt").read_bytes() == b"\xfcber\nb\n"


def test_letters_that_latin_1_lacks(tmp_path: Path) -> None:
    lines = write_line_form(tmp_path / "a")
    (lines / "Y.txt").write_text("red\nblåu☃\n")
    with pytest.raises(DataError, match=r"lbl\.raw\.txt:2: '☃' in 'blåu☃'; expected .*latin-1"):
        convert(lines, tmp_path / "out", "raw-text")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("value", "words"), [([[-1.0, 1]], "negative relevances"), (np.zeros((1, 0)), "1 documents")]
)
def test_archives_that_hold_no_labels(tmp_path: Path, value: object, words: str) -> None:
    write_npz(tmp_path / "a.npz", csr_array(np.array(value, np.float32)))
    with pytest.raises(DataError, match=words):
        read_label_npz(tmp_path / "a.npz")
