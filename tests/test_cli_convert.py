from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from dexa.cli import app
from dexa.cli.convert import To
from dexa.data import Form, read_npz
from tiny import write_dataset


def dexa(*arguments: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_the_forms_are_those_of_the_library() -> None:
    assert [form.value for form in To] == [form.value for form in Form]


def test_a_single_file_and_back(tmp_path: Path) -> None:
    single = tmp_path / "train.txt"
    single.write_text("2 3 2\n0,1 0:0.5\n 2:1.0\n")
    output = dexa("convert", single, tmp_path / "matrices", "--to", "matrices")
    assert f"wrote {tmp_path / 'matrices'}".replace(" ", "") in output.replace(" ", "")
    dexa("convert", tmp_path / "matrices", tmp_path / "single", "--to", "single")
    assert (tmp_path / "single" / "train.txt").read_text() == single.read_text()


def test_a_matrix(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("1 2\n1:1.0\n")
    dexa("convert", tmp_path / "m.txt", tmp_path / "m.npz")
    assert read_npz(tmp_path / "m.npz").toarray().tolist() == [[0, 1]]


def test_texts(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "LF-Tiny-24")
    dexa("convert", source, tmp_path / "out", "--to", "lines", "--fields", "title")
    lines = (tmp_path / "out" / "trn_X.txt").read_text().splitlines()
    assert len(lines) == 64
    assert "of the" not in lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none", "out", "--to", "raw"], "none: no such"),
        (["m.txt", "out"], "expected a .txt matrix to .npz"),
        (["m.txt", "out", "--to", "csv"], "is not one of"),
        (["m.txt", "out", "--to", "npz"], "m.txt:1: a file that is not of the old form"),
        (["m.txt", "m.txt", "--to", "npz"], "exists already"),
    ],
)
def test_a_mistake_ends_with_2_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.txt").write_text("1 2\n1:1.0\n")
    output = dexa("convert", *arguments, code=2)
    assert words in output
    assert "Traceback" not in output
