"""Figures of parts of the test split: parts of its true labels, and parts of its documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dexa.metrics.formulas import ratio
from dexa.metrics.right_answers import RightAnswers, best_weights

METRICS = ("P@1", "P@5", "PSP@1", "PSP@5", "R@10")
COVERAGE = "C@5"
ANSWERS = 10  # how many of a document's answers the metrics look at


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the test split.

    Attributes:
        name: what its documents or labels have in common, such as ``"3–4"``.
        size: how many there are of what, such as ``{"documents": 12}``.
        figures: system → metric → per cent, rounded to 4 decimals.
    """

    name: str
    size: Mapping[str, int]
    figures: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """The test split in parts.

    Attributes:
        title: what it is broken down by.
        axis: what the names of the parts say.
        note: what the figures mean.
        parts: those that are not empty; none where nothing is true.
    """

    title: str
    axis: str
    note: str
    parts: Sequence[Part]

    def rows(self) -> list[list[str]]:
        """A table: a header, then a row a part and system, two decimals.

        With two systems, a third row a part holds the second less the first.
        """
        if not self.parts:
            return [[self.axis]]
        size, systems = list(self.parts[0].size), list(self.parts[0].figures)
        metrics = list(self.parts[0].figures[systems[0]])
        rows = [[self.axis, *size, *(["system"] if len(systems) > 1 else []), *metrics]]
        for part in self.parts:
            named = [part.name, *(f"{count:,}" for count in part.size.values())]
            for system, cells in _cells(part.figures, metrics):
                rows.append([*named, *([system] if len(systems) > 1 else []), *cells])
                named = [""] * len(named)
        return rows

    def series(self, metric: str) -> dict[str, list[float]]:
        """A metric of every part, for each system."""
        systems = self.parts[0].figures if self.parts else ()
        return {name: [part.figures[name][metric] for part in self.parts] for name in systems}


def label_parts(
    right: Mapping[str, RightAnswers],
    weights: NDArray[np.float64],
    part_of: NDArray[np.integer],
    names: Sequence[str],
) -> list[Part]:
    """What each part of the true labels contributes.

    P and PSP are contributions: they add up to the metric of the whole split. R@10 is the share of
    the part's true pairs among the first 10 answers, C@5 that of its labels which are found, for
    any document, among the first 5.

    Args:
        right: system → right answers among its first 10.
        weights: inverse propensities, ``[L]``.
        part_of: the part of each label, from 0, ``[L]``.
        names: of the parts.
    """
    truth = next(iter(right.values())).truth
    n = len(names)
    pairs = np.bincount(part_of[truth.indices], minlength=n)
    labels = np.bincount(part_of[np.unique(truth.indices)], minlength=n)
    figures = {}
    for system, answers in right.items():
        possible = np.tile(_possible(answers, weights).sum(axis=0), (n, 1))
        possible[:, 4] = pairs
        reached = _summed(_hits(answers, weights), part_of[answers.labels], n)
        found = np.unique(answers.labels[answers.ranks < 5])
        coverage = np.bincount(part_of[found], minlength=n) / np.maximum(1, labels)
        figures[system] = np.column_stack([ratio(reached, possible), coverage])
    sizes = {"labels": labels, "true pairs": pairs}
    return _parts(names, sizes, figures, (*METRICS, COVERAGE))


def document_parts(
    right: Mapping[str, RightAnswers],
    weights: NDArray[np.float64],
    part_of: NDArray[np.integer],
    names: Sequence[str],
) -> list[Part]:
    """The metrics of each part of the documents, by itself.

    Args:
        right: system → right answers among its first 10.
        weights: inverse propensities, ``[L]``.
        part_of: the part of each document, from 0, ``[N]``.
        names: of the parts.
    """
    figures = {}
    for system, answers in right.items():
        hits = _hits(answers, weights)
        hits[:, 4] /= answers.sizes[answers.documents]
        reached = _summed(hits, part_of[answers.documents], len(names))
        possible = _summed(_possible(answers, weights), part_of, len(names))
        figures[system] = ratio(reached, possible)
    sizes = {"documents": np.bincount(part_of, minlength=len(names))}
    return _parts(names, sizes, figures, METRICS)


def doubling_bins(values: NDArray[np.integer]) -> tuple[NDArray[np.int64], list[str]]:
    """Counts in bins 0, 1, 2, 3–4, 5–8, 9–16, …: the bin of each, and the names of the bins."""
    most = int(values.max(initial=0))
    highs = [0, *(1 << power for power in range(max(0, most - 1).bit_length() + 1))]
    lows = [0, *(high + 1 for high in highs[:-1])]
    names = [f"{a}" if a == b else f"{a}–{b}" for a, b in zip(lows, highs, strict=True)]
    return np.searchsorted(highs, values), names


def _hits(right: RightAnswers, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each right answer adds to each of `METRICS`, ``[H, 5]``; 1 to recall."""
    weight = weights[right.labels]
    every = np.ones(len(weight))
    first, five = every * (right.ranks < 1), every * (right.ranks < 5)
    return np.stack([first, five, first * weight, five * weight, every], axis=1)


def _possible(right: RightAnswers, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each document could add to each of `METRICS` at most, ``[N, 5]``; 1 to recall."""
    best = best_weights(right, weights).cumsum(axis=1)
    every = np.ones(right.n_documents)
    return np.stack([every, 5 * every, best[:, 0], best[:, 4], every], axis=1)


def _summed(
    values: NDArray[np.float64], part_of: NDArray[np.integer], n: int
) -> NDArray[np.float64]:
    """Rows of values ``[E, C]`` added up by their part ``[E]``, ``[n, C]``."""
    columns = [np.bincount(part_of, column, minlength=n) for column in values.T]
    return np.stack(columns, axis=1).astype(np.float64, copy=False)


def _parts(
    names: Sequence[str],
    sizes: Mapping[str, NDArray[np.integer]],
    figures: Mapping[str, NDArray[np.float64]],
    metrics: Sequence[str],
) -> list[Part]:
    there = np.flatnonzero(next(iter(sizes.values())))
    per_cent = {system: (100 * values).round(4).tolist() for system, values in figures.items()}
    return [
        Part(
            name=names[part],
            size={what: int(counts[part]) for what, counts in sizes.items()},
            figures={
                system: dict(zip(metrics, values[part], strict=True))
                for system, values in per_cent.items()
            },
        )
        for part in there.tolist()
    ]


def _cells(
    figures: Mapping[str, Mapping[str, float]], metrics: Sequence[str]
) -> list[tuple[str, list[str]]]:
    rows = [(name, [f"{values[m]:.2f}" for m in metrics]) for name, values in figures.items()]
    if len(figures) == 2:
        first, second = figures.values()
        rows.append(("difference", [f"{second[m] - first[m]:+.2f}" for m in metrics]))
    return rows
