"""What a data set holds twice, leaks and near-duplicates, against loops; the filter files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from dexa.data import Dataset, Split, load_dataset, read_filter_pairs
from dexa.data.leaks import check_no_filters, find_leaks, read_uids, write_filters
from dexa.errors import DataError, InputError
from dexa.evaluation.near_duplicates import find_near_duplicates, folded
from tiny import write_dataset

BUNDLED = Path(__file__).parents[1] / "datasets" / "LF-WordNet-98K"


def random_dataset(seed: int) -> tuple[Dataset, dict]:
    """Few words for many items, so that much is found twice; some items have none."""
    draw = np.random.default_rng(seed)
    sizes = {"trn": 12, "tst": 9, "lbl": 10}
    uids = {part: [str(i or "") for i in draw.integers(0, 14, n)] for part, n in sizes.items()}
    texts = {
        part: ["ab "[i % 3] * (i // 3) for i in draw.integers(0, 9, n)] for part, n in sizes.items()
    }
    texts = {part: [text.strip() for text in given] for part, given in texts.items()}

    def split(part: str) -> Split:
        n = sizes[part]
        labels = csr_array((draw.random((n, 10)) < 0.3).astype(np.float32))
        pairs = np.argwhere(draw.random((n, 10)) < 0.2)
        return Split(labels=labels, texts=texts[part], filter_pairs=pairs)

    dataset = Dataset(
        name="random",
        train=split("trn"),
        test=split("tst"),
        label_texts=texts["lbl"],
        folder=None,
        fields=("text",),
    )
    return dataset, uids


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_leaks_agree_with_loops(seed: int) -> None:
    dataset, uids = random_dataset(seed)
    assert dataset.train is not None and dataset.test is not None
    splits = {"trn": dataset.train, "tst": dataset.test}
    texts = {"trn": dataset.train.texts, "tst": dataset.test.texts, "lbl": dataset.label_texts}
    leaks = find_leaks(dataset, uids)
    assert [found.key for found in leaks] == ["uid", "text"]
    for found, keys in zip(leaks, (uids, texts), strict=True):
        in_train = [i for i, key in enumerate(keys["tst"]) if key and key in keys["trn"]]
        assert found.test_in_train.tolist() == in_train
        for name, split in splits.items():
            true = split.labels.toarray() > 0
            filtered = {tuple(pair) for pair in split.filter_pairs.tolist()}
            own, told = [], []
            for i, mine in enumerate(keys[name]):
                for b, label in enumerate(keys["lbl"]):
                    if mine and mine == label:
                        own.append((i, b))
                    elif any(
                        label and label == other and mine and mine == keys["lbl"][a]
                        for j, other in enumerate(keys["trn"])
                        for a in dataset.train.labels.indices[
                            dataset.train.labels.indptr[j] : dataset.train.labels.indptr[j + 1]
                        ]
                    ):
                        told.append((i, b))
            mine = found.splits[name]

            def pairs(given):
                return [tuple(pair) for pair in given.tolist()]

            assert pairs(mine.own) == own
            assert pairs(mine.own_true) == [pair for pair in own if true[pair]]
            assert pairs(mine.own_unfiltered) == [pair for pair in own if pair not in filtered]
            assert pairs(mine.reversed) == told
            assert pairs(mine.reciprocal) == [pair for pair in told if true[pair]]
            both = own if name == "trn" else sorted(own + told)
            assert pairs(found.filter_pairs(name)) == both
            assert pairs(found.filter_pairs(name, own_only=True)) == own
            word = {"trn": "train", "tst": "test"}[name]
            assert found.to_json()[f"{word}: own labels"] == len(own)
            assert found.to_json()[f"{word}: reversed in train"] == len(told)
        assert found.to_json()["test documents in train"] == len(in_train)


def test_a_pair_that_train_tells_the_other_way_round() -> None:
    dataset = Dataset.from_lists(
        ["bird"], [["egg"]], ["bird", "egg"], test_texts=["egg", "stone"], test_labels=[[0], [1]]
    )
    (found,) = find_leaks(dataset, {})
    assert found.key == "text"
    assert found.splits["trn"].own.tolist() == [[0, 0]]
    assert found.splits["tst"].own.tolist() == [[0, 1]]
    assert found.splits["tst"].reversed.tolist() == [[0, 0]]
    assert found.splits["tst"].reciprocal.tolist() == [[0, 0]]
    assert found.filter_pairs("tst").tolist() == [[0, 0], [0, 1]]


def test_one_split_alone_and_nothing_to_tell_items_by() -> None:
    labels = csr_array(np.eye(2, dtype=np.float32))
    split = Split(labels=labels, texts=["a", "b"])
    names = {"name": "one", "folder": None, "fields": ("text",)}
    test_only = Dataset(train=None, test=split, label_texts=["b", "a"], **names)
    (found,) = find_leaks(test_only, {})
    assert found.splits["tst"].own.tolist() == [[0, 1], [1, 0]]
    assert len(found.test_in_train) == len(found.splits["tst"].reversed) == 0
    assert "train: own labels" not in found.to_json()
    prepared = Dataset(train=Split(labels=labels, texts=None), test=None, label_texts=None, **names)
    assert find_leaks(prepared, {}) == []
    with pytest.raises(DataError, match="1 uids of lbl for 2 rows; expected one a row"):
        find_leaks(test_only, {"tst": ["1", "2"], "lbl": ["1"]})


def test_uids_are_read_from_raw_files(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "tiny")
    uids = read_uids(folder)
    assert {part: len(given) for part, given in uids.items()} == {"trn": 64, "tst": 16, "lbl": 24}
    assert uids["tst"][:3] == ["0", "1", "2"]
    (folder / "trn.json.gz").unlink()
    (folder / "tst.json.gz").unlink()
    assert read_uids(folder) == {}
    assert read_uids(folder / "lbl.json.gz") == {}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"uid": "a"}, {"title": "b"}], "trn.json:2: no uid; expected a string"),
        ([{"uid": "a"}, {"uid": None}], "trn.json:2: uid is None; expected a string"),
        ([{"uid": True}], "trn.json:1: uid is True"),
    ],
)
def test_broken_uids_are_refused(tmp_path: Path, rows: list, message: str) -> None:
    (tmp_path / "trn.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=message):
        read_uids(tmp_path)


def test_a_part_without_uids_is_left_out_and_numbers_are_uids(tmp_path: Path) -> None:
    (tmp_path / "trn.json").write_text('{"uid": 7}\n')
    (tmp_path / "lbl.json").write_text('{"title": "b"}\n')
    assert read_uids(tmp_path) == {"trn": ["7"]}


def test_filters_are_written_and_never_overwritten(tmp_path: Path) -> None:
    dataset, uids = random_dataset(3)
    by_uid = find_leaks(dataset, uids)[0]
    paths = write_filters(tmp_path / "new", by_uid)
    assert [path.name for path in paths] == ["filter_labels_train.txt", "filter_labels_test.txt"]
    for path, split, n in zip(paths, ("trn", "tst"), (12, 9), strict=True):
        assert read_filter_pairs(path, n, 10).tolist() == by_uid.filter_pairs(split).tolist()
    before = [path.read_bytes() for path in paths]
    with pytest.raises(InputError, match=r"filter_labels_train.txt: a filter file is there"):
        write_filters(tmp_path / "new", by_uid, own_only=True)
    assert [path.read_bytes() for path in paths] == before
    (tmp_path / "tst_filter_labels.txt").write_text("")
    with pytest.raises(InputError, match=r"tst_filter_labels.txt: a filter file is there"):
        write_filters(tmp_path, by_uid)
    assert not (tmp_path / "filter_labels_train.txt").exists()
    check_no_filters(tmp_path, ["trn"])


@pytest.mark.slow
def test_the_filters_of_the_bundled_data_set_are_found_again(tmp_path: Path) -> None:
    dataset = load_dataset(BUNDLED, fields=["title"])
    by_uid, by_text = find_leaks(dataset, read_uids(BUNDLED))
    for path in write_filters(tmp_path, by_uid, own_only=True):
        assert path.read_bytes() == (BUNDLED / path.name).read_bytes()
    counts = by_uid.to_json()
    assert counts["train: own labels, not filtered"] == counts["test: own labels, true"] == 0
    assert counts["test documents in train"] == 0 < len(by_text.test_in_train)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["a b", "A  B", "a-b.", "ab", "", "  ", "!!", "!!!", "C", "C++"])))
def test_near_duplicates_agree_with_loops(texts: list[str]) -> None:
    groups: dict[str, list[int]] = {}
    for i, text in enumerate(texts):
        groups.setdefault(folded(text), []).append(i)
    expected = [ids for text, ids in groups.items() if text and len(ids) > 1]
    found = find_near_duplicates(texts)
    assert [found.group(i) for i in range(len(found))] == sorted(expected, key=len, reverse=True)
    facts = found.facts(texts)
    assert (facts["groups"], facts["labels"]) == (len(expected), sum(map(len, expected)))
    for i, group in enumerate(facts["largest"]):
        ids = found.group(i)
        assert (group["size"], group["labels"]) == (len(ids), ids[:3])
        assert set(group["texts"]) <= {texts[j] for j in ids}


def test_texts_are_folded_but_their_words_stay() -> None:
    assert folded(" New-York,\tNY\xa0") == "new york ny"
    assert folded("C++") == "c++" != folded("C")
    assert folded("?!") == "?!"
    assert folded(" \n") == ""
    assert folded("की") != folded("कि")  # vowels written as marks
