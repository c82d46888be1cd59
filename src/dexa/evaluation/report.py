"""The report page: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.errors import DataError
from dexa.evaluation import plots
from dexa.evaluation.analysis import reliability
from dexa.evaluation.analysis_page import reliability_section
from dexa.evaluation.examples import Names, examples_html
from dexa.evaluation.markup import chart_card, fact_cards, folded, pair, section, table_card, words
from dexa.evaluation.page import tiles, write_page
from dexa.evaluation.tables import (
    CUT_OFFS,
    RECALL_CUT_OFFS,
    CalibrationBin,
    Evaluation,
    FrequencyDecile,
    calibration,
    frequency_deciles,
)
from dexa.metrics.matrices import relevant, shape_of
from dexa.types import TopK

# nDCG@1 and PSnDCG@1 equal P@1 and PSP@1: no need to print them twice.
_FAMILIES = {
    "P": CUT_OFFS,
    "PSP": CUT_OFFS,
    "nDCG": CUT_OFFS[1:],
    "PSnDCG": CUT_OFFS[1:],
    "R": RECALL_CUT_OFFS,
}
_COLUMNS = [f"{family}@{k}" for family, cuts in _FAMILIES.items() for k in cuts]
_TILES = ("P@1", "P@5", "PSP@1", "R@100")


def write_report(  # noqa: PLR0913 - a page shows all there is to show of a run
    path: Path,
    *,
    evaluation: Evaluation,
    predictions: Mapping[str, TopK],
    truth: csr_array,
    label_frequency: NDArray[np.integer],
    texts: Sequence[str] | None,
    label_texts: Sequence[str] | None,
    history: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
    peers: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write the report page of a run. Equal arguments give equal bytes.

    Args:
        path: the HTML file to write.
        evaluation: the metrics of every scorer.
        predictions: scorer → filtered answers ``[N, K]``; the last scorer is the one whose
            answers a user gets: calibration and examples show it.
        truth: the true labels, ``[N, L]``.
        label_frequency: training documents of each label, ``[L]``.
        texts: the N documents; None shows their ids.
        label_texts: the L labels; None shows their ids.
        history: the course of the training, a record for each point:
            ``{"stage": …, "epoch": …, "step": …, "loss": …, "seconds": …}`` and, where it was
            validated, metrics in per cent such as ``"P@1"``.
        facts: what the run was: nested mappings of plain values.
        peers: figures quoted for comparison, ``{"name": …, "P@1": …}``, in per cent.

    Raises:
        DataError: no scorer, other scorers than were evaluated, or shapes that do not fit.
        StorageError: the disk refused to write.
    """
    if not predictions or list(predictions) != list(evaluation.scorers):
        raise DataError(
            f"predictions of {list(predictions)} with metrics of {list(evaluation.scorers)}",
            expected="the same scorers in the same order, at least one",
        )
    final, top = list(predictions.items())[-1]
    deciles = {
        name: frequency_deciles(answers, truth, label_frequency)
        for name, answers in predictions.items()
    }
    names = Names(texts=texts, label_texts=label_texts, label_frequency=label_frequency)
    sections = [
        section("Metrics", _metrics_note(evaluation), _metrics_table(evaluation, peers)),
        _frequency_section(deciles),
        _training_section(history),
        _worth_section(top, truth, final),
        section(
            "Examples",
            f"Documents picked at even distances, with the first answers of {words(final)}. "
            "Small numbers: training documents of the label.",
            examples_html(top, truth, names),
        ),
        section("Facts", "", fact_cards({"data set": evaluation.dataset, **facts})),
    ]
    true = relevant(truth, "true labels")
    n_documents, n_labels = shape_of(true)
    write_page(
        path,
        title=str(evaluation.dataset.get("name", "Report")),
        lead=f"{n_documents:,} test documents · {n_labels:,} labels · "
        f"{true.nnz / n_documents:.2f} true labels a document",
        tiles=tiles(final, evaluation.scorers[final], _TILES),
        sections=sections,
    )


def _metrics_note(evaluation: Evaluation) -> str:
    return (
        "In per cent, after the filter; documents without true labels count 0. Propensity "
        f"constants A&nbsp;=&nbsp;{evaluation.a:g}, B&nbsp;=&nbsp;{evaluation.b:g}. "
        "Coloured: the best of a column."
    )


def _metrics_table(evaluation: Evaluation, peers: Sequence[Mapping[str, Any]]) -> str:
    all_rows = [*evaluation.scorers.values(), *peers]
    best = {m: max((row[m] for row in all_rows if m in row), default=None) for m in _COLUMNS}
    families = "".join(
        f'<th colspan="{len(cuts)}" scope="colgroup" class="first">{family}</th>'
        for family, cuts in _FAMILIES.items()
    )
    header = "".join(f'<th scope="col"{_classes(m)}>@{m.partition("@")[2]}</th>' for m in _COLUMNS)
    body = [_metrics_row(words(name), row, best) for name, row in evaluation.scorers.items()]
    body[-1] = body[-1].replace("<tr>", '<tr class="final">')
    if peers:
        width = len(_COLUMNS) + 1
        body.append(f'<tr class="quoted"><th colspan="{width}">Quoted, not run here</th></tr>')
    for row in peers:
        cells = _metrics_row(escape(str(row["name"])), row, best)
        body.append(cells.replace("<tr>", '<tr class="peer">'))
    return (
        '<div class="card scroll"><table class="metrics"><thead>'
        f'<tr class="families"><th></th>{families}</tr><tr><th scope="col">scorer</th>{header}'
        f"</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _metrics_row(name: str, row: Mapping[str, Any], best: Mapping[str, float | None]) -> str:
    cells = [
        f"<td{_classes(metric, best=row[metric] == best[metric])}>{row[metric]:.2f}</td>"
        if metric in row
        else f"<td{_classes(metric)}>–</td>"
        for metric in _COLUMNS
    ]
    return f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>'


def _classes(metric: str, *, best: bool = False) -> str:
    """The classes of a cell: the first column of a family stands apart."""
    family, _, k = metric.partition("@")
    classes = ["first"] * (int(k) == _FAMILIES[family][0]) + ["best"] * best
    return f' class="{" ".join(classes)}"' if classes else ""


def _frequency_section(deciles: dict[str, list[FrequencyDecile]]) -> str:
    title = "Rare and frequent labels"
    deciles = dict(reversed(deciles.items()))  # the final scorer takes the first colour
    if not next(iter(deciles.values())):
        return section(title, "No document has a true label.")
    header = ["training documents", "labels", "true pairs"]
    header += [f"{words(name)}, {what}" for name in deciles for what in ("P@1 points", "R@10")]
    rows = [
        [same[0].frequencies, f"{same[0].labels:,}", f"{same[0].pairs:,}"]
        + [f"{100 * value:.2f}" for row in same for value in (row.precision, row.recall)]
        for same in zip(*deciles.values(), strict=True)
    ]
    return section(
        title,
        "Deciles of the true pairs of document and label by the label's frequency in training. "
        "Labels of equal frequency stay together, so there may be fewer than ten groups.",
        pair(
            chart_card("Contribution to P@1", deciles, plots.contribution_chart(deciles)),
            chart_card("Recall at 10", deciles, plots.recall_chart(deciles)),
        ),
        folded("The figures", table_card(header, rows)),
    )


def _training_section(history: Sequence[Mapping[str, Any]]) -> str:
    stages = dict.fromkeys(record["stage"] for record in history)
    cards = [
        card
        for number, stage in enumerate(stages)
        for card in _stage_cards(number, stage, [r for r in history if r["stage"] == stage])
    ]
    note = "" if cards else "The course of the training was not recorded."
    return section("Training", note, pair(*cards) if cards else "")


def _stage_cards(number: int, stage: str, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A chart of the losses of a stage, and one of its validation."""
    epochs = [record["epoch"] for record in records if "loss" in record]
    x = "epoch" if len(set(epochs)) == len(epochs) else "step"

    def curve(key: str) -> tuple[list[float], list[float]]:
        points = [record for record in records if key in record]
        return [record[x] for record in points], [record[key] for record in points]

    def card(title: str, y: str, keys: Iterable[str]) -> list[str]:
        curves = {key: curve(key) for key in keys if any(key in record for record in records)}
        chart = plots.line_chart(f"{y}-{number}", curves, x=x, y=y)
        return [chart_card(f"{words(stage)}: {title}", curves, chart)] if curves else []

    seconds = sum(record.get("seconds", 0) for record in records)
    metrics = dict.fromkeys(key for record in records for key in record if "@" in key)
    return [
        *card(f"{len(set(epochs))} epochs in {seconds:,.1f} s", "loss", ["loss"]),
        *card("validation, %", "validation", metrics),
    ]


def _worth_section(top: TopK, truth: csr_array, final: str) -> str:
    if top.probabilities is None:
        return _calibration_section(calibration(top, truth), final)
    found = reliability(replace(top, scores=top.probabilities), truth)
    return reliability_section(
        {final: found},
        "Calibrated probabilities of the answers. The curve was fitted on held-out documents.",
    )


def _calibration_section(bins: Sequence[CalibrationBin], final: str) -> str:
    title = "What the scores are worth"
    if not bins:
        return section(title, "Nothing was answered.")
    names = ("best answer", "first five answers")
    rows = [
        [f"{row.low:.3f} to {row.high:.3f}", f"{row.count:,}", f"{100 * row.right:.1f}"]
        for row in bins
        if row.answers == 1
    ]
    return section(
        title,
        f"Answers of {words(final)}, cut into quantiles of their score, and the share of each "
        "that is right.",
        pair(
            chart_card("Right answers by score", names, plots.calibration_chart(bins)),
            table_card(["score of the best answer", "documents", "right, %"], rows),
        ),
    )
