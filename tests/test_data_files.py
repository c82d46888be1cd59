from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from dexa.data.files import DataWarning, byte_lines, json_objects, text_lines
from dexa.errors import DataError, MissingFileError

ODD_LINES = [
    "plain",
    "",
    "a\rb",
    "next\x85line",
    "para\u2028graph",
    "form\x0cfeed",
    "日本 ÿ",
    "end",
]


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_only_newlines_end_a_line(tmp_path: Path, name: str) -> None:
    content = "\n".join(ODD_LINES).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert [text.removesuffix("\n") for _, text in text_lines(path)] == ODD_LINES
    assert [number for number, _ in byte_lines(path)] == list(range(1, len(ODD_LINES) + 1))


def test_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("one\n\ufefftwo\n".encode("utf-8-sig"))
    assert [text for _, text in text_lines(path)] == ["one\n", "\ufefftwo\n"]


def test_latin_1_is_read_and_said_once(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"plain\ncaf\xe9\n\xfcber\n" + "naïve\n".encode())
    with pytest.warns(DataWarning) as caught:
        texts = [text for _, text in text_lines(path)]
    assert texts == ["plain\n", "café\n", "über\n", "naïve\n"]
    assert len(caught) == 1
    assert f"{path}:2: not UTF-8" in str(caught[0].message)
    assert isinstance(caught[0].message, UserWarning)


def test_json_objects_numbers_lines_and_forgives_blank_lines_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}\r\n{"a": "x\\ny"}\n\n  \n')
    assert list(json_objects(path)) == [(1, {"a": 1}), (2, {"a": "x\ny"})]


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"", 1, "empty file"),
        (b"\n\n", 1, "empty file"),
        (b'{"a": 1}\n\n{"a": 2}\n', 2, "blank line"),
        (b'{"a": 1}\n[1]\n', 2, "JSON list"),
        (b'{"a": 1}\nnull\n', 2, "JSON NoneType"),
        (b'{"a": 1}\n{"a": \n', 2, "not JSON"),
        (b'{"a": 1} {"a": 1}\n', 1, "not JSON: Extra data"),
        (b'{"a": ' + b"[" * 100_000 + b"\n", 1, "not JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}\n", 1, "not JSON"),
    ],
)
def test_broken_json_names_the_line(tmp_path: Path, content: bytes, line: int, words: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        list(json_objects(path))
    assert (caught.value.path, caught.value.line) == (path, line)


def test_a_cut_gzip_names_the_line_it_breaks_at(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(json.dumps({"i": i}).encode() + b"\n" for i in range(50_000)))
    path = tmp_path / "a.json.gz"
    path.write_bytes(whole[: len(whole) // 2])
    seen = 0
    with pytest.raises(DataError, match="broken gzip") as caught:
        for seen, record in json_objects(path):
            assert record == {"i": seen - 1}
    assert 10_000 < seen < 40_000
    assert caught.value.line == seen + 1


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"nowhere\.txt: no such file"):
        list(byte_lines(tmp_path / "nowhere.txt"))
    with pytest.raises(DataError, match="Is a directory"):
        list(byte_lines(tmp_path))
