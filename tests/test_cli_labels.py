"""The commands of ``dexa labels``, on a model that trains within a second."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dexa import Dexa
from dexa.cli import app
from tiny import LABELS


@pytest.fixture(scope="module")
def saved(fitted: Dexa, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    fitted.save(folder)
    return folder


@pytest.fixture
def model(saved: Path, tmp_path: Path) -> Path:
    """A model folder of one's own."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def labels(command: str, *arguments: object, text: str = "", code: int = 0) -> Result:
    words = ["labels", command, *(str(argument) for argument in arguments)]
    device = [] if "--help" in words else ["--device", "cpu"]
    result = CliRunner().invoke(app, [*words, *device], input=text)
    if result.exit_code != code:
        raise AssertionError(f"exit {result.exit_code}: {result.output}") from result.exception
    return result


def objects(result: Result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_labels_are_added_from_arguments_a_file_and_standard_input(model: Path) -> None:
    first = labels("add", model, "blue tower", "42", "--json")
    assert objects(first) == [
        {"id": 24, "text": "blue tower", "documents": 0, "hidden": False},
        {"id": 25, "text": "42", "documents": 0, "hidden": False},
    ]
    assert "2 labels added" in first.stderr
    lines = model.parent / "more.txt"
    lines.write_text("a gate\na well\n")
    assert [row["id"] for row in objects(labels("add", model, "--input", lines, "--json"))] == [
        26,
        27,
    ]
    rows = model.parent / "more.jsonl"
    rows.write_text('{"text": "a mill", "documents": ["the mill", "mill at the valley"]}\n')
    assert objects(labels("add", model, "--input", rows, "--json"))[0]["documents"] == 2
    piped = labels("add", model, "--input", "-", text="a barn\n")
    assert "1 label added" in piped.stderr
    assert "a barn" in piped.stdout
    piped = labels("add", model, "--input", "-", "--jsonl", text='{"text": "a shed"}\n')
    names = Dexa.load(model, device="cpu").model.label_texts
    assert names is not None
    assert list(names[24:]) == [
        *("blue tower", "42", "a gate", "a well", "a mill", "a barn", "a shed")
    ]


def test_labels_are_removed_renamed_hidden_and_shown(model: Path) -> None:
    assert objects(labels("remove", model, 0, "amber castle", "--json")) == [
        {"id": label, "text": LABELS[label], "documents": count, "hidden": False}
        for label, count in zip(
            (0, 1), Dexa.load(model, device="cpu").model.frequency, strict=False
        )
    ]
    assert "renamed" in labels("rename", model, "amber engine", "amber motor").stderr
    assert objects(labels("hide", model, 2, "--json"))[0] == {
        "id": 2,
        "text": "amber motor",
        "documents": int(Dexa.load(model, device="cpu").model.frequency[2]),
        "hidden": True,
    }
    assert [row["id"] for row in objects(labels("list", model, "--hidden", "--json"))] == [2]
    labels("show", model, "amber motor")
    listed = labels("list", model, "--containing", "AMBER", "--json")
    assert [row["text"] for row in objects(listed)] == ["amber motor", "amber flower"]
    some = labels("list", model, "--limit", "3")
    assert "3 of 22 labels" in some.stderr
    assert "amber motor" in some.stdout


def test_a_number_is_an_id_unless_it_is_said_to_be_a_text(model: Path) -> None:
    labels("add", model, "7")
    assert [row["id"] for row in objects(labels("hide", model, "7", "--json"))] == [7]
    hidden = labels("hide", model, "7", "--by-text", "--json")
    assert [row["id"] for row in objects(hidden)] == [24]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["add"], "no labels to add"),
        (["add", "amber castle"], "label 1 already has the text 'amber castle'"),
        (["remove"], "no labels; expected ids or texts"),
        (["remove", "amber castl"], "did you mean 'amber castle', label 1?"),
        (["remove", "99"], "an id from 0 to 23"),
        (["hide", "1", "amber castle"], "label 1 is named twice"),
        (["rename", "1", " "], "expected a text that says"),
        (["rename", "1", "black castle"], "label 5 already has the text"),
    ],
)
def test_mistakes_change_nothing(model: Path, words: list[str], message: str) -> None:
    result = labels(words[0], model, *words[1:], code=2)
    assert message in " ".join(result.stderr.split())
    assert not (model / "labels" / "journal.jsonl").exists()


@pytest.mark.parametrize(
    "line", ["[]", "{", '{"text": 3}', '{"text": "a", "documents": "b"}', "{}"]
)
def test_a_broken_line_is_named(model: Path, line: str) -> None:
    rows = model.parent / "rows.jsonl"
    rows.write_text('{"text": "fine"}\n' + line + "\n")
    result = labels("add", model, "--input", rows, code=2)
    assert "rows.jsonl:2: no label" in " ".join(result.stderr.split())
    assert len(Dexa.load(model, device="cpu").model.frequency) == len(LABELS)
