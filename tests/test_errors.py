"""The error tree: what the docstring draws is what there is, and what a message holds."""

from __future__ import annotations

import inspect
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dexa import errors
from dexa.errors import DataError, DexaError, InputError, MissingFileError, RunError, StorageError

CLASSES = {
    name: cls
    for name, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, DexaError)
}


def drawn_parents() -> dict[str, str]:
    """Class and parent, as the tree in the module's docstring draws them."""
    parents, above = {}, {}
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"([ │├└─]+)(\w+(?:Error|Interrupted)|Interrupted)\b", line):
            depth = len(match[1]) // 4
            above[depth] = match[2]
            if depth > 1:
                parents[match[2]] = above[depth - 1]
    return parents


def test_the_drawing_holds_every_error_under_its_parent() -> None:
    actual = {name: cls.__mro__[1].__name__ for name, cls in CLASSES.items() if name != "DexaError"}
    assert drawn_parents() == actual


@pytest.mark.parametrize("cls", CLASSES.values(), ids=CLASSES)
def test_exit_codes_tell_the_users_mistake_from_a_failed_run(cls: type[DexaError]) -> None:
    assert cls.exit_code == (2 if issubclass(cls, InputError) else 1)


def test_errors_are_also_the_builtin_ones_that_callers_expect() -> None:
    assert issubclass(InputError, ValueError)
    assert issubclass(MissingFileError, FileNotFoundError)
    assert issubclass(RunError, RuntimeError)


@pytest.mark.parametrize(
    "cls", [c for c in CLASSES.values() if issubclass(c, InputError)], ids=lambda c: c.__name__
)
def test_a_message_says_where_what_and_what_to_do(cls: type[InputError]) -> None:
    error = cls("3 columns", expected="4", do="add one", path="a/b.txt", line=7)
    assert str(error) == "a/b.txt:7: 3 columns; expected 4; add one"
    assert (error.given, error.expected, error.do) == ("3 columns", "4", "add one")
    assert (error.path, error.line) == (Path("a/b.txt"), 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "wrong"),
        ({"expected": "right"}, "wrong; expected right"),
        ({"do": "mend it"}, "wrong; mend it"),
        ({"path": Path("x")}, "x: wrong"),
        ({"path": Path("x"), "line": 1, "do": "mend it"}, "x:1: wrong; mend it"),
        ({"line": 1}, "wrong"),
    ],
)
def test_parts_that_are_not_known_leave_no_trace(arguments: dict, message: str) -> None:
    assert str(InputError("wrong", **arguments)) == message


@given(st.text(min_size=1), st.text(), st.text())
def test_any_text_goes_into_a_message(given_: str, expected: str, do: str) -> None:
    message = str(DataError(given_, expected=expected, do=do))
    assert message.startswith(given_)
    assert expected in message
    assert do in message


def test_errors_cross_processes() -> None:
    """Tokenising in parallel sends an error home by pickle."""
    for error in (DataError("bad", path="f", line=3), MissingFileError("gone", path="f")):
        back = pickle.loads(pickle.dumps(error))
        assert type(back) is type(error)
        assert str(back) == str(error)
    assert str(StorageError("full")) == "full"
