from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from dexa.data import DataWarning, Source, convert, load_dataset, open_source
from dexa.errors import DataError, InputError, MissingFileError


def write_prepared(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "trn_X_Y.txt").write_text("2 3\n0:1.0 2:0.0\n\n")
    (folder / "tst_X_Y.txt").write_text("1 3\n2:0.5\n")
    return folder


def test_prepared_form_has_no_texts(tmp_path: Path) -> None:
    folder = write_prepared(tmp_path / "set")
    (folder / "filter_labels_text.txt").write_text("0 1")
    with pytest.warns(DataWarning, match="misprint"):
        dataset = load_dataset(folder)
    assert (dataset.name, dataset.folder, dataset.fields) == ("set", folder, ())
    assert dataset.label_texts is None
    assert dataset.train is not None
    assert dataset.test is not None
    assert dataset.train.texts is dataset.test.texts is None
    assert (dataset.train.labels.shape, dataset.train.labels.nnz) == ((2, 3), 1)
    assert dataset.test.labels.toarray().tolist() == [[0, 0, 0.5]]
    assert dataset.test.filter_pairs.tolist() == [[0, 1]]
    with pytest.raises(DataError, match="labels, tokens or features, but no texts"):
        open_source(folder)


def test_prepared_form_keeps_the_fields_that_are_said(tmp_path: Path) -> None:
    folder = write_prepared(tmp_path / "set")
    (folder / "trn_X_Y.txt").unlink()
    dataset = load_dataset(folder, fields=["title"])
    assert (dataset.train, dataset.fields) == (None, ("title",))


SINGLE = {"train.txt": "2 4 3\n0,2 0:0.5 3:1.0\n 2:1.0\n", "test.txt": "1 4 3\n1 1:0.25\n"}


def write_single_files(folder: Path) -> Path:
    folder.mkdir()
    for name, content in SINGLE.items():
        (folder / name).write_text(content)
    (folder / "filter_labels_test.txt").write_text("0 2\n")
    return folder


def test_the_old_single_files_have_no_texts(tmp_path: Path) -> None:
    folder = write_single_files(tmp_path / "EURLex")
    dataset = load_dataset(folder)
    assert (dataset.name, dataset.folder, dataset.label_texts) == ("EURLex", folder, None)
    assert dataset.train is not None
    assert dataset.test is not None
    assert dataset.train.texts is dataset.test.texts is None
    assert dataset.train.labels.toarray().tolist() == [[1, 0, 1], [0, 0, 0]]
    assert dataset.test.labels.toarray().tolist() == [[0, 1, 0]]
    assert dataset.test.filter_pairs.tolist() == [[0, 2]]
    for name, part in (("train.txt", "train"), ("test.txt", "test"), ("eurlex.dat", "train")):
        (folder / "eurlex.dat").write_text(SINGLE["train.txt"])
        alone = load_dataset(folder / name)
        assert (alone.name, alone.folder, alone.n_labels) == (name, None, 3)
        assert getattr(alone, {"train": "test", "test": "train"}[part]) is None
        assert len(getattr(alone, part).filter_pairs) == 0
    for path in (folder, folder / "train.txt"):
        with pytest.raises(DataError, match=r"no texts.*dexa convert IN OUT --to matrices"):
            open_source(path)
    (folder / "test.txt").write_text("1 4 5\n1 1:0.25\n")
    with pytest.raises(DataError, match=r"test\.txt:1: 5 labels; expected 3, as train\.txt has"):
        load_dataset(folder)


def test_texts_beside_the_old_single_files(tmp_path: Path) -> None:
    """What the error says to do."""
    folder = write_single_files(tmp_path / "EURLex")
    convert(folder, tmp_path / "texts", "matrices")
    for name, texts in (("trn_X", "a\nb\n"), ("tst_X", "c\n"), ("Y", "x\ny\nz\n")):
        (tmp_path / "texts" / f"{name}.txt").write_text(texts)
    dataset = load_dataset(tmp_path / "texts")
    assert dataset.label_texts == ["x", "y", "z"]
    assert dataset.test is not None
    assert dataset.test.texts == ["c"]
    assert dataset.test.filter_pairs.tolist() == [[0, 2]]


@pytest.mark.parametrize("content", ["one two three\n", "1 2\n", ""])
def test_other_files_of_these_names_are_no_data_set(tmp_path: Path, content: str) -> None:
    (tmp_path / "train.txt").write_text(content)
    with pytest.raises(DataError, match="no data set in a form that is known"):
        load_dataset(tmp_path)
    with pytest.raises(DataError, match=r"train\.txt: a file that is no table"):
        load_dataset(tmp_path / "train.txt")


def test_raw_texts_come_before_prepared_files(tmp_path: Path) -> None:
    folder = write_prepared(tmp_path / "set")
    for stem in ("lbl", "trn"):
        record = {"title": "a", "content": "b", "target_ind": [0]}
        (folder / f"{stem}.json").write_text(json.dumps(record) + "\n")
    dataset = load_dataset(folder)
    assert (dataset.n_labels, dataset.label_texts, dataset.test) == (1, ["a b"], None)


@pytest.mark.parametrize("way_in", [open_source, load_dataset])
def test_paths_that_hold_no_data_set(tmp_path: Path, way_in: object) -> None:
    assert callable(way_in)
    with pytest.raises(MissingFileError, match="no such folder or file"):
        way_in(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no data set in a form that is known"):
        way_in(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"notes\.txt: a file that is no table"):
        way_in(tmp_path / "notes.txt")


def test_a_part_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,labels\na,x\n")
    source = open_source(tmp_path)
    for ask in (source.n_documents, source.filter_pairs, lambda split: next(source.rows(split))):
        with pytest.raises(InputError, match="has no split 'tst'; expected one of trn"):
            ask("tst")


@pytest.mark.parametrize("fields", ["title", [], [""], [3]])
def test_fields_are_a_list_of_names(tmp_path: Path, fields: list[str]) -> None:
    with pytest.raises(InputError, match="expected a list of names"):
        open_source(write_prepared(tmp_path), fields=fields)
    with pytest.raises(InputError, match="expected a list of names"):
        load_dataset(tmp_path, fields=fields)


def test_the_name_is_that_of_the_folder_as_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_prepared(tmp_path / "set")
    (folder / "inside").mkdir()
    (tmp_path / "SetTitles").symlink_to(folder)
    assert load_dataset(tmp_path / "SetTitles").name == "SetTitles"
    assert load_dataset(str(folder) + "/").name == "set"
    monkeypatch.chdir(folder)
    assert load_dataset(".").name == "set"
    monkeypatch.chdir("inside")
    assert load_dataset("..").name == "set"


def _grown_memory(source: Source) -> int:
    """Most bytes that reading a source row by row holds at once."""
    tracemalloc.start()
    count = sum(1 for _ in source.rows("trn"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == source.n_documents("trn")
    return peak


@pytest.mark.parametrize("form", ["raw", "lines", "csv", "jsonl"])
def test_memory_does_not_grow_with_rows(tmp_path: Path, form: str) -> None:
    peaks = []
    for n in (2_000, 8_000):
        folder = tmp_path / f"{n}"
        folder.mkdir()
        text = "some words of a text " * 10
        if form == "raw":
            label = '{"title": "a", "content": ""}\n'
            (folder / "lbl.json").write_text(label)
            row = json.dumps({"title": text, "content": "", "target_ind": [0]}) + "\n"
            (folder / "trn.json.gz").write_bytes(gzip.compress((row * n).encode()))
        elif form == "lines":
            (folder / "Y.txt").write_text("a\n")
            (folder / "trn_X.txt").write_text(f"{text}\n" * n)
            (folder / "trn_X_Y.txt").write_text(f"{n} 1\n" + "0:1.0\n" * n)
        elif form == "csv":
            (folder / "train.csv").write_text("text,labels\n" + f"{text},a\n" * n)
        else:
            row = json.dumps({"text": text, "labels": ["a"]}) + "\n"
            (folder / "train.jsonl").write_text(row * n)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("dexa.data.blocks.READ_BYTES", 1 << 12)
            peaks.append(_grown_memory(open_source(folder)))
    assert peaks[1] < 1.2 * peaks[0] + 10_000
