"""Broken data sets of every form: each ends in one error that names the file and the line.

One long table on purpose: what is covered is seen at a glance.
"""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import gzip
import io
import re
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dexa.data import load_dataset
from dexa.errors import DataError, InputError, MissingFileError

Files = dict[str, bytes | str | None]

FOLDER = "a folder by the name of the file"


def zipped(content: str) -> bytes:
    return gzip.compress(content.encode())


def parquet(**columns: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def row(**changes: Any) -> str:
    """The second line of a raw train file, with one thing about it changed."""
    parts = {"title": '"b"', "content": '"c"', "target_ind": "[0]", **changes}
    broken = ", ".join(f'"{key}": {value}' for key, value in parts.items() if value is not None)
    return f"{GOOD_ROW}{{{broken}}}\n"


GOOD_ROW = '{"title": "a", "content": "b", "target_ind": [0, 1], "target_rel": [1.0, 0.5]}\n'
GOOD_LABELS = '{"title": "x", "content": ""}\n{"title": "y", "content": ""}\n'

RAW: Files = {"trn.json": GOOD_ROW, "tst.json": GOOD_ROW, "lbl.json": GOOD_LABELS}
LINES: Files = {
    "trn_X.txt": "a\nb\n",
    "trn_X_Y.txt": "2 2\n0:1.0\n1:1.0\n",
    "tst_X.txt": "a\n",
    "tst_X_Y.txt": "1 2\n0:1.0\n",
    "Y.txt": "x\ny\n",
}
PREPARED: Files = {name: LINES[name] for name in ("trn_X_Y.txt", "tst_X_Y.txt")}
CSV: Files = {"train.csv": "text,labels\na,x\nb,y\n", "test.csv": "text,labels\na,x\n"}
KEYED: Files = {**CSV, "labels.csv": "label,text\nx,ex\ny,why\n"}
JSONL: Files = {"train.jsonl": '{"text": "a", "labels": ["x"]}\n{"text": "b", "labels": ["y"]}\n'}
TABLE = parquet(text=["a", "b"], labels=[["x"], ["y"]])
ROW_COUNT, WRONG_COUNT = b"\x16\x04\x19\x1c\x19", b"\x16\x7a\x19\x1c\x19"
PARQUET: Files = {"train.parquet": TABLE}


class Fault(NamedTuple):
    """What is wrong with a data set, and what its error should say."""

    base: Files
    changes: Files  # None takes a file away, FOLDER puts a folder in its place
    file: str
    line: int | None
    words: str
    error: type[InputError] = DataError


def raw(changed: str, line: int, words: str) -> Fault:
    return Fault(RAW, {"trn.json": changed}, "trn.json", line, words)


def csv(content: str, line: int, words: str, base: Files = KEYED) -> Fault:
    return Fault(base, {"train.csv": content}, "train.csv", line, words)


def jsonl(second: str, words: str) -> Fault:
    content = f'{{"text": "a", "labels": ["x"]}}\n{second}\n'
    return Fault(JSONL, {"train.jsonl": content}, "train.jsonl", 2, words)


def filtered(base: Files, name: str, content: str, line: int, words: str) -> Fault:
    return Fault(base, {name: content}, name, line, words)


CUT = zipped(GOOD_ROW * 2)[:-20]
NO_CRC = zipped(GOOD_ROW)[:-8] + b"\0" * 8  # found at the end, behind the first line

FAULTS = {
    # The raw form: whole files.
    "raw, no labels": Fault(RAW, {"lbl.json": None}, "", None, "no lbl.json.gz", MissingFileError),
    "raw, labels a folder": Fault(RAW, {"lbl.json": FOLDER}, "lbl.json", None, "Is a directory"),
    "raw, train a folder": Fault(RAW, {"trn.json": FOLDER}, "trn.json", None, "Is a directory"),
    "raw, labels empty": Fault(RAW, {"lbl.json": "\n"}, "lbl.json", 1, "an empty file"),
    "raw, train empty": raw("\n", 1, "an empty file"),
    "raw, gz empty": Fault(
        RAW, {"trn.json": None, "trn.json.gz": zipped("")}, "trn.json.gz", 1, "an empty file"
    ),
    "raw, not gzip": Fault(
        RAW, {"trn.json.gz": GOOD_ROW}, "trn.json.gz", 1, "broken gzip: Not a gzipped file"
    ),
    "raw, gzip cut short": Fault(RAW, {"trn.json.gz": CUT}, "trn.json.gz", 1, "broken gzip"),
    "raw, gzip of a wrong sum": Fault(RAW, {"trn.json.gz": NO_CRC}, "trn.json.gz", 2, "CRC"),
    "raw, gzip scrambled": Fault(
        RAW,
        {"trn.json.gz": zipped(GOOD_ROW)[:10] + b"\xff" * 40},
        "trn.json.gz",
        1,
        "broken gzip",
    ),
    "raw, labels cut short": Fault(RAW, {"lbl.json.gz": CUT}, "lbl.json.gz", 1, "broken gzip"),
    "raw, UTF-16": Fault(
        RAW, {"trn.json": GOOD_ROW.encode("utf-16-be")}, "trn.json", 1, "not JSON"
    ),
    # The raw form: lines.
    "raw, not JSON": raw(GOOD_ROW + "title: b\n", 2, "not JSON"),
    "raw, line cut short": raw(GOOD_ROW + GOOD_ROW[:30], 2, "not JSON"),
    "raw, two objects": raw(GOOD_ROW + GOOD_ROW.strip() * 2, 2, "not JSON"),
    "raw, a list": raw(GOOD_ROW + "[]\n", 2, "JSON list; expected a JSON object"),
    "raw, a string": raw(GOOD_ROW + '"b"\n', 2, "JSON str"),
    "raw, null": raw(GOOD_ROW + "null\n", 2, "JSON NoneType"),
    "raw, blank line": raw(GOOD_ROW + "\n" + GOOD_ROW, 2, "blank line"),
    "raw, blank label": Fault(
        RAW, {"lbl.json": GOOD_LABELS.replace("\n", "\n\n")}, "lbl.json", 2, "blank line"
    ),
    "raw, label a list": Fault(RAW, {"lbl.json": GOOD_LABELS + "[]\n"}, "lbl.json", 3, "JSON list"),
    # The raw form: texts.
    "raw, no title": raw(row(title=None), 2, "no field 'title'; found content, target_ind"),
    "raw, no content": raw(row(content=None), 2, "no field 'content'"),
    "raw, title a number": raw(row(title="3"), 2, "field 'title' is 3; expected a string"),
    "raw, title a list": raw(row(title='["b"]'), 2, "field 'title' is"),
    "raw, content true": raw(row(content="true"), 2, "field 'content' is True"),
    "raw, half a character": raw(row(title=r'"\ud83d"'), 2, "a lone surrogate"),
    "raw, label without title": Fault(
        RAW, {"lbl.json": GOOD_LABELS + '{"content": ""}\n'}, "lbl.json", 3, "no field 'title'"
    ),
    "raw, label a number": Fault(
        RAW,
        {"lbl.json": GOOD_LABELS + '{"title": 3, "content": ""}\n'},
        "lbl.json",
        3,
        "field 'title' is 3",
    ),
    # The raw form: labels of a document.
    "raw, no targets": raw(row(target_ind=None), 2, "target_ind is missing; expected a list"),
    "raw, null targets": raw(row(target_ind="null"), 2, "target_ind is None"),
    "raw, one target": raw(row(target_ind="1"), 2, "target_ind is 1; expected a list"),
    "raw, targets a string": raw(row(target_ind='"0 1"'), 2, "target_ind is '0 1'"),
    "raw, id too large": raw(row(target_ind="[0, 2]"), 2, "label id 2; expected an integer from 0"),
    "raw, id negative": raw(row(target_ind="[-1]"), 2, "label id -1"),
    "raw, id huge": raw(row(target_ind=f"[{10**40}]"), 2, "label id 1000"),
    "raw, id a float": raw(row(target_ind="[1.0]"), 2, "label id 1.0"),
    "raw, id a string": raw(row(target_ind='["1"]'), 2, "label id '1'"),
    "raw, id true": raw(row(target_ind="[true]"), 2, "label id True"),
    "raw, id null": raw(row(target_ind="[null]"), 2, "label id None"),
    "raw, id a list": raw(row(target_ind="[[0]]"), 2, "label id [0]"),
    "raw, id twice": raw(row(target_ind="[1, 0, 1]"), 2, "label id 1 is given twice"),
    "raw, relevances too few": raw(
        row(target_ind="[0, 1]", target_rel="[1]"), 2, "1 relevances for 2 labels"
    ),
    "raw, relevances too many": raw(row(target_rel="[1, 1]"), 2, "2 relevances for 1 labels"),
    "raw, relevance alone": raw(row(target_rel="1.0"), 2, "target_rel is 1.0; expected a list"),
    "raw, relevance null": raw(row(target_rel="[null]"), 2, "relevance None"),
    "raw, relevances null": raw(row(target_rel="null"), 2, "target_rel is None"),
    "raw, relevance NaN": raw(row(target_rel="[NaN]"), 2, "relevance nan"),
    "raw, relevance infinite": raw(row(target_rel="[Infinity]"), 2, "relevance inf"),
    "raw, relevance too large": raw(row(target_rel="[1e39]"), 2, "relevance 1e+39"),
    "raw, relevance negative": raw(row(target_rel="[-0.5]"), 2, "relevance -0.5"),
    "raw, relevance a string": raw(row(target_rel='["1"]'), 2, "relevance '1'"),
    "raw, relevance true": raw(row(target_rel="[true]"), 2, "relevance True"),
    "raw, test broken": Fault(
        RAW, {"tst.json": row(target_ind="[9]")}, "tst.json", 2, "label id 9"
    ),
    # Filters, which all forms share.
    "filter, one number": filtered(RAW, "filter_labels_train.txt", "0 1\n0\n", 2, "'0'; expected"),
    "filter, three numbers": filtered(RAW, "filter_labels_train.txt", "0 1 1\n", 1, "'0 1 1'"),
    "filter, words": filtered(RAW, "filter_labels_test.txt", "document label\n", 1, "'document"),
    "filter, negative": filtered(RAW, "filter_labels_test.txt", "0 0\n\n0 -1\n", 3, "'0 -1'"),
    "filter, document": filtered(RAW, "trn_filter_labels.txt", "0 1\n1 1\n", 2, "document 1, "),
    "filter, label": filtered(LINES, "tst_filter_labels.txt", "0 2\n", 1, "document 0, label 2"),
    "filter, of prepared": filtered(PREPARED, "filter_labels_test.txt", "1 0\n", 1, "document 1"),
    "filter, of tables": filtered(CSV, "filter_labels_train.txt", "0 0\n2 0\n", 2, "document 2"),
    "filter, a folder": Fault(
        RAW, {"filter_labels_train.txt": FOLDER}, "filter_labels_train.txt", None, "Is a directory"
    ),
    # One text a line.
    "lines, no labels": Fault(
        LINES, {"Y.txt": None}, "Y.txt", None, "no such file", MissingFileError
    ),
    "lines, no train matrix": Fault(
        LINES, {"trn_X_Y.txt": None}, "trn_X_Y.txt", None, "no such file", MissingFileError
    ),
    "lines, no test matrix": Fault(
        LINES, {"tst_X_Y.txt": None}, "tst_X_Y.txt", None, "no such file", MissingFileError
    ),
    "lines, text missing": Fault(
        LINES, {"trn_X.txt": "a\n"}, "trn_X.txt", 2, "a text is missing; expected 2 lines"
    ),
    "lines, text too many": Fault(
        LINES, {"trn_X.txt": "a\nb\n\n"}, "trn_X.txt", 3, "a text too many"
    ),
    "lines, texts empty": Fault(LINES, {"tst_X.txt": ""}, "tst_X.txt", 1, "is missing"),
    "lines, texts a folder": Fault(
        LINES, {"trn_X.txt": FOLDER}, "trn_X.txt", None, "Is a directory"
    ),
    "lines, label missing": Fault(
        LINES, {"Y.txt": "x\n"}, "trn_X_Y.txt", 1, "2 columns, but Y.txt has 1 lines"
    ),
    "lines, label too many": Fault(
        LINES, {"Y.txt": "x\ny\n\n"}, "trn_X_Y.txt", 1, "2 columns, but Y.txt has 3 lines"
    ),
    "lines, test columns": Fault(
        LINES, {"tst_X_Y.txt": "1 3\n0:1.0\n"}, "tst_X_Y.txt", 1, "3 columns"
    ),
    "lines, index too large": Fault(
        LINES, {"trn_X_Y.txt": "2 2\n0:1.0\n2:1.0\n"}, "trn_X_Y.txt", 3, "index 2"
    ),
    "lines, negative relevance": Fault(
        LINES, {"tst_X_Y.txt": "1 2\n0:-1.0\n"}, "tst_X_Y.txt", 2, "value -1"
    ),
    "lines, row missing": Fault(
        LINES, {"trn_X_Y.txt": "2 2\n0:1.0\n"}, "trn_X_Y.txt", 2, "the file ends after 1 rows"
    ),
    "lines, no header": Fault(
        LINES, {"trn_X_Y.txt": "0:1.0\n1:1.0\n"}, "trn_X_Y.txt", 1, "expected a header"
    ),
    "lines, no documents": Fault(
        LINES,
        {"trn_X_Y.txt": "0 2\n", "trn_X.txt": ""},
        "trn_X_Y.txt",
        1,
        "0 documents",
    ),
    # Prepared.
    "prepared, columns differ": Fault(
        PREPARED, {"tst_X_Y.txt": "1 3\n0:1.0\n"}, "tst_X_Y.txt", 1, "3 labels; expected 2"
    ),
    "prepared, empty": Fault(PREPARED, {"trn_X_Y.txt": ""}, "trn_X_Y.txt", 1, "an empty file"),
    "prepared, old form": Fault(
        PREPARED, {"trn_X_Y.txt": "1 5 2\n0 1:1.0\n"}, "trn_X_Y.txt", 1, "old form"
    ),
    "prepared, NaN": Fault(PREPARED, {"trn_X_Y.txt": "1 2\n0:nan\n"}, "trn_X_Y.txt", 2, "'0:nan'"),
    "prepared, no labels": Fault(
        PREPARED, {"trn_X_Y.txt": "1 0\n\n"}, "trn_X_Y.txt", 1, "0 labels"
    ),
    # Tables: CSV.
    "csv, no text column": csv("title,labels\na,x\n", 1, "no column 'text'; found title, labels"),
    "csv, no labels column": csv("text,tags\na,x\n", 1, "no column 'labels'"),
    "csv, column twice": csv("text,labels,text\na,x,b\n", 1, "expected each name once"),
    "csv, empty": csv("\n", 1, "an empty table"),
    "csv, header alone": csv("text,labels\n", 1, "a table without rows"),
    "csv, cell missing": csv("text,labels\na,x\nb\n", 3, "1 cells; expected 2"),
    "csv, cell too many": csv("text,labels\na,x\nb,c,y\n", 3, "3 cells; expected 2"),
    "csv, after a long cell": csv('text,labels\n"a\n\na",x\nb\n', 5, "1 cells"),
    "csv, quote open": csv('text,labels\na,x\n"b,y\n', 3, "not CSV: unexpected end of data"),
    "csv, quote inside": csv('text,labels\na,x\n"b"c,y\n', 3, "not CSV"),
    "csv, stray return": csv("text,labels\na,x\nb\rb,y\n", 3, "not CSV"),
    "csv, unknown label": csv("text,labels\na,x\nb,z\n", 3, "unknown label 'z'"),
    "csv, label twice": csv("text,labels\na,x\nb,y;x;y\n", 3, "label 'y' is given twice"),
    "csv, broken list": csv('text,labels\na,x\nb,"[""x"""\n', 3, "are not JSON"),
    "csv, list of nulls": csv("text,labels\na,x\nb,[null]\n", 3, "label None"),
    "csv, no label at all": csv("text,labels\na,\n", 1, "no document has a label", base=CSV),
    "csv, id out of range": Fault(
        CSV,
        {"train.csv": "text,labels\na,0 1\nb,2\n", "labels.csv": "text\nx\ny\n"},
        "train.csv",
        3,
        "unknown label '2'; expected one of the 2 labels",
    ),
    "csv, id negative": Fault(
        CSV,
        {"train.csv": "text,labels\na,-1\n", "labels.csv": "text\nx\ny\n"},
        "train.csv",
        2,
        "unknown label '-1'",
    ),
    "csv, test unknown": Fault(
        KEYED, {"test.csv": "text,labels\n\na,z\n"}, "test.csv", 3, "unknown label 'z'"
    ),
    "csv, not gzip": Fault(
        CSV, {"train.csv": None, "train.csv.gz": "text,labels\n"}, "train.csv.gz", 1, "gzip"
    ),
    # Tables: the labels.
    "labels, key twice": Fault(
        KEYED, {"labels.csv": "label,text\nx,ex\nx,why\n"}, "labels.csv", 3, "'x' occurs twice"
    ),
    "labels, key empty": Fault(
        KEYED, {"labels.csv": "label,text\nx,ex\n,why\n"}, "labels.csv", 3, "label ''"
    ),
    "labels, key a float": Fault(
        KEYED,
        {"labels.csv": None, "labels.jsonl": '{"label": 1.5, "text": "x"}\n'},
        "labels.jsonl",
        1,
        "label 1.5",
    ),
    "labels, no text": Fault(
        KEYED, {"labels.csv": "label,name\nx,ex\ny,why\n"}, "labels.csv", 1, "no column 'text'"
    ),
    "labels, no rows": Fault(
        KEYED, {"labels.csv": "label,text\n"}, "labels.csv", 1, "a table without rows"
    ),
    "labels, text a number": Fault(
        KEYED,
        {"labels.csv": None, "labels.jsonl": '{"label": "x", "text": 3}\n{"label": "y"}\n'},
        "labels.jsonl",
        1,
        "field 'text' is 3",
    ),
    "labels, two tables": Fault(
        KEYED, {"labels.jsonl": "{}\n"}, "", None, "both labels.csv and labels.jsonl"
    ),
    "tables, train twice": Fault(
        CSV, {"train.jsonl": "{}\n"}, "", None, "both train.csv and train.jsonl"
    ),
    # Tables: JSON lines.
    "jsonl, not JSON": jsonl("text", "not JSON"),
    "jsonl, a list": jsonl('["b", "y"]', "JSON list"),
    "jsonl, no text": jsonl('{"labels": ["y"]}', "no key 'text'; found labels"),
    "jsonl, no labels": jsonl('{"text": "b"}', "no key 'labels'"),
    "jsonl, text a list": jsonl('{"text": ["b"], "labels": ["y"]}', "field 'text' is ['b']"),
    "jsonl, labels an object": jsonl('{"text": "b", "labels": {"y": 1}}', "label {'y': 1}"),
    "jsonl, label a float": jsonl('{"text": "b", "labels": [1.0]}', "label 1.0"),
    "jsonl, label twice": jsonl('{"text": "b", "labels": ["y", "y"]}', "'y' is given twice"),
    "jsonl, surrogate": jsonl(r'{"text": "\udc00", "labels": []}', "a lone surrogate"),
    # Tables: Parquet.
    "parquet, not Parquet": Fault(
        PARQUET, {"train.parquet": "text,labels\n"}, "train.parquet", 1, "not Parquet"
    ),
    "parquet, cut short": Fault(
        PARQUET,
        {"train.parquet": TABLE[:-9]},
        "train.parquet",
        1,
        "not Parquet",
    ),
    "parquet, pages scrambled": Fault(
        PARQUET,
        {"train.parquet": TABLE[:4] + b"\xff" * 60 + TABLE[64:]},
        "train.parquet",
        1,
        "not Parquet",
    ),
    "parquet, the name of a column is no UTF-8": Fault(
        PARQUET,
        {"train.parquet": TABLE.replace(b"labels", b"\x9babels")},
        "train.parquet",
        1,
        "not Parquet: 'utf-8' codec",
    ),
    "parquet, fewer rows than it says": Fault(
        PARQUET,
        {"train.parquet": TABLE.replace(ROW_COUNT, WRONG_COUNT)},
        "train.parquet",
        3,
        "2 rows; expected 61, as the end of the file says",
    ),
    "csv, a cell nested too deep": csv(f"text,labels\na,{'[' * 99_999}\n", 2, "are not JSON"),
    "parquet, a folder": Fault(
        PARQUET, {"train.parquet": FOLDER}, "train.parquet", 1, "not Parquet"
    ),
    "parquet, no column": Fault(
        PARQUET, {"train.parquet": parquet(text=["a"])}, "train.parquet", 1, "no column 'labels'"
    ),
    "parquet, no columns": Fault(
        PARQUET, {"train.parquet": parquet()}, "train.parquet", 1, "an empty table"
    ),
    "parquet, no rows": Fault(
        PARQUET,
        {
            "train.parquet": parquet(
                text=pa.array([], pa.string()), labels=pa.array([], pa.string())
            )
        },
        "train.parquet",
        1,
        "a table without rows",
    ),
    "parquet, text a number": Fault(
        PARQUET,
        {"train.parquet": parquet(text=[1, 2], labels=["x", "y"])},
        "train.parquet",
        1,
        "field 'text' is 1",
    ),
    "parquet, labels floats": Fault(
        PARQUET,
        {"train.parquet": parquet(text=["a", "b"], labels=[[], [0.5]])},
        "train.parquet",
        2,
        "label 0.5",
    ),
}


def make(folder: Path, files: Files) -> Path:
    folder.mkdir()
    for name, content in files.items():
        if content == FOLDER:
            (folder / name).mkdir()
        elif content is not None:
            data = content.encode() if isinstance(content, str) else content
            (folder / name).write_bytes(data)
    return folder


def test_the_count_of_rows_is_where_a_fault_changes_it() -> None:
    assert TABLE.count(ROW_COUNT) == 1


def test_there_are_a_hundred() -> None:
    assert len(FAULTS) >= 100


@pytest.mark.parametrize(
    "base", [RAW, LINES, PREPARED, CSV, KEYED, JSONL, PARQUET], ids=lambda base: min(base)
)
def test_each_base_is_sound(tmp_path: Path, base: Files) -> None:
    assert load_dataset(make(tmp_path / "set", base)).n_labels == 2


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_one_error_names_file_and_line(tmp_path: Path, fault: Fault) -> None:
    folder = make(tmp_path / "set", {**fault.base, **fault.changes})
    with pytest.raises(fault.error, match=re.escape(fault.words)) as caught:
        load_dataset(folder)
    path = folder / fault.file
    assert (caught.value.path, caught.value.line) == (path, fault.line)
    where = f"{path}: " if fault.line is None else f"{path}:{fault.line}: "
    assert str(caught.value).startswith(where)
