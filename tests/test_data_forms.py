from __future__ import annotations

import gzip
import json
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from scipy.sparse import csr_array

from dexa.data import (
    Dataset,
    Form,
    Split,
    convert,
    load_dataset,
    read_label_matrix,
    read_matrix,
    read_npz,
    write_npz,
)
from dexa.data.writing import write_lines, write_raw
from dexa.errors import DataError, InputError, MissingFileError
from tiny import LABELS, write_dataset

FEATURES = {
    "trn_X_Xf.txt": "3 4\n0:0.5 3:1.0\n2:1.0\n\n",
    "trn_X_Y.txt": "3 2\n0:1.0 1:1.0\n\n1:1.0\n",
    "tst_X_Xf.txt": "1 4\n1:0.25\n",
    "tst_X_Y.txt": "1 2\n0:1.0\n",
}
SINGLE = {
    "train.txt": "3 4 2\n0,1 0:0.5 3:1.0\n 2:1.0\n1 \n",
    "test.txt": "1 4 2\n0 1:0.25\n",
}
EXTRAS = {
    "lbl_X_Xf.txt": "2 4\n0:1.0\n\n",
    "Xf.txt": "a\nb\nc\nd\n",
    "filter_labels_train.txt": "0 1\n",
}


def made(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


# features


def test_two_matrices_to_one_file_and_back(tmp_path: Path) -> None:
    source = made(tmp_path / "source", FEATURES | EXTRAS)
    convert(source, tmp_path / "single", Form.single)
    assert contents(tmp_path / "single") == SINGLE | EXTRAS
    convert(tmp_path / "single", tmp_path / "again", "matrices")
    assert contents(tmp_path / "again") == FEATURES | EXTRAS


def test_by_way_of_archives(tmp_path: Path) -> None:
    source = made(tmp_path / "source", FEATURES | EXTRAS)
    convert(source, tmp_path / "npz", Form.npz)
    assert sorted(path.name for path in (tmp_path / "npz").iterdir()) == [
        "Xf.txt",
        "filter_labels_train.txt",
        "lbl_X_Xf.npz",
        "trn_X_Xf.npz",
        "trn_X_Y.npz",
        "tst_X_Xf.npz",
        "tst_X_Y.npz",
    ]
    convert(tmp_path / "npz", tmp_path / "again", Form.matrices)
    assert contents(tmp_path / "again") == FEATURES | EXTRAS


@pytest.mark.parametrize(
    ("name", "split"), [("train.txt", "trn"), ("test.txt", "tst"), ("eurlex.txt", "trn")]
)
def test_a_single_file_alone(tmp_path: Path, name: str, split: str) -> None:
    source = made(tmp_path / "source", {name: SINGLE["train.txt"]})
    convert(source / name, tmp_path / "out", "matrices")
    assert contents(tmp_path / "out") == {
        f"{split}_X_Xf.txt": FEATURES["trn_X_Xf.txt"],
        f"{split}_X_Y.txt": FEATURES["trn_X_Y.txt"],
    }


def test_written_zeros_and_relevances_of_archives(tmp_path: Path) -> None:
    folder = made(tmp_path / "source", {})
    write_npz(folder / "trn_X_Xf.npz", csr_array(([0.0], [1], [0, 1]), shape=(1, 3)))
    write_npz(folder / "trn_X_Y.npz", csr_array(([0.0, 0.5], [0, 1], [0, 2]), shape=(1, 2)))
    convert(folder, tmp_path / "out", "matrices")
    assert contents(tmp_path / "out") == {
        "trn_X_Xf.txt": "1 3\n1:0.0\n",
        "trn_X_Y.txt": "1 2\n1:0.5\n",
    }


# matrices alone


def test_matrix_to_archive_and_back(tmp_path: Path) -> None:
    source = made(tmp_path / "source", FEATURES)
    convert(source / "trn_X_Xf.txt", tmp_path / "m.npz")
    assert read_npz(tmp_path / "m.npz").shape == (3, 4)
    convert(tmp_path / "m.npz", tmp_path / "m.txt")
    assert (tmp_path / "m.txt").read_text() == FEATURES["trn_X_Xf.txt"]


# texts


def test_texts_in_every_form(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "LF-TinyTitles-24")
    first = load_dataset(source)
    for form in ("lines", "raw"):
        convert(source, tmp_path / f"Titles-{form}", form)
        again = load_dataset(tmp_path / f"Titles-{form}")
        for before, after in ((first.train, again.train), (first.test, again.test)):
            assert before is not None
            assert after is not None
            assert before.texts == after.texts
            assert (before.labels != after.labels).nnz == 0
            assert np.array_equal(before.filter_pairs, after.filter_pairs)
        assert again.label_texts == LABELS
        source = tmp_path / f"Titles-{form}"


def test_features_are_made_of_texts_where_there_are_none(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "LF-TinyTitles-24")
    convert(source, tmp_path / "out", "matrices", fields=["title", "content"])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *FEATURES,
        "lbl_X_Xf.txt",
        "Xf.txt",
        "filter_labels_test.txt",
    }
    names = (tmp_path / "out" / "Xf.txt").read_text().splitlines()
    features = read_matrix(tmp_path / "out" / "trn_X_Xf.txt")
    assert features.shape == (64, len(names))
    assert read_matrix(tmp_path / "out" / "lbl_X_Xf.txt").shape == (24, len(names))
    train = load_dataset(source).train
    assert train is not None
    assert (read_label_matrix(tmp_path / "out" / "trn_X_Y.txt") != train.labels).nnz == 0
    assert {"amber", "amber bridge", "#<ambe"} <= set(names)


LINES = st.text(st.characters(codec="utf-8", exclude_characters="\ufeff"), max_size=8).map(
    str.strip
)


@given(
    texts=st.lists(
        st.tuples(
            LINES,
            st.dictionaries(st.integers(0, 2), st.floats(2.0**-40, 2.0**40, width=32), max_size=3),
        ),
        min_size=1,
        max_size=4,
    ),
    label_texts=st.tuples(LINES, LINES, LINES),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trips_of_any_texts(
    tmp_path: Path, texts: list[tuple[str, dict[int, float]]], label_texts: tuple[str, ...]
) -> None:
    dense = np.zeros((len(texts), 3), np.float32)
    for row, (_, labels) in enumerate(texts):
        for label, value in labels.items():
            dense[row, label] = value
    dataset = Dataset(
        name="any",
        train=Split(labels=csr_array(dense), texts=[text for text, _ in texts]),
        test=None,
        label_texts=list(label_texts),
        folder=None,
        fields=("text",),
    )
    for write, fields in ((write_raw, ["title"]), (write_lines, None)):
        folder = tmp_path / write.__name__
        folder.mkdir(exist_ok=True)
        write(dataset, folder)
        read = load_dataset(folder, fields=fields)
        assert read.train is not None
        assert np.array_equal(read.train.labels.toarray(), dense)
        if write is write_raw:
            assert read.train.texts == [text for text, _ in texts]
            assert read.label_texts == list(label_texts)
        else:
            assert read.train.texts == [text.replace("\n", " ") for text, _ in texts]
            assert read.label_texts == [text.replace("\n", " ") for text in label_texts]


def test_raw_bytes(tmp_path: Path) -> None:
    dataset = Dataset.from_lists(["caf\u00e9", "x"], [[0, 1], []], ["a", "b"])
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        write_raw(dataset, folder)
    one, two = ((tmp_path / name / "trn.json.gz").read_bytes() for name in ("one", "two"))
    assert one == two
    row = {"uid": "0", "title": "caf\u00e9", "content": ""}
    row |= {"target_ind": [0, 1], "target_rel": [1.0, 1.0]}
    assert gzip.decompress(one).decode("ascii").splitlines()[0] == json.dumps(row)


# mistakes


def refused(
    error: type[InputError], words: str, source: Path, target: Path, form: str | None
) -> None:
    with pytest.raises(error, match=words):
        convert(source, target, form)
    assert not target.exists() or target.is_file() or any(target.iterdir())


def test_what_does_not_go_together(tmp_path: Path) -> None:
    source = made(tmp_path / "source", FEATURES)
    matrix, out = source / "trn_X_Xf.txt", tmp_path / "out"
    refused(MissingFileError, "none: no such", tmp_path / "none", out, "raw")
    refused(InputError, "source to out; expected a .txt matrix", source, out, None)
    refused(InputError, "trn_X_Xf.txt to m.txt", matrix, tmp_path / "m.txt", None)
    refused(InputError, "exists already", source, source, "single")
    refused(InputError, "exists already", source, matrix, "single")
    refused(DataError, "trn_X_Xf.txt:1: a file that is not of the old form", matrix, out, "npz")
    refused(DataError, "source: no data set|has no texts", source, out, "raw")
    with pytest.raises(ValueError, match="'csv' is not a valid Form"):
        convert(source, out, "csv")


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"trn_X_Y.txt": None}, MissingFileError, "no labels beside trn_X_Xf.txt"),
        ({"trn_X_Y.txt": "2 2\n\n\n"}, DataError, r"trn_X_Xf\.txt:1: 3 rows of features"),
        ({"trn_X_Y.txt": "3 2\n\n0:-1\n\n"}, DataError, r"trn_X_Y\.txt:3: value -1"),
        ({"tst_X_Xf.txt": "1 4\n1:1e39\n"}, DataError, r"tst_X_Xf\.txt:2: value 1e\+39"),
        ({"filter_labels_train.txt": "3 0\n"}, DataError, r"train\.txt:1: document 3"),
        ({"Xf.txt": "a\na\n"}, DataError, r"Xf\.txt:2: 'a' again"),
    ],
)
def test_broken_features_leave_nothing(
    tmp_path: Path, changes: dict, error: type[InputError], words: str
) -> None:
    files = {name: content for name, content in (FEATURES | changes).items() if content is not None}
    source = made(tmp_path / "source", files)
    refused(error, words, source, tmp_path / "out", "single")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_negative_relevances_of_archives(tmp_path: Path) -> None:
    source = made(tmp_path / "source", {"trn_X_Xf.txt": "1 1\n\n"})
    write_npz(source / "trn_X_Y.npz", csr_array(np.array([[-1.0]])))
    refused(DataError, r"trn_X_Y\.npz: negative relevances", source, tmp_path / "out", "single")


def test_tokens_alone_have_no_texts(tmp_path: Path) -> None:
    labels = {name: FEATURES[name] for name in ("trn_X_Y.txt", "tst_X_Y.txt")}
    source = made(tmp_path / "source", labels)
    for form in Form:
        refused(DataError, "has no texts", source, tmp_path / "out", form)
    dataset = load_dataset(source)
    with pytest.raises(DataError, match="has no texts"):
        write_lines(dataset, tmp_path)
