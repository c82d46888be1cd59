"""Charts as SVG text that takes its colours and fonts from the page around it.

Matplotlib knows nothing of a page's light and dark themes, so charts are drawn in stand-in
colours, which are then replaced by the page's CSS variables: ``--ink``, ``--muted``, ``--line``
and ``--series-1`` to ``--series-6``.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dexa.evaluation.tables import CalibrationBin, FrequencyDecile

N_COLOURS = 6
_INK, _MUTED, _LINE = "#010101", "#020202", "#030303"
_SERIES = [f"#0404{i:02x}" for i in range(1, N_COLOURS + 1)]
_VARIABLES = {_INK: "--ink", _MUTED: "--muted", _LINE: "--line"} | {
    colour: f"--series-{i}" for i, colour in enumerate(_SERIES, start=1)
}
_MARKERS = "osD^vP"  # so that lines differ without colour too
_STYLE: list[Any] = [
    "default",
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "dexa",
        "font.size": 8.5,
        "axes.edgecolor": _LINE,
        "axes.labelcolor": _MUTED,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": _LINE,
        "grid.linewidth": 0.6,
        "xtick.color": _LINE,
        "xtick.labelcolor": _MUTED,
        "xtick.major.size": 0,
        "ytick.color": _LINE,
        "ytick.labelcolor": _MUTED,
        "ytick.major.size": 0,
        "lines.linewidth": 1.6,
        "lines.markersize": 4,
    },
]  # over the default, whatever the user's own settings are


def contribution_chart(deciles: Mapping[str, Sequence[FrequencyDecile]]) -> str:
    """Bars: what each decile adds to P@1, a colour a scorer."""
    with style.context(_STYLE):
        figure, axes = _canvas()
        _bars(axes, [[100 * row.precision for row in rows] for rows in deciles.values()])
        _frequency_axis(axes, next(iter(deciles.values())))
        axes.set_ylabel("points of P@1")
        return _svg(figure, "contribution", "Contribution to P@1 by label frequency")


def bar_chart(
    name: str, series: Mapping[str, Sequence[float]], groups: Sequence[str], *, x: str, y: str
) -> str:
    """Bars side by side in each group, a colour a series.

    Args:
        name: a word that is unique on the page.
        series: name → a value for each group.
        groups: what the groups are called.
        x: what the groups are.
        y: what the values are.
    """
    with style.context(_STYLE):
        figure, axes = _canvas()
        _bars(axes, list(series.values()))
        _group_axis(axes, groups)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        return _svg(figure, name, f"{y} by {x}")


def recall_chart(deciles: Mapping[str, Sequence[FrequencyDecile]]) -> str:
    """Lines: recall at 10 in each decile, a colour a scorer."""
    with style.context(_STYLE):
        figure, axes = _canvas()
        for i, rows in enumerate(deciles.values()):
            colour, marker = _look(i)
            axes.plot([100 * row.recall for row in rows], color=colour, marker=marker)
        _frequency_axis(axes, next(iter(deciles.values())))
        axes.set_ylabel("recall at 10, %")
        axes.set_ylim(bottom=0)
        return _svg(figure, "recall", "Recall at 10 by label frequency")


def line_chart(
    name: str, series: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, x: str, y: str
) -> str:
    """Lines, a colour a series.

    Args:
        name: a word that is unique on the page.
        series: name → values of x and of y.
        x: what x is.
        y: what y is.
    """
    with style.context(_STYLE):
        figure, axes = _canvas()
        for i, (at, values) in enumerate(series.values()):
            colour, marker = _look(i)
            axes.plot(at, values, color=colour, marker=marker if len(at) <= 30 else None)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        return _svg(figure, name, f"{y} by {x}")


def calibration_chart(bins: Sequence[CalibrationBin]) -> str:
    """Lines: the share of right answers by score, for the best answer and the first five."""
    with style.context(_STYLE):
        figure, axes = _canvas()
        for i, answers in enumerate((1, 5)):
            colour, marker = _look(i)
            rows = [row for row in bins if row.answers == answers]
            shares = [100 * row.right for row in rows]
            axes.plot([row.mean for row in rows], shares, color=colour, marker=marker)
        axes.set_xlabel("mean score of the answers")
        axes.set_ylabel("right, %")
        axes.set_ylim(bottom=0)
        return _svg(figure, "calibration", "Share of right answers by score")


def _look(i: int) -> tuple[str, str]:
    """Colour and marker of the i-th series; a seventh looks like the first."""
    return _SERIES[i % N_COLOURS], _MARKERS[i % N_COLOURS]


def _canvas() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.1, 2.6), layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6))
    return figure, axes


def _bars(axes: Axes, series: Sequence[Sequence[float]]) -> None:
    """A bar for each value, those of a group side by side."""
    width = 0.8 / len(series)
    for i, heights in enumerate(series):
        middles = np.arange(len(heights)) + (i - (len(series) - 1) / 2) * width
        axes.bar(middles, heights, width=width * 0.92, color=_look(i)[0])


def _frequency_axis(axes: Axes, rows: Sequence[FrequencyDecile]) -> None:
    _group_axis(axes, [row.frequencies for row in rows])
    axes.set_xlabel("training documents of the label")


def _group_axis(axes: Axes, names: Sequence[str]) -> None:
    """The names of groups below them; long ranges take two lines."""
    cut = [name if len(name) <= 5 else name.replace("–", "–\n") for name in names]
    axes.set_xticks(range(len(cut)), cut)


def _svg(figure: Figure, name: str, title: str) -> str:
    """The figure as an ``<svg>`` element: themed, without dates, its ids unique on the page."""
    buffer = io.StringIO()
    nothing: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r"<style.*?</style>", "", text)  # it would reach beyond the chart
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)
    view = re.search(r'viewBox="[^"]*"', text)
    assert view, "matplotlib writes a viewBox"
    body = text[text.index(">") + 1 :]
    return f'<svg class="chart" role="img" aria-label="{escape(title)}" {view[0]}>{body}'
