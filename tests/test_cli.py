"""The real commands, on a data set and an encoder that train within seconds."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import load_npz
from typer.testing import CliRunner, Result

from dexa import recipes
from dexa.cli import COMMANDS, LABEL_COMMANDS, app
from dexa.types import SCORERS
from test_data_wordnet import write_dict
from tiny import LABELS, write_dataset, write_encoder

SETTINGS = ["encoder.initial=random", "encoder_stage.epochs=2", "classifier_stage.epochs=1"]
TINY = ["--device", "cpu", *(word for setting in SETTINGS for word in ("--set", setting))]


def dexa(*arguments: str | Path, code: int = 0) -> Result:
    """Run a command in this process."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exit_code != code:
        raise AssertionError(f"exit {result.exit_code}: {result.output}") from result.exception
    return result


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> SimpleNamespace:
    """A data set, an encoder and a model trained by the command."""
    folder = tmp_path_factory.mktemp("world")
    dataset = write_dataset(folder / "LF-Tiny-24")
    encoder = write_encoder(folder / "encoder")
    model = folder / "model"
    chosen = ["--encoder", f"bag:{encoder}", "--fields", "title", *TINY]
    trained = dexa("train", dataset, "--model", model, *chosen)
    return SimpleNamespace(
        folder=folder, dataset=dataset, encoder=encoder, model=model, trained=trained
    )


# help


NAMES = [
    *(command.__name__ for command in COMMANDS),
    "dataset wordnet",
    *(f"labels {command.__name__.removesuffix('_')}" for command in LABEL_COMMANDS),
]


@pytest.mark.parametrize("command", NAMES)
def test_every_command_has_an_example(command: str) -> None:
    assert f"Example:  dexa {command}" in dexa(*command.split(), "--help").output


# train


def test_train_says_what_it_chose(world) -> None:
    text = world.trained.output
    assert "recipe dexa-plus, seed 108, device cpu" in text
    for choice in ("batch_size", "learning_rate", "shared_vectors", "max_length", "made of title"):
        assert choice in text
    assert f"next: dexa evaluate {world.dataset} --model {world.model}" in text


def test_train_leaves_a_model_and_nothing_else(world) -> None:
    assert (world.model / "model.json").is_file()
    assert not world.model.with_name("model.checkpoints").exists()
    assert [p for p in world.folder.iterdir() if p.name.startswith(".")] == []


def test_train_with_a_recipe_file_and_nothing_to_resume(world, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.json"
    recipes.ngame().changed({"encoder.name": f"bag:{world.encoder}"}).save(recipe)
    arguments = ["--model", tmp_path / "model", "--recipe", recipe, *TINY, "--resume"]
    text = dexa("train", world.dataset, *arguments).output
    assert "nothing to resume" in text
    assert "recipe ngame" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "DATA", "--model", "m", "--recipe", "dexxa"], "did you mean 'dexa'"),
        (["train", "DATA", "--model", "m", "--set", "epochs"], "stage.field=value"),
        (["train", "DATA", "--model", "m", "--set", "fusion.dept=1"], "fusion.depth"),
        (["train", "DATA", "--model", "m", "--device", "tpu"], "is not one of"),
        (["train", "DATA", "--model", "DATA"], "not a model folder"),
        (["train", "DATA"], "Missing option '--model'"),
        (["train", "none", "--model", "m"], "none: no such"),
        (["predict", "MODEL", "--output", "x.jsonl"], "neither --input nor --dataset"),
        (["predict", "MODEL", "--input", "none.txt", "--output", "x.jsonl"], "none.txt: no such"),
        (["predict", "MODEL", "--input", "-", "--output", "x.csv"], ".npz or .jsonl"),
        (["predict", "none", "--input", "-", "--output", "x.npz"], "none"),
        (["evaluate", "DATA"], "neither --model nor --predictions"),
        (["evaluate", "DATA", "--predictions", "none.npz"], "none.npz: no such file"),
        (["evaluate", "DATA", "--predictions", "DATA/lbl.json.gz"], "not a sparse matrix"),
        (["evaluate", "DATA", "--model", "MODEL", "--report", "x.pdf"], "ends in .html"),
        (["encode", "MODEL", "--input", "-", "--output", "x.bin"], "ends in .npy"),
        (["info", "none"], "none: no such"),
        (["demo", "--dataset", "none"], "none: no such"),
        (["dataset", "wordnet", "none"], "none"),
        (["prepare", "none"], "none: no such"),
    ],
)
def test_a_mistake_ends_with_2_and_one_line(
    world, arguments, message, monkeypatch, tmp_path
) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"DATA": str(world.dataset), "MODEL": str(world.model)}
    given = [re.sub("DATA|MODEL", lambda m: places[m[0]], argument) for argument in arguments]
    text = dexa(*given, code=2).output
    assert message in " ".join(text.split())
    assert "Traceback" not in text
    assert "unexpected" not in text


def test_a_part_that_is_not_there(world, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "LF-Tiny-24")
    (dataset / "tst.json.gz").unlink()
    (dataset / "filter_labels_test.txt").unlink()
    scores = tmp_path / "scores.npz"
    asked = ["predict", world.model, "--dataset", dataset, "--output", scores]
    assert "no split tst" in dexa(*asked, code=2).output
    dexa(*asked, "--split", "trn")
    text = dexa("evaluate", dataset, "--predictions", scores, code=2).output
    assert "without train and test split" in text


def test_the_bundled_data_set_may_be_missing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(import_module("dexa.cli.demo"), "BUNDLED", tmp_path / "none")
    assert "dexa dataset wordnet" in dexa("demo", code=2).output


# predict, encode


def test_predict_a_split_as_a_matrix(world, tmp_path: Path) -> None:
    path = tmp_path / "scores.npz"
    dexa("predict", world.model, "--dataset", world.dataset, "--top-k", 5, "--output", path)
    matrix = load_npz(path)
    assert (matrix.shape, matrix.dtype) == ((16, len(LABELS)), np.float32)
    assert set(np.diff(matrix.indptr)) == {5}
    train = tmp_path / "train.npz"
    dexa("predict", world.model, "--dataset", world.dataset, "--split", "trn", "--output", train)
    assert load_npz(train).shape == (64, len(LABELS))


def test_predict_lines_as_json(world, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("dexa.cli.inputs.CHUNK", 2)
    texts = ["amber bridge at the market", "", "ivory castle"]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    path = tmp_path / "answers.jsonl"
    dexa("predict", world.model, "--input", tmp_path / "texts.txt", "--top-k", 3, "--output", path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["text"] for row in rows] == texts
    for row in rows:
        assert row["names"] == [LABELS[label] for label in row["labels"]]
        assert len(row["labels"]) == 3
        assert row["scores"] == sorted(row["scores"], reverse=True)


def test_predict_standard_input(world, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    arguments = ["predict", str(world.model), "--input", "-", "--output", str(path)]
    result = CliRunner().invoke(app, arguments, input="amber bridge\nblack engine")
    assert result.exit_code == 0, result.output
    assert len(path.read_text().splitlines()) == 2


def test_predict_few_labels_or_none(world, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text('title\n"amber bridge"\nivory castle\n')
    (tmp_path / "labels.txt").write_text(f"{LABELS[1]}\n2\n3\n")
    (tmp_path / "not.txt").write_text("3\n")
    path = tmp_path / "answers.jsonl"
    asked = ["predict", world.model, "--input", tmp_path / "texts.csv", "--text-column", "title"]
    chosen = ["--labels-only", tmp_path / "labels.txt", "--exclude", tmp_path / "not.txt"]
    dexa(*asked, *chosen, "--output", path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [set(row["labels"]) for row in rows] == [{1, 2}, {1, 2}]
    dexa(*asked, "--threshold", "1", "--index", "exact", "--output", path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(p >= 1 for row in rows for p in row["probabilities"])


def test_predict_goes_on_where_it_was_stopped(world, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("dexa.cli.inputs.CHUNK", 2)
    texts, path = tmp_path / "texts.jsonl", tmp_path / "answers.jsonl"
    lines = [json.dumps({"text": f"{label} at the market"}) for label in LABELS[:7]]
    texts.write_text("\n".join([*lines[:5], "{", *lines[6:]]))
    asked = ["predict", world.model, "--input", texts, "--top-k", 3, "--output", path]
    stopped = dexa(*asked, code=2).output
    assert "4 answers are kept in" in " ".join(stopped.split())
    assert not path.exists()
    texts.write_text("\n".join(lines))
    assert "another k" in dexa(*asked, "--top-k", 4, "--resume", code=2).output
    dexa(*asked, "--resume")
    resumed = path.read_bytes()
    dexa(*asked)
    assert path.read_bytes() == resumed
    assert len(resumed.splitlines()) == 7


def test_encode(world, tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text('{"text": "amber bridge"}\n{"text": "ivory castle"}\n')
    arrays = []
    for side in ("document", "label"):
        path = tmp_path / f"{side}.npy"
        arguments = ["--input", tmp_path / "texts.jsonl", "--output", path, "--as", side]
        dexa("encode", world.model, *arguments)
        arrays.append(np.load(path))
    for vectors in arrays:
        assert (vectors.shape, vectors.dtype) == ((2, 16), np.float32)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


# evaluate


def test_evaluate_a_model(world, tmp_path: Path) -> None:
    report, figures = tmp_path / "report.html", tmp_path / "metrics.json"
    arguments = ["--model", world.model, "--report", report, "--json", figures]
    result = dexa("evaluate", world.dataset, *arguments)
    assert "PSP: A = 0.55, B = 1.5" in result.output
    written = json.loads(figures.read_text())
    assert list(written["scorers"]) == [*SCORERS[:8], "fusion"]  # those of dexa-plus
    assert f"{written['scorers']['fusion']['P@1']:.2f}" in result.output
    assert "<html" in report.read_text()


def test_evaluate_predictions_as_the_model_itself(world, tmp_path: Path) -> None:
    scores, figures, of_model = (tmp_path / name for name in ("s.npz", "f.json", "m.json"))
    dexa("predict", world.model, "--dataset", world.dataset, "--output", scores)
    report = tmp_path / "report.html"
    arguments = ["--predictions", scores, "--json", figures, "--report", report]
    dexa("evaluate", world.dataset, "--fields", "title", *arguments)
    dexa("evaluate", world.dataset, "--model", world.model, "--json", of_model)
    expected = json.loads(of_model.read_text())["scorers"]["fusion"]
    assert json.loads(figures.read_text())["scorers"]["predictions"] == expected
    assert report.is_file()


def test_evaluate_predictions_of_another_split(world, tmp_path: Path) -> None:
    path = tmp_path / "train.npz"
    dexa("predict", world.model, "--dataset", world.dataset, "--split", "trn", "--output", path)
    text = dexa("evaluate", world.dataset, "--predictions", path, code=2).output
    assert "64 × 24 scores; expected 16 × 24" in text


# info, prepare, dataset, demo


def test_info(world) -> None:
    assert "LF-Tiny-24" in dexa("info", world.dataset).output
    assert "recipe.encoder_stage.epochs" in dexa("info", world.model).output


def test_a_prepared_data_set_is_enough(world, tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "LF-Tiny-24")
    arguments = ["--encoder", world.encoder, "--max-length", "16", "--fields", "title"]
    text = dexa("prepare", dataset, *arguments).output
    assert "max_length" in text
    for path in dataset.glob("*.json.gz"):
        path.unlink()
    model = tmp_path / "model"
    chosen = ["--encoder", f"bag:{world.encoder}", "--set", "encoder.max_length=16"]
    refused = dexa("train", dataset, "--model", model, *chosen, *TINY, code=2).output
    assert "take a recipe that reads tokens alone" in refused
    assert "epoch" not in refused.replace("epochs", "")  # before anything is trained
    dexa("train", dataset, "--model", model, "--recipe", "dexa", *chosen, *TINY)
    dexa("evaluate", dataset, "--model", model)
    answers = tmp_path / "answers.jsonl"
    dexa("predict", model, "--dataset", dataset, "--output", answers)
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    assert len(rows) == 16
    assert "text" not in rows[0]


def test_dataset_wordnet(tmp_path: Path) -> None:
    output = tmp_path / "LF-WordNet-98K"
    dexa("dataset", "wordnet", write_dict(tmp_path / "dict"), "--output", output)
    assert (output / "trn.json.gz").is_file()
    assert "LF-WordNet-98K" in dexa("info", output).output


def test_demo(world, tmp_path: Path, monkeypatch) -> None:
    settings = dict(setting.split("=") for setting in SETTINGS)
    recipe = recipes.dexa().changed({**settings, "encoder.name": f"bag:{world.encoder}"})
    monkeypatch.setattr(recipes, "dexa", lambda: recipe)
    output = tmp_path / "demo"
    text = dexa("demo", "--dataset", world.dataset, "--output", output, "--device", "cpu").output
    assert sorted(p.name for p in output.iterdir()) == ["metrics.json", "model", "report.html"]
    assert re.search(r"\d+ s in all, \d+\.\d\d GB of memory at most", text)
