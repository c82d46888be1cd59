"""How whole processes of the command begin and end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dexa.cli import app
from tiny import write_dataset, write_encoder

DEXA = [sys.executable, "-m", "dexa"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def dexa(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run([*DEXA, *arguments], capture_output=True, text=True, env=ENVIRONMENT)


def test_help_loads_nothing_heavy() -> None:
    heavy = "torch transformers scipy numpy sklearn pyarrow matplotlib dexa.types"
    program = (
        "import sys, dexa.cli\n"
        "try: dexa.cli.app(['train', '--help'])\n"
        "except SystemExit: pass\n"
        f"print('loaded', *set('{heavy}'.split()) & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "loaded"


def test_a_mistake_ends_with_2_and_one_line() -> None:
    done = dexa("info", "/no/such/folder")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_a_mistyped_command_ends_with_2() -> None:
    done = dexa("trian")
    assert done.returncode == 2
    assert "Did you mean 'train'" in done.stderr


def test_a_warning_is_one_line(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "LF-Tiny-24")
    (dataset / "filter_labels_test.txt").rename(dataset / "filter_labels_text.txt")
    done = dexa("info", str(dataset))
    assert done.returncode == 0
    assert done.stderr.startswith("warning: ")
    assert "filter_labels_text.txt" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_closed_pipe_is_quiet(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "LF-Tiny-24")
    with subprocess.Popen(
        [*DEXA, "info", str(dataset)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_go_on(tmp_path: Path, number: int) -> None:
    dataset = write_dataset(tmp_path / "LF-Tiny-24")
    encoder = write_encoder(tmp_path / "encoder")
    model = tmp_path / "model"
    arguments = ["train", str(dataset), "--model", str(model), "--encoder", f"bag:{encoder}"]
    arguments += ["--set", "encoder.initial=random", "--set", "classifier_stage.epochs=1"]
    endless, short = ([*arguments, "--set", f"encoder_stage.epochs={n}"] for n in (20_000, 2))
    with subprocess.Popen(
        [*DEXA, *endless],
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        preexec_fn=_hears_interrupts,
    ) as process:
        assert process.stderr is not None
        checkpoints = model.with_name("model.checkpoints")
        _wait_for(lambda: any(checkpoints.glob("[!.]*/place.json")))
        process.send_signal(number)
        text = process.stderr.read()
        assert process.wait() == 1
    last = text.splitlines()[-1]
    assert "the last checkpoint is intact; go on with the same command and --resume" in last
    assert "Traceback" not in text
    assert not model.exists()
    # Another schedule is another run: these checkpoints are refused, not mistaken for its own.
    refused = CliRunner().invoke(app, [*short, "--resume"])
    assert refused.exit_code == 2
    assert "another recipe" in refused.output
    done = CliRunner().invoke(app, short)
    assert done.exit_code == 0
    assert "of an earlier run is dropped" in done.output
    assert (model / "model.json").is_file()
    assert not checkpoints.exists()


def _hears_interrupts() -> None:
    """A shell's background jobs, and all that they start, ignore SIGINT; not this process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
