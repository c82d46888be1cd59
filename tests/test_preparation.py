# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from dexa.data import Row, convert, load_dataset, open_source, write_matrix
from dexa.encoders import open_tokenizer
from dexa.errors import DataError, InputError, RecipeError, StorageError
from dexa.preparation import prepare, prepared_tokens, streams, writing
from dexa.preparation.streams import matrix_writer
from dexa.tokens import TextTokenizer
from dexa.types import Silence
from tiny import LABELS, write_dataset, write_encoder

SIDES = ("trn_doc", "tst_doc", "lbl")
LENGTH = 8


class Heard(Silence):
    """Keeps notes; stops the work at the given step."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.notes: list[str] = []
        self.steps, self.stop_at = 0, stop_at

    def note(self, text: str) -> None:
        self.notes.append(text)

    def advance(self, done: int, detail: str = "") -> None:
        self.steps += 1
        if self.steps == self.stop_at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_encoder(tmp_path_factory.mktemp("encoder") / "tiny"))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "TinyTitles", train=30, test=9)


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "TinyTitles"))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_CHUNK", 4)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def outputs(folder: Path) -> dict[str, bytes]:
    """Prepared files by name; dataset.json holds times and is compared by its parts."""
    names = json.loads((folder / "dataset.json").read_text())["outputs"]
    return {name: (folder / name).read_bytes() for name in names}


def texts_of(folder: Path) -> Iterator[tuple[str, list[str]]]:
    source = open_source(folder)
    yield "trn_doc", [row.text for row in source.rows("trn")]
    yield "tst_doc", [row.text for row in source.rows("tst")]
    yield "lbl", list(source.label_texts())


def other_tokenizer(length: int) -> TextTokenizer:
    words = tokenizers.models.WordLevel({"[UNK]": 0, "amber": 1}, unk_token="[UNK]")
    return TextTokenizer(tokenizers.Tokenizer(words), length, special_tokens=False)


# what is written


def test_tokens_are_those_the_tokenizer_gives(folder: Path, encoder: str) -> None:
    prepare(folder, encoder=encoder, max_length=LENGTH)
    tokenizer = open_tokenizer(encoder, max_length=LENGTH)
    for side, texts in texts_of(folder):
        ids = np.load(folder / f"{side}_input_ids.npy", mmap_mode="r")
        mask = np.load(folder / f"{side}_attention_mask.npy", mmap_mode="r")
        assert ids.dtype == np.uint16 and mask.dtype == np.uint8
        assert ids.shape == mask.shape == (len(texts), LENGTH)
        for row, text in enumerate(texts):
            expected = tokenizer([text]).ids.tolist()
            assert ids[row].tolist() == expected + [0] * (LENGTH - len(expected))
            assert mask[row].tolist() == [1] * len(expected) + [0] * (LENGTH - len(expected))


def test_large_vocabularies_take_four_bytes_an_id(
    folder: Path, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TextTokenizer, "vocabulary_size", property(lambda self: (1 << 16) + 1))
    prepare(folder, encoder=encoder, max_length=LENGTH)
    assert np.load(folder / "lbl_input_ids.npy").dtype == np.int32


def test_labels_are_those_of_the_data_set(folder: Path, encoder: str, tmp_path: Path) -> None:
    dataset = load_dataset(folder)
    facts = prepare(folder, encoder=encoder, max_length=LENGTH)
    for split, part in (("trn", dataset.train), ("tst", dataset.test)):
        assert part is not None
        write_matrix(tmp_path / "expected.txt", part.labels)
        assert (folder / f"{split}_X_Y.txt").read_bytes() == (
            tmp_path / "expected.txt"
        ).read_bytes()
        assert facts["counts"][split]["documents"] == part.labels.shape[0]
        assert facts["counts"][split]["pairs"] == part.labels.nnz
    assert dataset.train is not None
    valid = sorted(set(dataset.train.labels.indices.tolist()))
    assert (folder / "valid_labels.txt").read_text() == "".join(f"{i}\n" for i in valid)
    assert facts["counts"]["labels"] == len(LABELS)
    assert facts["counts"]["labels_with_documents"] == len(valid) < len(LABELS) + 1


relevance = st.just(1.0) | st.floats(min_value=2.0**-100, max_value=2.0**100, width=32)
rows = st.lists(st.dictionaries(st.integers(0, 9), relevance, max_size=4), min_size=1, max_size=6)


@given(rows)
def test_streamed_matrices_have_the_bytes_of_write_matrix(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[int, float]]
) -> None:
    folder = tmp_path_factory.mktemp("matrix")
    pairs = [sorted(row.items()) for row in rows]
    dense = np.zeros((len(rows), 10), np.float32)
    for i, row in enumerate(rows):
        for label, value in row.items():
            dense[i, label] = value
    write_matrix(folder / "expected.txt", csr_array(dense))
    with matrix_writer(folder / "streamed.txt", dense.shape) as append:
        for row in pairs:
            append([Row("", [label for label, _ in row], [value for _, value in row])])
    assert (folder / "streamed.txt").read_bytes() == (folder / "expected.txt").read_bytes()


def test_documents_and_labels_may_lack_each_other(folder: Path, encoder: str) -> None:
    with gzip.open(folder / "trn.json.gz", "rt") as file:
        first = json.loads(file.readline())
    rows = [first | {"target_ind": [], "target_rel": []}, first | {"target_ind": [3], "title": ""}]
    del rows[1]["target_rel"]
    with gzip.open(folder / "trn.json.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    facts = prepare(folder, encoder=encoder, max_length=LENGTH)
    assert facts["counts"]["trn"] == {"documents": 2, "pairs": 1, "without_labels": 1}
    assert (folder / "valid_labels.txt").read_text() == "3\n"
    assert (folder / "trn_X_Y.txt").read_text() == f"2 {len(LABELS)}\n\n3:1.0\n"
    found = prepared_tokens(folder, open_tokenizer(encoder, max_length=LENGTH), ("title",))
    assert found is not None and found["trn_doc"].lengths[1] == 2  # the special tokens


def test_the_usual_length_follows_the_fields(folder: Path, encoder: str) -> None:
    assert prepare(folder, encoder=encoder)["tokenizer"]["max_length"] == 32
    both = prepare(folder, encoder=encoder, fields=["title", "content"])
    assert both["tokenizer"]["max_length"] == 128
    assert both["fields"] == ["title", "content"]


def test_one_text_a_line(folder: Path, encoder: str, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.mkdir()
    for side, texts in texts_of(folder):
        name = {"trn_doc": "trn_X.txt", "tst_doc": "tst_X.txt", "lbl": "Y.txt"}[side]
        (lines / name).write_text("".join(f"{text}\n" for text in texts))
    dataset = load_dataset(folder)
    assert dataset.train is not None and dataset.test is not None
    write_matrix(lines / "trn_X_Y.txt", dataset.train.labels)
    write_matrix(lines / "tst_X_Y.txt", dataset.test.labels)
    before = contents(lines)
    facts = prepare(lines, encoder=encoder, max_length=LENGTH)
    assert "trn_X_Y.txt" in facts["inputs"] and "trn_X_Y.txt" not in facts["outputs"]
    assert before.items() <= contents(lines).items()
    elsewhere = prepare(lines, encoder=encoder, max_length=LENGTH, output=tmp_path / "out")
    assert "trn_X_Y.txt" in elsewhere["outputs"]
    assert (tmp_path / "out" / "tst_X_Y.txt").read_bytes() == before["tst_X_Y.txt"]


@pytest.mark.parametrize("form", ["dexml", "oak", "archives"])
def test_texts_in_a_folder_of_their_own(
    folder: Path, encoder: str, tmp_path: Path, form: str
) -> None:
    other = tmp_path / "other" / folder.name
    convert(folder, other, "oak" if form == "archives" else form)
    if form == "archives":
        for split in ("trn", "tst"):
            convert(other / f"{split}_X_Y.txt", other / f"{split}_X_Y.npz")
            (other / f"{split}_X_Y.txt").unlink()
    texts = {"dexml": "raw/trn_X.txt"}.get(form, "raw_data/train.raw.txt")
    facts = prepare(other, encoder=encoder, max_length=LENGTH)
    assert texts in facts["inputs"]
    assert ("trn_X_Y.txt" in facts["outputs"]) == (form == "dexml")
    heard = Heard()
    assert prepare(other, encoder=encoder, max_length=LENGTH, progress=heard) == facts
    assert heard.steps == 0
    (other / texts).write_text((other / texts).read_text().replace("a", "e"))
    tokenizer = open_tokenizer(encoder, max_length=LENGTH)
    assert prepared_tokens(other, tokenizer, ("text",), progress=heard) is None
    assert f"{texts} has changed" in heard.notes[-1]
    assert prepare(other, encoder=encoder, max_length=LENGTH) != facts
    assert prepared_tokens(other, tokenizer, ("text",)) is not None


def test_a_single_table(encoder: str, tmp_path: Path) -> None:
    table = tmp_path / "own.csv"
    table.write_text("text,labels\namber bridge,bridge;amber\ngreen engine,engine\n")
    facts = prepare(table, encoder=encoder, max_length=LENGTH)
    assert list(facts["inputs"]) == ["own.csv"]
    tokenizer = open_tokenizer(encoder, max_length=LENGTH)
    found = prepared_tokens(tmp_path, tokenizer, ("text",))
    assert found is not None and {side: len(t) for side, t in found.items()} == {
        "trn_doc": 2,
        "lbl": 3,
    }
    table.write_text("text,labels\ngreen bridge,bridge;amber\ngreen engine,engine\n")
    heard = Heard()
    assert prepared_tokens(tmp_path, tokenizer, ("text",), progress=heard) is None
    assert "own.csv has changed" in heard.notes[0]


def test_a_folder_of_tables(encoder: str, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,labels\namber bridge,bridge\ngreen engine,engine\n")
    prepare(tmp_path, encoder=encoder, max_length=LENGTH)
    (tmp_path / "dataset.json").unlink()
    heard = Heard()
    tokenizer = open_tokenizer(encoder, max_length=LENGTH)
    assert prepared_tokens(tmp_path, tokenizer, ("text",), progress=heard) is None
    assert "no dataset.json" in heard.notes[0]


# running it again


def test_again_does_nothing(folder: Path, encoder: str) -> None:
    first = prepare(folder, encoder=encoder, max_length=LENGTH)
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    heard = Heard()
    assert prepare(folder, encoder=encoder, max_length=LENGTH, progress=heard) == first
    assert heard.steps == 0 and "nothing has changed" in heard.notes[0]
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before


def test_a_copied_folder_is_as_good(folder: Path, encoder: str, tmp_path: Path) -> None:
    prepare(folder, encoder=encoder, max_length=LENGTH)
    copy = tmp_path / "elsewhere" / folder.name
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)
    heard = Heard()
    prepare(copy, encoder=encoder, max_length=LENGTH, progress=heard)
    assert heard.steps == 0


def change_input(folder: Path) -> None:
    content = gzip.decompress((folder / "lbl.json.gz").read_bytes())
    (folder / "lbl.json.gz").write_bytes(gzip.compress(content.replace(b"amber", b"ivory")))


def new_filter(folder: Path) -> None:
    (folder / "filter_labels_train.txt").unlink()


def damage_output(folder: Path) -> None:
    path = folder / "tst_doc_input_ids.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def lose_output(folder: Path) -> None:
    (folder / "valid_labels.txt").unlink()


@pytest.mark.parametrize("change", [change_input, new_filter, damage_output, lose_output])
def test_changed_files_are_prepared_again(folder: Path, encoder: str, change) -> None:
    prepare(folder, encoder=encoder, max_length=LENGTH)
    change(folder)
    heard = Heard()
    prepare(folder, encoder=encoder, max_length=LENGTH, progress=heard)
    assert heard.steps > 0
    tokenizer = open_tokenizer(encoder, max_length=LENGTH)
    assert prepared_tokens(folder, tokenizer, ("title",)) is not None


def test_changed_options_are_prepared_again(folder: Path, encoder: str, tmp_path: Path) -> None:
    prepare(folder, encoder=encoder, max_length=LENGTH)
    assert prepare(folder, encoder=encoder, max_length=LENGTH + 1)["tokenizer"]["max_length"] == 9
    both = prepare(folder, encoder=encoder, max_length=LENGTH + 1, fields=("title", "content"))
    assert both["fields"] == ["title", "content"]
    # another encoder with the same tokenizer changes nothing
    heard = Heard()
    copy = shutil.copytree(encoder, tmp_path / "copy")
    prepare(
        folder,
        encoder=str(copy),
        max_length=LENGTH + 1,
        fields=("title", "content"),
        progress=heard,
    )
    assert heard.steps == 0


def test_tokens_of_a_split_that_is_gone_are_removed(folder: Path, encoder: str) -> None:
    prepare(folder, encoder=encoder, max_length=LENGTH)
    (folder / "tst.json.gz").unlink()
    facts = prepare(folder, encoder=encoder, max_length=LENGTH)
    assert "tst" not in facts["counts"]
    assert not list(folder.glob("tst_doc*"))
    found = prepared_tokens(folder, open_tokenizer(encoder, max_length=LENGTH), ("title",))
    assert found is not None and set(found) == {"trn_doc", "lbl"}


# interruptions and refusals


def test_an_interrupted_run_leaves_only_whole_files(
    original: Path, encoder: str, tmp_path: Path
) -> None:
    whole = Path(shutil.copytree(original, tmp_path / "whole" / "TinyTitles"))
    heard = Heard()
    prepare(whole, encoder=encoder, max_length=LENGTH, progress=heard)
    expected = outputs(whole)
    folder = Path(shutil.copytree(original, tmp_path / "TinyTitles"))
    prepare(folder, encoder=encoder, max_length=LENGTH + 1)
    older = outputs(folder)
    tokenizer = open_tokenizer(encoder, max_length=LENGTH)
    for step in range(1, heard.steps + 1):
        with pytest.raises(KeyboardInterrupt):
            prepare(folder, encoder=encoder, max_length=LENGTH, progress=Heard(step))
        now = contents(folder)
        assert "dataset.json" not in now
        assert not [name for name in now if name.endswith(".draft")]
        assert all(now[name] in (expected[name], older[name]) for name in older)
        assert prepared_tokens(folder, tokenizer, ("title",)) is None
    prepare(folder, encoder=encoder, max_length=LENGTH)
    assert outputs(folder) == expected


def test_drafts_of_a_killed_run_are_swept(folder: Path, encoder: str) -> None:
    draft = folder / ".trn_doc_input_ids.npy.12345.draft"
    draft.write_bytes(b"half")
    prepare(folder, encoder=encoder, max_length=LENGTH)
    assert not draft.exists()


def test_a_full_disk_is_said(folder: Path, encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.np, "savetxt", full)
    with pytest.raises(StorageError, match="No space left on device"):
        prepare(folder, encoder=encoder, max_length=LENGTH)
    assert not (folder / "dataset.json").exists()


def test_a_folder_that_cannot_be_written_names_output(
    folder: Path, encoder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(InputError, match="choose another folder with --output"):
            prepare(folder, encoder=encoder, max_length=LENGTH)
    with pytest.raises(InputError, match="--output"):
        prepare(folder, encoder=encoder, output=folder / "lbl.json.gz")
    elsewhere = prepare(folder, encoder=encoder, max_length=LENGTH, output=tmp_path / "a" / "b")
    assert set(elsewhere["outputs"]) >= {"filter_labels_test.txt", "filter_labels_train.txt"}
    dataset = load_dataset(tmp_path / "a" / "b")
    assert dataset.test is not None and dataset.test.filter_pairs.tolist() == [[0, 0]]


def test_a_foreign_dataset_json_is_left_alone(folder: Path, encoder: str) -> None:
    for content in ('{"mine": 1}', "not JSON"):
        (folder / "dataset.json").write_text(content)
        with pytest.raises(InputError, match="rename it, or choose another folder"):
            prepare(folder, encoder=encoder)
        assert (folder / "dataset.json").read_text() == content


def test_too_short_a_length_is_refused(folder: Path, encoder: str) -> None:
    with pytest.raises(RecipeError, match="max_length is 2"):
        prepare(folder, encoder=encoder, max_length=2)


def test_texts_that_grow_meanwhile_are_noticed(
    folder: Path, encoder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dexa.data.raw.RawSource.n_documents", lambda self, split: 29)
    with pytest.raises(DataError, match="30 texts for trn_doc where 29 were counted"):
        prepare(folder, encoder=encoder)


# what is read back


def test_tokens_come_back(folder: Path, encoder: str) -> None:
    prepare(folder, encoder=encoder, max_length=LENGTH)
    tokenizer = open_tokenizer(encoder, max_length=LENGTH)
    found = prepared_tokens(folder, tokenizer, ("title",))
    assert found is not None
    for side, texts in texts_of(folder):
        expected = tokenizer(texts)
        assert found[side].ids.tolist() == expected.ids.tolist()
        assert found[side].offsets.tolist() == expected.offsets.tolist()


def test_no_files_no_tokens(folder: Path, encoder: str) -> None:
    assert prepared_tokens(folder, open_tokenizer(encoder, max_length=8), ("title",)) is None


def test_unfit_tokens_beside_their_texts_are_not_used(folder: Path, encoder: str) -> None:
    prepare(folder, encoder=encoder, max_length=LENGTH)
    fitting = open_tokenizer(encoder, max_length=LENGTH)

    def reason(tokenizer: TextTokenizer, fields: tuple[str, ...]) -> str:
        heard = Heard()
        assert prepared_tokens(folder, tokenizer, fields, progress=heard) is None
        return heard.notes[0]

    assert "of another tokenizer" in reason(other_tokenizer(LENGTH), ("title",))
    assert "cut at 8 tokens, not at 9" in reason(open_tokenizer(encoder, max_length=9), ("title",))
    assert "of the fields title, not title, content" in reason(fitting, ("title", "content"))
    change_input(folder)
    assert "lbl.json.gz has changed" in reason(fitting, ("title",))
    (folder / "dataset.json").unlink()
    assert "no dataset.json" in reason(fitting, ("title",))


def without_texts(folder: Path) -> Path:
    for name in ("trn.json.gz", "tst.json.gz", "lbl.json.gz"):
        (folder / name).unlink()
    return folder


def test_tokens_without_texts(folder: Path, encoder: str) -> None:
    prepare(folder, encoder=encoder, max_length=LENGTH)
    tokenizer = open_tokenizer(encoder, max_length=LENGTH)
    with_texts = prepared_tokens(folder, tokenizer, ("title",))
    alone = prepared_tokens(without_texts(folder), tokenizer, ())
    assert with_texts is not None and alone is not None
    assert alone["lbl"].ids.tolist() == with_texts["lbl"].ids.tolist()
    heard = Heard()
    longer = open_tokenizer(encoder, max_length=LENGTH + 1)
    assert prepared_tokens(folder, longer, (), progress=heard) is not None
    assert "cut at 8 tokens" in heard.notes[0]
    with pytest.raises(DataError, match=r"max_length to 8$"):
        prepared_tokens(folder, open_tokenizer(encoder, max_length=LENGTH - 1), ())
    with pytest.raises(DataError, match="of another tokenizer"):
        prepared_tokens(folder, other_tokenizer(LENGTH), ())


@pytest.mark.parametrize("dtype", [np.int64, np.int32, ">i4", np.uint8])
def test_arrays_of_the_research_code(folder: Path, encoder: str, dtype: str) -> None:
    prepare(folder, encoder=encoder, max_length=LENGTH)
    tokenizer = open_tokenizer(encoder, max_length=LENGTH)
    expected = prepared_tokens(folder, tokenizer, ("title",))
    (without_texts(folder) / "dataset.json").unlink()
    for side in SIDES:
        for kind in ("input_ids", "attention_mask"):
            path = folder / f"{side}_{kind}.npy"
            np.save(path, np.load(path).astype(dtype))
    found = prepared_tokens(folder, tokenizer, ())
    assert found is not None and expected is not None
    for side in SIDES:
        assert found[side].ids.tolist() == expected[side].ids.tolist()


def lose_mask(folder: Path) -> None:
    (folder / "tst_doc_attention_mask.npy").unlink()


def lose_labels(folder: Path) -> None:
    for path in folder.glob("lbl_*.npy"):
        path.unlink()


def lose_documents(folder: Path) -> None:
    for path in folder.glob("t*_doc_*.npy"):
        path.unlink()


def lose_test_documents(folder: Path) -> None:
    for path in folder.glob("tst_doc_*.npy"):
        path.unlink()


def lose_a_row_of_documents(folder: Path) -> None:
    for path in folder.glob("trn_doc_*.npy"):
        np.save(path, np.load(path)[1:])


def lose_a_row_of_labels(folder: Path) -> None:
    for path in folder.glob("lbl_*.npy"):
        np.save(path, np.load(path)[1:])


def lose_a_row_of_one(folder: Path) -> None:
    np.save(folder / "trn_doc_attention_mask.npy", np.ones((29, LENGTH), int))


def cut_short(folder: Path) -> None:
    path = folder / "lbl_input_ids.npy"
    path.write_bytes(path.read_bytes()[:-5])


def empty_file(folder: Path) -> None:
    (folder / "lbl_input_ids.npy").write_bytes(b"")


def pickled(folder: Path) -> None:
    np.save(folder / "lbl_input_ids.npy", np.array([{"a": 1}], object), allow_pickle=True)


def floats(folder: Path) -> None:
    np.save(folder / "lbl_input_ids.npy", np.ones((len(LABELS), LENGTH)))


def one_axis(folder: Path) -> None:
    np.save(folder / "lbl_input_ids.npy", np.ones(len(LABELS), int))


def unknown_token(folder: Path) -> None:
    path = folder / "lbl_input_ids.npy"
    ids = np.load(path).astype(np.int64)
    ids[0, 1] = 30_000
    np.save(path, ids)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lose_mask, "no tst_doc_attention_mask.npy"),
        (lose_labels, "no lbl_attention_mask.npy and no lbl_input_ids.npy"),
        (lose_documents, "no trn_doc_attention_mask.npy"),
        (lose_test_documents, "tst_X_Y.txt, but no tst_doc_input_ids.npy and no tst_doc_att"),
        (lose_a_row_of_documents, "trn_doc_input_ids.npy: 29 rows; expected 30, as trn_X_Y.txt"),
        (lose_a_row_of_labels, "23 rows; expected 24"),
        (lose_a_row_of_one, r"ids \[30, 8\] with mask \[29, 8\]"),
        (cut_short, "lbl_input_ids.npy: not a whole .npy file"),
        (empty_file, "lbl_input_ids.npy: not a whole .npy file"),
        (pickled, "lbl_input_ids.npy: not a whole .npy file"),
        (floats, r"float64 of shape \[24, 8\]; expected integers"),
        (one_axis, r"int64 of shape \[24\]"),
        (unknown_token, "token id 30000"),
    ],
)
def test_broken_token_files(folder: Path, encoder: str, damage, message: str) -> None:
    prepare(folder, encoder=encoder, max_length=LENGTH)
    (without_texts(folder) / "dataset.json").unlink()
    damage(folder)
    with pytest.raises(DataError, match=message):
        prepared_tokens(folder, open_tokenizer(encoder, max_length=LENGTH), ())
