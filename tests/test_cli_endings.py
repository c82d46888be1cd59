"""How a command ends: one line and an exit code."""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings

import pytest
import typer

from dexa.cli import endings
from dexa.cli.endings import guarded, on_interrupt
from dexa.errors import DataError, Interrupted, RunError


def _end(function, capsys) -> tuple[int, str]:
    with pytest.raises(typer.Exit) as ending:
        guarded(function)()
    return ending.value.exit_code, capsys.readouterr().err


def _raiser(error: BaseException):
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("bad id", path="a.txt", line=3), 2, "error: a.txt:3: bad id\n"),
        (RunError("the disk is full"), 1, "error: the disk is full\n"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), 1, "error: x: Permission den"),
        (ZeroDivisionError("by\nzero"), 1, "unexpected: ZeroDivisionError: by zero; please report"),
        (OSError("odd"), 1, "unexpected: OSError: odd; please report"),
        (KeyboardInterrupt(), 1, "stopped: nothing was left half-written"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(error, code, line, capsys) -> None:
    exit_code, text = _end(_raiser(error), capsys)
    assert (exit_code, text.count("\n")) == (code, 1)
    assert text.startswith(line)


def test_a_traceback_is_shown_on_request(monkeypatch, capsys) -> None:
    monkeypatch.setenv(endings.TRACEBACK, "1")
    _, text = _end(_raiser(ZeroDivisionError("by zero")), capsys)
    assert "Traceback" in text
    assert "please report it" in text


def test_an_exit_passes_through() -> None:
    with pytest.raises(typer.Exit) as ending:
        guarded(_raiser(typer.Exit(7)))()
    assert ending.value.exit_code == 7


def test_a_closed_pipe_is_quiet(monkeypatch, capsys) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert _end(lambda: pipe.write("results"), capsys) == (1, "")


def test_termination_ends_a_command_as_ctrl_c_does(capsys) -> None:
    before = signal.getsignal(signal.SIGTERM)
    code, text = _end(lambda: os.kill(os.getpid(), signal.SIGTERM), capsys)
    assert code == 1
    assert text.startswith("stopped")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("in the loop")])
def test_an_interrupt_says_how_to_go_on(error) -> None:
    with pytest.raises(Interrupted, match="stopped: type this"), on_interrupt(lambda: "type this"):
        raise error


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line(capsys) -> None:
    guarded(lambda: warnings.warn("two\n  lines", UserWarning, stacklevel=1))()
    assert capsys.readouterr().err == "warning: two lines\n"
