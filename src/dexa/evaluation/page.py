"""The frame of every page: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from dexa.evaluation.markup import words
from dexa.storage import atomic_file

_HERE = Path(__file__).parent


def write_page(path: Path, *, title: str, lead: str, tiles: str, sections: Sequence[str]) -> None:
    """Write a page. Equal arguments give equal bytes.

    Args:
        path: the HTML file to write.
        title: plain text.
        lead: what stands below the title, HTML.
        tiles: `tiles` of the system whose figures matter most.
        sections: HTML.

    Raises:
        StorageError: the disk refused to write.
    """
    page = Template((_HERE / "report.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        style=(_HERE / "report.css").read_text(encoding="utf-8"),
        lead=lead,
        tiles=tiles,
        sections="\n".join(sections),
    )
    with atomic_file(path) as draft:
        draft.write_bytes(page.encode("utf-8", errors="xmlcharrefreplace"))


def tiles(system: str, figures: Mapping[str, float], metrics: Sequence[str]) -> str:
    """A few figures of a system in large letters."""
    cells = "".join(
        f"<div><dt>{metric}, {words(system)}</dt><dd>{figures[metric]:.2f}</dd></div>"
        for metric in metrics
    )
    return f'<dl class="tiles">{cells}</dl>'
