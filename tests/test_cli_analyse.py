"""``dexa analyse`` on files of predictions and on data sets alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array, save_npz
from typer.testing import CliRunner, Result

from dexa.cli import app
from dexa.data import load_dataset, read_filter_pairs, write_matrix
from tiny import write_dataset


def run(command: str, *arguments: str | Path, code: int = 0) -> Result:
    """Run a command in this process."""
    result = CliRunner().invoke(app, [command, *map(str, arguments)])
    if result.exit_code != code:
        raise AssertionError(f"exit {result.exit_code}: {result.output}") from result.exception
    return result


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A data set, predictions at random, and predictions that are right."""
    folder = tmp_path_factory.mktemp("analyse")
    dataset = write_dataset(folder / "LF-TinyTitles-24", test=40)
    test = load_dataset(dataset).test
    assert test is not None
    noise = np.random.default_rng(0).random(test.labels.toarray().shape).astype(np.float32)
    paths = folder / "noise.npz", folder / "right.npz"
    for path, scores in zip(paths, (noise, noise + test.labels.toarray()), strict=True):
        save_npz(path, csr_array(scores))
    return dataset, *paths


def test_two_systems_side_by_side(files, tmp_path: Path) -> None:
    dataset, noise, right = files
    page, figures = tmp_path / "a.html", tmp_path / "a.json"
    options = ("--against", right, "--report", page, "--json", figures)
    text = run("analyse", dataset, "--predictions", noise, *options).output
    for shown in (
        "PSP: A = 0.55, B = 1.5",
        "by label frequency",
        "by seen and unseen labels",
        "by number of true labels",
        "by length of the text",
        "What the scores of first are worth",
        "What the scores of second are worth",
        "calibration error",
        "LF-TinyTitles-24: leaks",
        "same uid  same text",
        "labels that read alike",
        f"wrote {figures}",
        f"wrote {page}",
    ):
        assert shown in text, shown
    written = json.loads(figures.read_text())
    assert written["systems"] == {"first": str(noise), "second": str(right)}
    (whole,) = written["breakdowns"]["all"]["parts"]
    evaluated = tmp_path / "e.json"
    run("evaluate", dataset, "--predictions", noise, "--json", evaluated)
    expected = json.loads(evaluated.read_text())["scorers"]["predictions"]
    assert whole["figures"]["first"] == {name: expected[name] for name in whole["figures"]["first"]}
    assert written["reliability"]["first"]["are_shares"]
    assert not written["reliability"]["second"]["are_shares"]
    line = next(line for line in text.splitlines() if line.split()[:1] == ["difference"])
    change = whole["figures"]["second"]["P@1"] - whole["figures"]["first"]["P@1"]
    assert line.split()[1] == f"{change:+.2f}"
    assert "<svg" in page.read_text(encoding="utf-8")


def test_a_data_set_alone_and_its_filters(files, tmp_path: Path) -> None:
    dataset = files[0]
    figures, filters = tmp_path / "a.json", tmp_path / "filters"
    text = run("analyse", dataset, "--json", figures, "--write-filters", filters).output
    assert "PSP" not in text
    assert "--own-only keeps them" in text
    written = json.loads(figures.read_text())
    assert list(written) == ["systems", "dataset", "leaks", "duplicates"]
    assert written["leaks"]["uid"]["test documents in train"] == 40  # uids are row numbers here
    assert written["leaks"]["uid"]["train: own labels"] == 24
    train = read_filter_pairs(filters / "filter_labels_train.txt", 64, 24)
    assert train.tolist() == [[i, i] for i in range(24)]
    test = read_filter_pairs(filters / "filter_labels_test.txt", 40, 24)
    assert len(test) == sum(
        written["leaks"]["uid"][f"test: {kind}"] for kind in ("own labels", "reversed in train")
    )
    text = run("analyse", dataset, "--write-filters", filters, code=2).output
    assert "filter_labels_train.txt: a filter file is there; expected a folder without" in text
    own = tmp_path / "own"
    text = run("analyse", dataset, "--write-filters", own, "--own-only").output
    assert "--own-only keeps them" not in text
    test = read_filter_pairs(own / "filter_labels_test.txt", 40, 24)
    assert test.tolist() == [[i, i] for i in range(24)]


def test_a_prepared_data_set_has_nothing_to_find_leaks_by(tmp_path: Path) -> None:
    labels = csr_array(np.eye(4, dtype=np.float32))
    for name in ("trn_X_Y.txt", "tst_X_Y.txt"):
        write_matrix(tmp_path / name, labels)
    save_npz(tmp_path / "right.npz", labels)
    text = run("analyse", tmp_path, "--predictions", tmp_path / "right.npz").output
    assert "neither uids nor texts" in text
    assert "by length" not in text
    text = run("analyse", tmp_path, "--write-filters", tmp_path / "filters", code=2).output
    assert "neither uids nor texts" in text
    assert not (tmp_path / "filters").exists()


def test_mistakes_end_in_one_line(files, tmp_path: Path) -> None:
    dataset, noise, _ = files
    other = tmp_path / "other.npz"
    save_npz(other, csr_array(np.ones((3, 24))))
    page = tmp_path / "a.html"
    for arguments, message in (
        (("--predictions", other), f"{other}: 3 × 24 scores; expected 40 × 24"),
        (("--predictions", tmp_path / "none.npz"), "no such file"),
        (("--against", noise), "--against without --predictions"),
        (("--report", page), "--report without --predictions"),
        (("--predictions", noise, "--report", tmp_path / "x.txt"), "ends in .html"),
        (("--json", tmp_path / "x.txt"), "ends in .json"),
        (("--own-only",), "--own-only without --write-filters"),
        (("--write-filters", noise), "expected"),
    ):
        assert message in run("analyse", dataset, *arguments, code=2).output, arguments
    assert (
        "a filter file is there"
        in run("analyse", dataset, "--write-filters", dataset, code=2).output
    )
    assert "no such folder" in run("analyse", tmp_path / "none", code=2).output
    assert list(tmp_path.iterdir()) == [other]
