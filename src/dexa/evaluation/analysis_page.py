"""The page of an analysis: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from dexa.data.leaks import Leaks
from dexa.evaluation import plots
from dexa.evaluation.analysis import Analysis, Reliability
from dexa.evaluation.breakdowns import Breakdown
from dexa.evaluation.markup import chart_card, fact_cards, folded, pair, section, table_card, words
from dexa.evaluation.page import tiles, write_page

_TILES = ("P@1", "P@5", "PSP@1", "PSP@5")
_CHARTS = ("P@1", "P@5", "PSP@5", "R@10")


def write_analysis(
    path: Path,
    analysis: Analysis,
    *,
    leaks: Sequence[Leaks],
    duplicates: Mapping[str, Any] | None,
    facts: Mapping[str, Any],
) -> None:
    """Write the page of an analysis. Equal arguments give equal bytes.

    Args:
        path: the HTML file to write.
        analysis: the figures.
        leaks: what is found twice in the data set.
        duplicates: `NearDuplicates.facts` of the labels; None where they have no texts.
        facts: what was analysed: nested mappings of plain values.

    Raises:
        StorageError: the disk refused to write.
    """
    breakdowns = dict(analysis.breakdowns)
    whole = breakdowns.pop("all")
    sections = [
        section(whole.title, _note(analysis), _table(whole.rows())),
        *(_breakdown_section(name, breakdown) for name, breakdown in breakdowns.items()),
        reliability_section(
            analysis.reliability,
            "Answers by their score: tenths from 0 to 1 where all scores are, else quantiles.",
        ),
        _leaks_section(leaks),
        _duplicates_section(duplicates),
        section("Facts", "", fact_cards({"data set": analysis.dataset, **facts})),
    ]
    system, figures = next(iter(whole.parts[0].figures.items()))
    write_page(
        path,
        title=str(analysis.dataset["name"]),
        lead=f"{analysis.dataset['documents']:,} test documents · "
        f"{analysis.dataset['labels']:,} labels · {analysis.dataset['true pairs']:,} true pairs",
        tiles=tiles(system, figures, _TILES),
        sections=sections,
    )


def _note(analysis: Analysis) -> str:
    return (
        "In per cent, after the filter; documents without true labels count 0. Propensity "
        f"constants A&nbsp;=&nbsp;{analysis.a:g}, B&nbsp;=&nbsp;{analysis.b:g}."
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    header, *body = ([escape(cell) for cell in row] for row in rows)
    return table_card(header, body)


def _breakdown_section(name: str, breakdown: Breakdown) -> str:
    if not breakdown.parts:
        return section(breakdown.title, "No document has a true label.")
    cards = [
        chart_card(escape(metric), series, _chart(f"{name} {metric}", breakdown, metric, series))
        for metric in _CHARTS
        if len(breakdown.parts) > 1 and (series := breakdown.series(metric))
    ]
    table = _table(breakdown.rows())
    charts = pair(*cards) + folded("The figures", table) if cards else table
    return section(breakdown.title, breakdown.note, charts)


def _chart(
    name: str, breakdown: Breakdown, metric: str, series: Mapping[str, Sequence[float]]
) -> str:
    names = [part.name for part in breakdown.parts]
    return plots.bar_chart(_id(name), series, names, x=breakdown.axis, y=f"{metric}, %")


def reliability_section(systems: Mapping[str, Reliability], what: str) -> str:
    """Curves and tables of how often answers are right, by score.

    Args:
        systems: the reliability of each.
        what: a sentence that says what the scores are.
    """
    title = "What the scores are worth"
    cards = []
    for number, (name, found) in enumerate(systems.items(), start=1):
        if not found.bins:
            cards.append(f'<div class="card"><h3>{words(name)}</h3>Nothing was answered.</div>')
            continue
        series = {
            what: _curve([row for row in found.bins if row.answers == answers])
            for what, answers in (("best answer", 1), ("first five answers", 5))
        }
        chart = plots.line_chart(
            f"reliability-{number}", series, x="mean score, × 100", y="right, %"
        )
        error = "" if found.error is None else f", calibration error {100 * found.error:.2f} %"
        cards.append(chart_card(f"{words(name)}{error}", series, chart))
        cards.append(_table(reliability_rows(found)))
    return section(
        title,
        f"{what} Of a calibrated system, as many per cent are right as the score says.",
        pair(*cards),
    )


def _curve(bins: Sequence[Any]) -> tuple[list[float], list[float]]:
    return [100 * row.mean for row in bins], [100 * row.right for row in bins]


def reliability_rows(found: Reliability) -> list[list[str]]:
    """A table: a header, then a row a bin."""
    header = ["answers", "score", "number", "mean score", "right, %"]
    return [header] + [
        [
            "best" if row.answers == 1 else f"first {row.answers}",
            f"{row.low:.3g} to {row.high:.3g}",
            f"{row.count:,}",
            f"{row.mean:.3f}",
            f"{100 * row.right:.2f}",
        ]
        for row in found.bins
    ]


def leak_rows(leaks: Sequence[Leaks]) -> list[list[str]]:
    """A table: a header, then a row a kind of leak, with a column for each key."""
    counts = [found.to_json() for found in leaks]
    header = ["what is found twice", *(f"same {found.key}" for found in leaks)]
    return [header] + [
        [name, *(f"{count[name]:,}" for count in counts)] for name in (counts[0] if counts else ())
    ]


def _leaks_section(leaks: Sequence[Leaks]) -> str:
    title = "Leaks"
    if not leaks:
        return section(title, "The data set has neither uids nor texts to look for them by.")
    return section(
        title,
        "Own labels: the document and the label are the same item. Reversed in train: document a "
        "and label b, where training document b has label a.",
        _table(leak_rows(leaks)),
    )


def duplicate_rows(duplicates: Mapping[str, Any]) -> list[list[str]]:
    """A table: a header, then a row a group of labels that read alike, the largest first."""
    return [["label texts, alike but for case, punctuation and space", "labels"]] + [
        ["; ".join(group["texts"]), f"{group['size']:,}"] for group in duplicates["largest"]
    ]


def _duplicates_section(duplicates: Mapping[str, Any] | None) -> str:
    title = "Labels that read alike"
    if duplicates is None:
        return section(title, "The labels have no texts.")
    return section(
        title,
        f"{duplicates['labels']:,} labels in {duplicates['groups']:,} groups differ from another "
        "label in letter case, punctuation and white space alone, or not at all. The largest:",
        _table(duplicate_rows(duplicates)) if duplicates["largest"] else "",
    )


def _id(name: str) -> str:
    """A word that can be part of an element's id."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)
