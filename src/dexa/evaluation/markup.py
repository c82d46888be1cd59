"""Pieces of HTML: cards, legends, tables, lists of facts. Texts are escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from dexa.evaluation.plots import N_COLOURS


def words(name: str) -> str:
    """A name from code, such as ``label_search``, as escaped words."""
    return escape(str(name).replace("_", " "))


def section(title: str, note: str, *parts: str) -> str:
    """A part of the page under a heading."""
    lead = f'<p class="note">{note}</p>\n' if note else ""
    return f"<section>\n<h2>{title}</h2>\n{lead}{''.join(parts)}\n</section>"


def chart_card(title: str, names: Iterable[str], chart: str) -> str:
    """A chart with its heading and its legend; names in the order of the chart's colours."""
    items = [
        f'<li style="--swatch: var(--series-{i % N_COLOURS + 1})">{words(name)}</li>'
        for i, name in enumerate(names)
    ]
    legend = f'<ul class="legend">{"".join(items)}</ul>' if len(items) > 1 else ""
    return f'<div class="card"><h3>{title}</h3>{legend}{chart}</div>'


def pair(*cards: str) -> str:
    """Cards two by two, or one by one where the page is narrow."""
    return f'<div class="pair">{"".join(cards)}</div>'


def folded(summary: str, content: str) -> str:
    """Content behind a click."""
    return f"<details><summary>{summary}</summary>{content}</details>"


def table_card(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column names the rows; cells are HTML already."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f'<div class="card scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def fact_cards(facts: Mapping[str, Any]) -> str:
    """A card for each mapping; single values share one, the first."""
    groups: dict[str, dict[str, Any]] = {"run": {}}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            groups.setdefault(name, {}).update(_flat(value))
        else:
            groups["run"].update(_flat({name: value}))
    cards = [
        f'<div class="card"><h3>{words(name)}</h3><dl class="list">'
        + "".join(f"<dt>{words(key)}</dt><dd>{_value(value)}</dd>" for key, value in rows.items())
        + "</dl></div>"
        for name, rows in groups.items()
        if rows
    ]
    return f'<div class="facts">{"".join(cards)}</div>'


def _flat(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Nested mappings and lists of them as dotted names."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            inner = value
        elif isinstance(value, Sequence) and any(isinstance(item, Mapping) for item in value):
            inner = {str(i): item for i, item in enumerate(value, start=1)}
        else:
            yield name, value
            continue
        yield from ((f"{name}.{key}", item) for key, item in _flat(inner))


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_value(item) for item in value) or "–"
    return escape(str(value))
