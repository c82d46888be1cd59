"""``dexa compare`` on files of predictions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array, save_npz
from typer.testing import CliRunner, Result

from dexa.cli import app
from dexa.data import load_dataset
from tiny import write_dataset


def compare(*arguments: str | Path | int, code: int = 0) -> Result:
    """Run the command in this process."""
    result = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    if result.exit_code != code:
        raise AssertionError(f"exit {result.exit_code}: {result.output}") from result.exception
    return result


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A data set, predictions at random, and predictions that are right."""
    folder = tmp_path_factory.mktemp("compare")
    dataset = write_dataset(folder / "LF-TinyTitles-24", test=40)
    test = load_dataset(dataset).test
    assert test is not None
    noise = np.random.default_rng(0).random(test.labels.toarray().shape).astype(np.float32)
    paths = folder / "noise.npz", folder / "right.npz"
    for path, scores in zip(paths, (noise, noise + test.labels.toarray()), strict=True):
        save_npz(path, csr_array(scores))
    return dataset, *paths


def test_a_better_system_is_found_better(files, tmp_path: Path) -> None:
    dataset, noise, right = files
    path = tmp_path / "compared.json"
    text = compare(noise, right, dataset, "--draws", 200, "--json", path).output
    assert "PSP: A = 0.55, B = 1.5" in text
    assert "200 draws, seed 108" in text
    written = json.loads(path.read_text())
    assert (written["A"], written["B"], written["draws"], written["seed"]) == (0.55, 1.5, 200, 108)
    rows = {row["metric"]: row for row in written["metrics"]}
    first = rows["P@1"]
    assert first["second"] - first["first"] == pytest.approx(first["difference"], abs=1e-3)
    assert 0 < first["low"] <= first["difference"] <= first["high"] <= 100
    assert first["p_value"] == pytest.approx(1 / 201)
    line = next(line for line in text.splitlines() if "P@1 " in line and "PSP" not in line)
    words = [f"{first['first']:.2f}", f"{first['second']:.2f}", f"{first['difference']:+.2f}"]
    assert line.split()[1:4] == words
    assert rows["R@100"]["difference"] == 0  # all labels are among the answers of both
    assert rows["R@100"]["p_value"] == 1


def test_the_filter_is_applied_and_figures_are_those_of_evaluate(files, tmp_path: Path) -> None:
    dataset, noise, right = files
    compared, evaluated = tmp_path / "c.json", tmp_path / "e.json"
    compare(right, noise, dataset, "--draws", 10, "--json", compared)
    arguments = ["evaluate", dataset, "--predictions", noise, "--json", evaluated]
    assert CliRunner().invoke(app, [str(argument) for argument in arguments]).exit_code == 0
    expected = json.loads(evaluated.read_text())["scorers"]["predictions"]
    for row in json.loads(compared.read_text())["metrics"]:
        assert row["second"] == pytest.approx(expected[row["metric"]], abs=1e-4)


def test_the_same_seed_prints_the_same(files) -> None:
    dataset, noise, right = files
    once, again, other = (
        compare(noise, right, dataset, "--draws", 30, "--seed", seed).output for seed in (1, 1, 2)
    )
    assert once == again != other


def test_what_cannot_be_compared_ends_in_one_line(files, tmp_path: Path) -> None:
    dataset, noise, _ = files
    other = tmp_path / "other.npz"
    save_npz(other, csr_array(np.ones((3, 24))))
    text = compare(noise, other, dataset, code=2).output
    assert f"{other}: 3 × 24 scores; expected 40 × 24" in text
    assert "no such file" in compare(tmp_path / "none.npz", noise, dataset, code=2).output
    text = compare(noise, noise, dataset, "--json", tmp_path / "x.txt", code=2).output
    assert "ends in .json" in text
    compare(noise, noise, dataset, "--draws", 0, code=2)
