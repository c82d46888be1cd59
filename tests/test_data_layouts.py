"""Tiny folders as other tools have them, each named after its tools, and what reads them.

What a layout holds beside a data set has a reader of its own.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix, save_npz

from dexa.data import (
    Dataset,
    convert,
    load_dataset,
    read_dense,
    read_label_matrix,
    read_matrix,
    read_memmap,
    read_npz,
    read_single_file,
    read_surrogates,
    read_vocabulary,
    write_memmap,
)
from dexa.data.npz import read_labels
from dexa.types import NO_LABEL

TRAIN, TEST = [[1, 0], [0, 1], [1, 1]], [[0, 1]]
TRAIN_TEXT, TEST_TEXT = "3 2\n0:1.0\n1:1.0\n0:1.0 1:1.0\n", "1 2\n1:1.0\n"


def put(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="latin-1")


def archive(path: Path, rows: list[list[int]]) -> None:
    save_npz(path, csr_matrix(np.array(rows, np.float32)), compressed=False)


def check_texts(dataset: Dataset, *, filtered: bool = False) -> None:
    """Documents one, two and three to train on, four to test on; labels red and blue."""
    assert dataset.train is not None
    assert dataset.test is not None
    assert dataset.label_texts == ["red", "blue"]
    assert dataset.train.texts == ["one", "two", "three"]
    assert dataset.test.texts == ["four"]
    assert dataset.train.labels.toarray().tolist() == TRAIN
    assert dataset.test.labels.toarray().tolist() == TEST
    assert dataset.train.filter_pairs.tolist() == ([[2, 0]] if filtered else [])
    assert dataset.test.filter_pairs.tolist() == ([[0, 0]] if filtered else [])


def lines(documents: str, labels: str, *words: str) -> dict[str, str]:
    train, test = words
    return {
        documents.format(train): "one\ntwo\nthree\n",
        documents.format(test): "four\n",
        labels: "red\nblue\n",
    }


MATRICES = {"trn_X_Y.txt": TRAIN_TEXT, "tst_X_Y.txt": TEST_TEXT}


def test_the_research_code(tmp_path: Path) -> None:
    train = [{"uid": "a", "title": t, "content": ""} for t in ("one", "two", "three")]
    for row, labels in zip(train, ([0], [1], [0, 1]), strict=True):
        row |= {"target_ind": labels, "target_rel": [1.0] * len(labels)}
    test = [{"uid": "a", "title": "four", "content": "", "target_ind": [1], "target_rel": [1.0]}]
    labels = [{"uid": "a", "title": title, "content": ""} for title in ("red", "blue")]
    for name, rows in (("trn", train), ("tst", test), ("lbl", labels)):
        put(tmp_path, {f"{name}.json": "".join(json.dumps(row) + "\n" for row in rows)})
    filters = {"filter_labels_train.txt": "2 0\n", "filter_labels_test.txt": "0 0\n"}
    put(tmp_path, filters)
    check_texts(load_dataset(tmp_path), filtered=True)


def test_the_research_code_with_texts_as_lines(tmp_path: Path) -> None:
    put(tmp_path, lines("{}.raw.txt", "lbl.raw.txt", "trn", "tst") | MATRICES)
    check_texts(load_dataset(tmp_path))


def test_galaxc_and_renee(tmp_path: Path) -> None:
    put(tmp_path, lines("{}_X.txt", "Y.txt", "trn", "tst") | MATRICES)
    put(tmp_path, {"trn_filter_labels.txt": "2 0\n", "tst_filter_labels.txt": "0 0\n"})
    check_texts(load_dataset(tmp_path), filtered=True)
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    (tmp_path / "DXCondensedData").mkdir()
    for name in ("trn_point", "tst_point", "label"):
        path = tmp_path / "DXCondensedData" / f"{name}_embs.npy"
        np.save(path, vectors)
        assert np.array_equal(read_dense(path), vectors)


@pytest.mark.parametrize("stem", ["trn_doc", "tst_doc", "lbl"])
@pytest.mark.parametrize("part", ["input_ids", "attention_mask"])
def test_tokens_of_renee_and_vixml(tmp_path: Path, stem: str, part: str) -> None:
    folder = tmp_path / "bert-base-uncased-4"
    folder.mkdir()
    tokens = np.array([[101, 7, 102, 0], [101, 102, 0, 0]])
    tokens.astype(np.int64).tofile(folder / f"{stem}_{part}.dat")
    assert np.array_equal(read_memmap(folder / f"{stem}_{part}.dat"), tokens)
    write_memmap(folder / "again.dat", tokens)
    assert (folder / "again.dat").read_bytes() == (folder / f"{stem}_{part}.dat").read_bytes()


def test_dexml(tmp_path: Path) -> None:
    put(tmp_path, lines("raw/{}_X.txt", "raw/Y.txt", "trn", "tst"))
    archive(tmp_path / "Y.trn.npz", TRAIN)
    archive(tmp_path / "Y.tst.npz", TEST)
    check_texts(load_dataset(tmp_path))


@pytest.mark.parametrize("suffix", [".txt", ".npz"])
def test_oak(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "source"
    put(source, lines("raw_data/{}.raw.txt", "raw_data/label.raw.txt", "train", "test"))
    put(source, {"filter_labels_train.txt": "2 0\n", "filter_labels_test.txt": "0 0\n"})
    for name, rows, text in (("trn", TRAIN, TRAIN_TEXT), ("tst", TEST, TEST_TEXT)):
        for stem in (f"{name}_X_Y", f"auxiliary_{name}_X_Y"):
            if suffix == ".npz":
                archive(source / f"{stem}.npz", rows)
            else:
                put(source, {f"{stem}.txt": text})
        auxiliary = read_labels(source / f"auxiliary_{name}_X_Y{suffix}")
        assert auxiliary.toarray().tolist() == rows
    check_texts(load_dataset(source), filtered=True)
    convert(source, tmp_path / "again", "oak")
    check_texts(load_dataset(tmp_path / "again"), filtered=True)
    assert (tmp_path / "again" / "raw_data" / "test.raw.txt").read_text() == "four\n"
    assert (tmp_path / "again" / "trn_X_Y.txt").read_text() == TRAIN_TEXT


def test_pecos(tmp_path: Path) -> None:
    """Archives of features and labels, dense features, texts as lines."""
    archive(tmp_path / "X.trn.npz", [[1, 2, 0], [0, 0, 0], [0, 0, 3]])
    archive(tmp_path / "Y.trn.npz", TRAIN)
    np.save(tmp_path / "X.trn.npy", np.ones((3, 2), np.float32, order="C"))
    put(tmp_path, {"output-labels.txt": "red\nblue\n"})
    assert read_npz(tmp_path / "X.trn.npz").toarray().tolist() == [[1, 2, 0], [0, 0, 0], [0, 0, 3]]
    assert read_labels(tmp_path / "Y.trn.npz").toarray().tolist() == TRAIN
    assert read_dense(tmp_path / "X.trn.npy").shape == (3, 2)
    assert read_vocabulary(tmp_path / "output-labels.txt") == ["red", "blue"]


def test_the_repository(tmp_path: Path) -> None:
    """Features, their names, their vectors; labels alone suffice for figures of predictions."""
    features = {f"{name}_X_Xf.txt": "3 2\n0:0.5\n\n1:1.0\n" for name in ("trn", "lbl")}
    put(tmp_path, MATRICES | features | {"Xf.txt": "a\ncaf\xe9\n"})
    assert read_matrix(tmp_path / "trn_X_Xf.txt").toarray().tolist() == [[0.5, 0], [0, 0], [0, 1]]
    with pytest.warns(UserWarning, match="latin-1"):
        assert read_vocabulary(tmp_path / "Xf.txt") == ["a", "café"]
    for width in (300, 512):
        path = tmp_path / f"fasttextB_embeddings_{width}d.npy"
        np.save(path, np.ones((2, width)))
        assert read_dense(path).shape == (2, width)
    dataset = load_dataset(tmp_path)
    assert dataset.train is not None
    assert dataset.train.texts is None
    assert dataset.train.labels.toarray().tolist() == TRAIN
    assert read_label_matrix(tmp_path / "tst_X_Y.txt").toarray().tolist() == TEST


def test_the_repository_of_old(tmp_path: Path) -> None:
    """As convert_format.pl takes it; see test_data_single_file.py for what it gives."""
    put(tmp_path, {"train.txt": "3 2 2\n0 0:0.5\n1 \n0,1 1:1.0\n", "test.txt": "1 2 2\n1 0:1\n"})
    assert read_single_file(tmp_path / "train.txt").features.toarray().tolist() == [
        [0.5, 0],
        [0, 0],
        [0, 1],
    ]
    dataset = load_dataset(tmp_path)
    assert dataset.train is not None
    assert dataset.test is not None
    assert dataset.train.labels.toarray().tolist() == TRAIN
    assert dataset.test.labels.toarray().tolist() == TEST


@pytest.mark.parametrize(
    "name", ["tst_predictions_clf.npz", "trn_predictions_knn.npz", "score.npz", "score_0.50.npz"]
)
def test_predictions_of_deepxml(tmp_path: Path, name: str) -> None:
    from dexa.cli.predictions import read_predictions

    save_npz(tmp_path / name, csr_matrix(np.array([[0.2, 0.9, 0], [0, 0, 0.1]])), compressed=False)
    top = read_predictions(tmp_path / name, (2, 3), 2)
    assert top.labels.tolist() == [[1, 0], [2, NO_LABEL]]


def test_surrogates_of_deepxml_and_siamesexml(tmp_path: Path) -> None:
    folder = tmp_path / "siamesexml.bow" / "65536.0"
    stats = {"threshold": 65536, "method": 1, "surrogate": "9,2,2", "extreme": "9,4,3"}
    put(folder, {"data_stats.json": json.dumps(stats), "valid_labels.txt": "0\n1\n3\n"})
    put(folder, {"surrogate_mapping.txt": "1\n0\n1\n"})
    surrogates = read_surrogates(folder)
    assert (surrogates.labels, surrogates.features, surrogates.surrogates) == (4, 9, 2)
    assert surrogates.valid.tolist() == [0, 1, 3]
    assert surrogates.mapping.tolist() == [1, 0, 1]
