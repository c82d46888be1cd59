"""What a command prints: results to standard output, all else to standard error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

_WIDE = 160  # where no terminal says how wide it is, nothing is folded

messages = Console(stderr=True, highlight=False)
"""Where notes, warnings, errors and bars go."""


def say(text: str) -> None:
    """Print one line for the reader, not for a program."""
    messages.print(text, markup=False, soft_wrap=True)


def show_table(
    title: str, columns: Sequence[str], *sections: Sequence[Sequence[str]], caption: str = ""
) -> None:
    """Print a table: its first column holds names, all others figures.

    Args:
        title: what stands above it.
        columns: their names.
        sections: the rows, with a line between one section and the next.
        caption: what stands below it.
    """
    table = Table(
        title=title, caption=caption, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    table.title_justify = table.caption_justify = "left"
    for number, column in enumerate(columns):
        if number == 0:
            table.add_column(column, overflow="fold")
        else:
            table.add_column(column, justify="right", no_wrap=True)
    for rows in sections:
        for row in rows:
            table.add_row(*row)
        table.add_section()
    _results().print(table)


def show_facts(title: str, facts: dict[str, Any]) -> None:
    """Print named facts, nested ones under dotted names."""
    table = Table(title=title, title_justify="left", show_header=False, box=SIMPLE_HEAD)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for name, value in _leaves(facts):
        table.add_row(name, _spoken(value))
    _results().print(table)


def _results() -> Console:
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(width=_WIDE, highlight=False, markup=False)


def _leaves(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    leaves = []
    for name, value in tree.items():
        if isinstance(value, dict):
            leaves += _leaves(value, f"{prefix}{name}.")
        else:
            leaves.append((prefix + name, value))
    return leaves


def _spoken(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_spoken, value))
    return str(value)
