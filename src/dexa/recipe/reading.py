"""Recipes from JSON: every key is known, every value has its field's type."""

from __future__ import annotations

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeGuard, cast

from dexa.errors import RecipeError


def leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of a tree of objects by dotted name."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if is_object(value):
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def parsed(value: Any) -> Any:
    """A text as the JSON value it is, or as itself."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def unknown(key: str, known: Iterable[str], path: str | Path | None = None) -> RecipeError:
    """The error of a key that no field has, naming the nearest that one has."""
    known = list(known)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return RecipeError(f"no recipe field {key!r}", do=f"did you mean {near[0]!r}?", path=path)


def build(cls: type, value: Any, prefix: str, path: str | Path | None) -> Any:
    """A dataclass, and those within it, from a JSON object."""
    if not is_object(value):
        raise RecipeError(
            f"{prefix.rstrip('.') or 'the recipe'} is {json.dumps(value)}",
            expected="a JSON object",
            path=path,
        )
    hints = typing.get_type_hints(cls)
    names = {f.name for f in dataclasses.fields(cls)}
    for key in value:
        if key not in names:
            raise unknown(prefix + key, (prefix + name for name in names), path)
    if "name" in names and not prefix and "name" not in value:
        raise RecipeError("a recipe without a name", do='add "name": "…"', path=path)
    built = {key: _value(hints[key], item, prefix + key, path) for key, item in value.items()}
    return cls(**built)


def _value(hint: Any, value: Any, name: str, path: str | Path | None) -> Any:
    if dataclasses.is_dataclass(hint):
        return build(typing.cast("type", hint), value, name + ".", path)
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for choice in choices:
        if choice is type(None) and value is None:
            return None
        if choice in (str, bool) and isinstance(value, choice):
            return value
        if choice is bool and isinstance(value, bool):
            return value
        if choice is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if choice is int and isinstance(value, int) and not isinstance(value, bool):
            return value
        if typing.get_origin(choice) is tuple and _is_list_of(typing.get_args(choice)[0], value):
            return tuple(typing.cast("list[Any]", value))
    wanted = " or ".join(_spoken(choice) for choice in choices)
    raise RecipeError(f"{name} is {json.dumps(value)}", expected=wanted, path=path)


def _is_list_of(kind: type, value: Any) -> bool:
    if not isinstance(value, list | tuple):
        return False
    return all(type(item) is kind for item in cast("list[Any]", value))


def _spoken(hint: Any) -> str:
    if typing.get_origin(hint) is tuple:
        return "a list of texts" if typing.get_args(hint)[0] is str else "a list of whole numbers"
    spoken = {bool: "true or false", str: "a text", int: "a whole number", float: "a number"}
    return "null" if hint is type(None) else spoken[hint]
