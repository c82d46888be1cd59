"""How a command ends: exit codes, one line an error, signals, warnings, closed pipes.

Exit codes: 0 done, 1 the run failed, 2 the user's mistake.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, ParamSpec

import typer

from dexa.cli.output import say
from dexa.errors import DexaError, Interrupted

TRACEBACK = "DEXA_TRACEBACK"
"""Set this environment variable to 1 to see where an error came from."""

Arguments = ParamSpec("Arguments")


def guarded(function: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """A command that ends with one clear line and the right exit code, whatever happens."""

    @functools.wraps(function)
    def command(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            with _termination_as_interrupt(), _warnings_as_lines():
                function(*args, **kwargs)
                sys.stdout.flush()
        except typer.Exit:
            raise
        except BrokenPipeError:
            _leave_quietly()
        except DexaError as error:
            _fail(f"error: {error}", error.exit_code)
        except KeyboardInterrupt:
            _fail("stopped: nothing was left half-written; the same command starts again", 1)
        except OSError as error:
            if error.filename is None:
                _fail_unexpectedly(error)
            _fail(f"error: {error.filename}: {error.strerror}", 1)
        except Exception as error:
            _fail_unexpectedly(error)

    return command


@contextlib.contextmanager
def on_interrupt(message: Callable[[], str]) -> Iterator[None]:
    """Say how to go on when Ctrl-C or SIGTERM ends the block.

    Raises:
        Interrupted: a signal ended the block.
    """
    try:
        yield
    except (KeyboardInterrupt, Interrupted) as error:
        raise Interrupted(f"stopped: {message()}") from error


def _fail(line: str, code: int) -> NoReturn:
    if os.environ.get(TRACEBACK) == "1":
        traceback.print_exc()
    say(line)
    raise typer.Exit(code)


def _fail_unexpectedly(error: Exception) -> NoReturn:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    _fail(f"unexpected: {text}; please report it; set {TRACEBACK}=1 for the details", 1)


def _leave_quietly() -> NoReturn:
    """End without a word when whoever read standard output has gone."""
    # Python flushes standard output once more on its way out: let that go nowhere.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    raise typer.Exit(1)


@contextlib.contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does."""

    def interrupt(_signal: int, _frame: Any) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _warnings_as_lines() -> Iterator[None]:
    """Show each warning as one line."""

    def show(message: Warning | str, *_: Any) -> None:
        say(f"warning: {' '.join(str(message).split())}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
