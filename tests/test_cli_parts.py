"""The pieces that commands are made of."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import dataclasses
import gzip
import json
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.sparse import csr_array, load_npz

from dexa.cli import inputs, output, predictions, progress, targets
from dexa.cli.answer_parts import answer_parts
from dexa.cli.demo import quoted_peers
from dexa.cli.encode import vector_file
from dexa.cli.options import chosen_fields
from dexa.cli.train import chosen_recipe
from dexa.errors import DataError, InputError, MissingFileError, RecipeError, RunError
from dexa.evaluation.tables import TERMINAL_METRICS
from dexa.types import NO_LABEL, Progress, TopK

# what is given


def test_fields() -> None:
    assert chosen_fields(None) is None
    assert chosen_fields("title, content") == ("title", "content")
    with pytest.raises(InputError, match="title,content"):
        chosen_fields("title,")


def test_a_recipe_is_published_or_a_file(tmp_path: Path) -> None:
    assert chosen_recipe("dexa", None, []).name == "dexa"
    chosen_recipe("ngame", None, ["fusion.depth=5"]).save(tmp_path / "mine.json")
    recipe = chosen_recipe(str(tmp_path / "mine.json"), "bag", ["encoder_stage.epochs = 40"])
    assert (recipe.name, recipe.fusion.depth) == ("ngame", 5)
    assert (recipe.encoder.name, recipe.encoder_stage.epochs) == ("bag", 40)


def test_an_encoder_may_be_called_like_a_number() -> None:
    assert chosen_recipe("dexa", "7", []).encoder.name == "7"


@pytest.mark.parametrize("setting", ["epochs", "=3", ""])
def test_a_malformed_setting_names_the_right_form(setting: str) -> None:
    with pytest.raises(InputError, match=r"stage\.field=value"):
        chosen_recipe("dexa", None, [setting])


def test_an_unknown_recipe_or_field_names_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean 'ngame'"):
        chosen_recipe("engame", None, [])
    with pytest.raises(RecipeError, match=r"did you mean 'encoder_stage\.epochs'"):
        chosen_recipe("dexa", None, ["encoder_stage.epoch=3"])
    with pytest.raises(MissingFileError):
        chosen_recipe("none.json", None, [])


# what is written


def test_a_model_folder_may_be_new_empty_or_a_model(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    for name in ("new", "deeper/new", "empty", "model"):
        targets.check_model_folder(tmp_path / name)


def test_a_model_never_replaces_other_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("precious")
    for name in ("file", "folder"):
        with pytest.raises(InputError, match="not a model folder"):
            targets.check_model_folder(tmp_path / name)
    for name in (".", "..", "/"):
        with pytest.raises(InputError, match="ends in a name"):
            targets.check_model_folder(Path(name))
    with pytest.raises(InputError, match="a folder you may write to"):
        targets.check_model_folder(tmp_path / "file" / "model")


def test_an_output_names_its_format(tmp_path: Path) -> None:
    targets.check_file(tmp_path / "new" / "scores.npz", predictions.FORMATS)
    with pytest.raises(InputError, match=r"ends in \.npz or \.jsonl"):
        targets.check_file(tmp_path / "scores.csv", predictions.FORMATS)
    (tmp_path / "scores.npz").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        targets.check_file(tmp_path / "scores.npz", predictions.FORMATS)


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(InputError, match="choose another place"):
        targets.check_file(tmp_path / "scores.npz", predictions.FORMATS)


def _answers() -> TopK:
    return TopK(
        labels=np.array([[2, 0, NO_LABEL], [1, 3, 0]]),
        scores=np.array([[0.5, 0.0, -np.inf], [0.25, -0.5, -1.0]], np.float32),
        label_texts=["a", "b", "ç", "d"],
    )


def answer(path: Path, *texts: list[str] | None, resume: bool = False) -> None:
    with answer_parts(path, 4, {"k": 3}, resume=resume) as file:
        for some in texts:
            file.append(_answers(), some)


def test_json_lines_hold_ids_names_and_scores(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    answer(path, ["x", "y"], None)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    first = {"labels": [2, 0], "names": ["ç", "a"], "scores": [0.5, 0.0]}
    assert rows[0] == {"text": "x", **first}
    assert rows[2] == first
    assert rows[1]["scores"] == [0.25, -0.5, -1.0]
    assert "ç" in path.read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_table_holds_the_same_as_json_lines(tmp_path: Path) -> None:
    probable = dataclasses.replace(_answers(), probabilities=np.full((2, 3), 0.25, np.float32))
    for name in ("out.jsonl", "out.parquet"):
        with answer_parts(tmp_path / name, 4, {}, resume=False) as file:
            file.append(probable, ["x", "y"])
            file.append(probable, ["", "z"])
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == rows
    assert rows[0]["probabilities"] == [0.25, 0.25]


def test_a_matrix_keeps_zero_and_negative_scores(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    answer(path, None, ["x", "y"])
    matrix = load_npz(path)
    assert (matrix.format, matrix.shape, matrix.dtype) == ("csr", (4, 4), np.float32)
    assert isinstance(matrix, csr_array)
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    np.testing.assert_array_equal(matrix.indptr, [0, 2, 5, 7, 10])
    np.testing.assert_array_equal(matrix.indices[:5], [0, 2, 0, 1, 3])
    np.testing.assert_array_equal(matrix.data[:5], np.float32([0.0, 0.5, -1.0, 0.25, -0.5]))
    with np.load(path) as arrays:
        assert "data" in arrays


@pytest.mark.parametrize("name", ["out.npz", "out.jsonl", "out.parquet"])
def test_answers_are_whole_or_kept_to_go_on(tmp_path: Path, name: str, capsys) -> None:
    path = tmp_path / name
    with pytest.raises(RunError), answer_parts(path, 4, {"k": 3}, resume=False) as file:
        file.append(_answers(), ["a", "b"])
        file.append(_answers(), ["c", "d"])
        raise RunError("stopped")
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.parts"]
    assert "4 answers are kept in" in capsys.readouterr().err
    another = pytest.raises(InputError, match="answers with another k: 3; expected 5")
    with another, answer_parts(path, 4, {"k": 5}, resume=True):
        raise AssertionError
    with answer_parts(path, 4, {"k": 3}, resume=True) as file:
        assert file.done == 4
        file.append(_answers(), ["e", "f"])
    whole = tmp_path / f"whole-{name}"
    answer(whole, ["a", "b"], ["c", "d"], ["e", "f"])
    if path.suffix == ".npz":
        assert (load_npz(path) != load_npz(whole)).nnz == 0
    else:
        assert path.read_bytes() == whole.read_bytes()
    assert not (tmp_path / f"{name}.parts").exists()


def test_a_fresh_run_forgets_what_a_stopped_one_left(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with pytest.raises(RunError), answer_parts(path, 4, {}, resume=False) as file:
        file.append(_answers(), None)
        raise RunError("stopped")
    answer(path, None)
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize("name", ["out.npz", "out.jsonl", "out.parquet"])
def test_a_run_that_fails_at_once_leaves_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError), answer_parts(tmp_path / name, 4, {}, resume=True):
        raise RunError("stopped")
    assert list(tmp_path.iterdir()) == []


def test_predictions_of_no_texts(tmp_path: Path) -> None:
    for name in ("out.npz", "out.jsonl", "out.parquet"):
        answer(tmp_path / name)
    assert load_npz(tmp_path / "out.npz").shape == (0, 4)
    assert (tmp_path / "out.jsonl").read_bytes() == b""
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0


@given(counts=st.lists(st.integers(1, 30), max_size=6))
def test_vectors_are_appended_to_one_array(tmp_path_factory, counts: list[int]) -> None:
    path = tmp_path_factory.mktemp("vectors") / "vectors.npy"
    parts = [np.random.default_rng(i).random((n, 3), np.float32) for i, n in enumerate(counts)]
    with vector_file(path) as file:
        for part in parts:
            file.append(part)
    expected = np.concatenate([np.empty((0, 3 if parts else 0), np.float32), *parts])
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), expected)


# what is read


def test_texts_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes("a\u2028b\x0bc\n\nçd\re".encode())
    assert list(inputs.read_texts(path)) == ["a\u2028b\x0bc", "", "çd\re"]


def packed(content: bytes, suffix: str) -> bytes:
    if suffix == ".gz":
        return gzip.compress(content)
    return pa.compress(content, codec="zstd", asbytes=True) if suffix == ".zst" else content


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_texts_of_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    contents = {
        "t.txt": b"one\n\ntwo, three\n",
        "t.csv": b'id,text\n1,one\n2,""\n3,"two, three"\n',
        "t.jsonl": b'{"text": "one", "id": 1}\n{"text": ""}\n{"text": "two, three"}\n',
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}{suffix}"
        path.write_bytes(packed(content, suffix))
        assert list(inputs.read_texts(path)) == ["one", "", "two, three"], name


def test_texts_of_a_column(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"id": [1, 2], "title": ["one", None]}), path)
    texts = inputs.read_texts(path, "title")
    assert next(texts) == "one"
    with pytest.raises(DataError, match=r"t\.parquet:2: title is None; expected a text"):
        next(texts)
    with pytest.raises(DataError, match="no column 'text'; found id, title"):
        list(inputs.read_texts(path))


def test_a_line_of_json_without_its_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "a"}\n{"txt": "b"}\n')
    with pytest.raises(DataError, match=r"texts\.jsonl:2: no key 'text'"):
        list(inputs.read_texts(path))


def test_broken_zstd_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.txt.zst"
    path.write_bytes(b"not packed")
    with pytest.raises(DataError, match=r"t\.txt\.zst:1: broken zstd"):
        list(inputs.read_texts(path))


def test_labels_of_a_file_are_texts_or_ids(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("red\n7\n0\n")
    assert inputs.read_labels(None, ["red"]) is None
    assert inputs.read_labels(path, ["red", "7", "red"]) == [0, 2, 1, 0]
    path.write_text("0\nrde\n")
    with pytest.raises(DataError, match=r"labels\.txt:2: 'rde' is no label"):
        inputs.read_labels(path, ["red"])


def test_texts_from_standard_input(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "in"
    path.write_bytes("ä\n\nb\n\xff\n".encode("latin-1"))
    path.write_bytes("ä\n\nb\n".encode() + b"\xff\n")
    with path.open(encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdin", file)
        texts = inputs.read_texts(Path("-"))
        assert [next(texts), next(texts), next(texts)] == ["ä", "", "b"]
        with pytest.raises(DataError, match="standard input:4: not UTF-8"):
            next(texts)


def test_chunks_hold_all_texts_in_order(monkeypatch) -> None:
    monkeypatch.setattr(inputs, "CHUNK", 3)
    parts = list(inputs.chunks(map(str, range(7))))
    assert [len(part) for part in parts] == [3, 3, 1]
    assert [text for part in parts for text in part] == [str(i) for i in range(7)]


# what is shown


def test_progress_in_lines(capsys, monkeypatch) -> None:
    monkeypatch.setattr(progress, "_QUIET_SECONDS", 0.0)
    with progress.TerminalProgress() as shown:
        listener: Progress = shown
        listener.note("a default [bold]")
        listener.begin("outer", 2)
        listener.begin("inner", 0)
        listener.advance(7)
        listener.end()
        listener.advance(2, "loss 0.5")
        listener.end()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "a default [bold]"
    assert [line.partition(",")[0] for line in lines[1:]] == [
        "inner: 7",
        "inner: 7",
        "outer: 2 of 2",
        "outer: 2 of 2",
    ]
    assert lines[-1].endswith(" s, loss 0.5")


def test_progress_in_bars(monkeypatch, tmp_path: Path) -> None:
    with (tmp_path / "screen").open("w+") as screen:
        console = Console(file=screen, force_terminal=True, width=100, highlight=False)
        monkeypatch.setattr(progress, "messages", console)
        monkeypatch.setattr(output, "messages", console)
        with pytest.raises(RunError), progress.TerminalProgress() as shown:
            shown.begin("outer", 2)
            shown.begin("inner", 5)
            shown.advance(5)
            shown.end()
            shown.advance(1, "loss 0.5")
            raise RunError("stopped")
        text = (tmp_path / "screen").read_text()
    assert "outer" in text
    assert "inner: 5 of 5" in text
    assert "\x1b[?25h" in text  # the cursor is back


def test_a_table_is_never_cut_when_no_terminal_reads_it(capsys) -> None:
    row = ["a name of some length " * 3, *["100.00"] * 8]
    output.show_table("Title", ["scorer", *TERMINAL_METRICS], [row])
    text = capsys.readouterr().out
    assert row[0].strip() in text
    assert text.count("100.00") == 8


def test_facts_are_spoken(capsys) -> None:
    facts = {"a": {"b": 12345, "c": None}, "d": [1, 2.5], "e": True, "f": "x [y]"}
    output.show_facts("Facts", facts)
    words = capsys.readouterr().out.split()
    assert {"a.b", "12,345", "a.c", "–", "1,", "2.5", "yes", "x", "[y]"} <= set(words)


@pytest.mark.parametrize("fields", [("title",), ("title", "content")])
def test_quoted_peers_have_every_figure(fields: tuple[str, ...]) -> None:
    rows, source = quoted_peers("LF-WordNet-98K", fields)
    assert len(rows) == 12
    assert "quoted" in source
    for row in rows:
        assert all(0 < row[metric] < 100 for metric in TERMINAL_METRICS)
        assert row["P@1"] > row["P@3"] > row["P@5"]
    assert quoted_peers("another", fields) == ([], "")
