from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from scipy.sparse import coo_matrix, csr_array

from dexa.data import Dataset, Split, default_fields
from dexa.errors import DataError, InputError

LABELS = ["red", "green", "blue"]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("LF-AmazonTitles-131K", ("title",)),
        ("lf-amazontitles-131k", ("title",)),
        ("SUBTITLES", ("title",)),
        ("LF-Amazon-131K", ("title", "content")),
        ("Title", ("title", "content")),
    ],
)
def test_default_fields(name: str, fields: tuple[str, ...]) -> None:
    assert default_fields(name) == fields


def test_lists_of_ids() -> None:
    dataset = Dataset.from_lists(["a", "b", "c"], [[2, 0], [], [1]], LABELS)
    assert (dataset.name, dataset.folder, dataset.test) == ("in-memory", None, None)
    assert (dataset.n_labels, dataset.fields, dataset.label_texts) == (3, ("text",), LABELS)
    assert dataset.train is not None
    assert dataset.train.texts == ["a", "b", "c"]
    assert dataset.train.labels.dtype == np.float32
    assert dataset.train.labels.has_canonical_format
    assert dataset.train.labels.toarray().tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert dataset.train.filter_pairs.shape == (0, 2)


def test_lists_of_label_texts_and_test() -> None:
    dataset = Dataset.from_lists(
        ("a", "b"),
        [["blue", "red"], ["green"]],
        tuple(LABELS),
        test_texts=["c"],
        test_labels=[["red"]],
        name="colours",
    )
    assert dataset.name == "colours"
    assert dataset.train is not None
    assert dataset.test is not None
    assert dataset.train.labels.toarray().tolist() == [[1, 0, 1], [0, 1, 0]]
    assert dataset.test.labels.toarray().tolist() == [[1, 0, 0]]


@given(st.lists(st.sets(st.integers(0, 6)), min_size=1, max_size=9))
def test_ids_names_arrays_and_matrices_agree(rows: list[set[int]]) -> None:
    names = [f"label {i}" for i in range(7)]
    texts = ["t"] * len(rows)
    dense = np.array([[float(i in row) for i in range(7)] for row in rows], np.float32)
    forms: list[Any] = [
        [list(row) for row in rows],
        rows,
        [[names[i] for i in row] for row in rows],
        [np.array(sorted(row), np.int32) for row in rows],
        csr_array(dense),
        coo_matrix(dense),
    ]
    for labels in forms:
        train = Dataset.from_lists(texts, labels, names).train
        assert train is not None
        assert train.labels.has_canonical_format
        assert train.labels.toarray().tolist() == dense.tolist()


def test_a_matrix_is_copied_summed_and_cleared_of_zeros() -> None:
    labels = csr_array(
        (np.array([1.0, 2.0, 0.0]), np.array([2, 2, 0]), np.array([0, 3])), shape=(1, 3)
    )
    train = Dataset.from_lists(["a"], labels, LABELS).train
    assert train is not None
    assert (train.labels.indices.tolist(), train.labels.data.tolist()) == ([2], [3.0])
    assert labels.data.tolist() == [1.0, 2.0, 0.0]


@pytest.mark.parametrize(
    ("texts", "labels", "label_texts", "words"),
    [
        ("abc", [[0]], LABELS, "texts is a single string"),
        ([], [], LABELS, "texts is empty"),
        (["a", None], [[0], [0]], LABELS, r"texts\[1\] is a NoneType"),
        (["a"], [[0]], [], "label_texts is empty"),
        (["a"], [[0]], ["x", 3], r"label_texts\[1\] is a int"),
        (["a"], [[0], [1]], LABELS, "1 texts for 2 rows of labels"),
        (["a", "b"], [[0]], LABELS, "2 texts for 1 rows of labels"),
        (["a"], None, LABELS, "labels is a NoneType"),
        (["a"], ["red"], LABELS, r"labels\[0\] is 'red'"),
        (["a", "b"], [[0], 1], LABELS, r"labels\[1\] is 1"),
        (["a", "b"], [[0], [3]], LABELS, r"labels\[1\] holds 3; expected a label id from 0 to 2"),
        (["a", "b"], [[], [-1]], LABELS, r"labels\[1\] holds -1"),
        (["a", "b"], [[0], [1.0]], LABELS, r"labels\[1\] holds 1\.0"),
        (["a", "b"], [[0], [True]], LABELS, r"labels\[1\] holds True"),
        (["a", "b"], [[0], ["red"]], LABELS, r"labels\[1\] holds 'red'"),
        (["a", "b"], [["red"], [0]], LABELS, r"labels\[1\] holds 0; expected one of label_texts"),
        (["a", "b"], [["red"], ["grey"]], LABELS, r"labels\[1\] holds 'grey'"),
        (["a"], [["red"]], ["red", "red"], "several labels have this text"),
        (["a", "b"], [[0], [1, 2, 1]], LABELS, r"labels\[1\] names a label twice"),
        (["a"], csr_array((1, 2)), LABELS, "2 columns for 3 label texts"),
        (["a"], csr_array((2, 3)), LABELS, "1 texts for 2 rows of labels"),
        (["a"], csr_array([[0, -1.0, 0]]), LABELS, "negative or not finite"),
        (["a"], csr_array([[0, np.nan, 0]]), LABELS, "negative or not finite"),
    ],
)
def test_faults_name_the_document(texts: Any, labels: Any, label_texts: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Dataset.from_lists(texts, labels, label_texts)


def test_faults_of_test_documents_say_so() -> None:
    with pytest.raises(DataError, match=r"test_labels\[0\] holds 9"):
        Dataset.from_lists(["a"], [[0]], LABELS, test_texts=["b"], test_labels=[[9]])
    with pytest.raises(InputError, match="only one of test_texts and test_labels"):
        Dataset.from_lists(["a"], [[0]], LABELS, test_texts=["b"])
    with pytest.raises(InputError, match="only one of test_texts and test_labels"):
        Dataset.from_lists(["a"], [[0]], LABELS, test_labels=[[0]])


def _dataset(train: Split | None, test: Split | None, names: list[str] | None) -> Dataset:
    return Dataset(
        name="n", train=train, test=test, label_texts=names, folder=Path(), fields=("text",)
    )


def test_parts_must_fit_each_other() -> None:
    three, four = (Split(labels=csr_array((2, n), dtype=np.float32), texts=None) for n in (3, 4))
    assert (three.n_documents, three.n_labels) == (2, 3)
    assert _dataset(None, four, None).n_labels == 4
    with pytest.raises(DataError, match="3 columns of train labels, 4 columns of test labels"):
        _dataset(three, four, None)
    with pytest.raises(DataError, match="4 columns of test labels, 3 label texts"):
        _dataset(None, four, LABELS)
    with pytest.raises(DataError, match="neither train nor test"):
        _dataset(None, None, LABELS)
    with pytest.raises(DataError, match="1 texts for 2 rows"):
        Split(labels=three.labels, texts=["a"])
