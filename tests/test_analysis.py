"""Breakdowns and calibration against loops; the page as a browser takes it."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from dexa import metrics
from dexa.data import Dataset, Split
from dexa.data.leaks import find_leaks
from dexa.errors import DataError
from dexa.evaluation.analysis import Analysis, analyse_on, reliability
from dexa.evaluation.analysis_page import duplicate_rows, leak_rows, write_analysis
from dexa.evaluation.breakdowns import Breakdown, doubling_bins
from dexa.evaluation.near_duplicates import find_near_duplicates
from dexa.types import NO_LABEL, TopK
from test_evaluation import Page

SEEDS = st.integers(0, 2**32 - 1)
N, L = 40, 30
A, B = 0.55, 1.5


def random_case(seed: int) -> tuple[Dataset, dict[str, TopK]]:
    draw = np.random.default_rng(seed)
    texts = ["word " * n for n in draw.integers(0, 20, N)]
    train = (draw.random((50, L)) < draw.random(L) ** 3).astype(np.float32)
    train[:, :3] = 0  # some labels are unseen
    test = (draw.random((N, L)) < 0.1).astype(np.float32)
    pairs = np.argwhere(draw.random((N, L)) < 0.02)
    dataset = Dataset(
        name="LF-<Random>&Co",
        train=Split(labels=csr_array(train), texts=["t"] * 50),
        test=Split(labels=csr_array(test), texts=texts, filter_pairs=pairs),
        label_texts=[f"label {i // 2}" for i in range(L)],
        folder=None,
        fields=("text",),
    )
    predictions = {}
    for name in ("first", "second"):
        scores = draw.random((N, L)) * 0.7 + test * draw.random((N, L)) * 0.3
        scores[draw.random(scores.shape) < 0.3] = -np.inf
        predictions[name] = metrics.top_k(scores, 20)
    return dataset, predictions


def analysed(dataset: Dataset, predictions: dict[str, TopK]) -> Analysis:
    return analyse_on(dataset, predictions, a=A, b=B)


class Naive:
    """The figures of one system by loops."""

    def __init__(self, dataset: Dataset, top: TopK) -> None:
        assert dataset.train is not None and dataset.test is not None
        self.truth = dataset.test.labels.toarray() > 0
        self.weights = metrics.inverse_propensity(dataset.train.labels, A, B)
        dropped = {tuple(pair) for pair in dataset.test.filter_pairs.tolist()}
        self.answers = [
            [label for label in row if label != NO_LABEL and (i, label) not in dropped]
            for i, row in enumerate(top.labels.tolist())
        ]

    def best(self, document: int, k: int) -> float:
        return sum(sorted(self.weights[self.truth[document]], reverse=True)[:k])

    def of_documents(self, documents: list[int]) -> dict[str, float]:
        figures = {}
        for k in (1, 5):
            right = [[a for a in self.answers[i][:k] if self.truth[i, a]] for i in documents]
            weight = sum(self.weights[a] for row in right for a in row)
            possible = sum(self.best(i, k) for i in documents)
            figures[f"P@{k}"] = sum(map(len, right)) / (k * len(documents))
            figures[f"PSP@{k}"] = weight / possible if possible else 0
        recalls = [
            sum(self.truth[i, a] for a in self.answers[i][:10]) / max(1, self.truth[i].sum())
            for i in documents
        ]
        return figures | {"R@10": sum(recalls) / len(documents)}

    def of_labels(self, chosen: set[int]) -> dict[str, float]:
        figures = {}
        everyone = range(N)
        for k in (1, 5):
            right = [
                a for i in everyone for a in self.answers[i][:k] if a in chosen and self.truth[i, a]
            ]
            figures[f"P@{k}"] = len(right) / (k * N)
            weight = sum(self.weights[a] for a in right)
            figures[f"PSP@{k}"] = weight / sum(self.best(i, k) for i in everyone)
        true = [(i, a) for i in everyone for a in chosen if self.truth[i, a]]
        figures["R@10"] = sum(a in self.answers[i][:10] for i, a in true) / len(true)
        found = {a for i, a in true if a in self.answers[i][:5]}
        return figures | {"C@5": len(found) / len({a for _, a in true})}


def agree(figures, expected: dict[str, float]) -> None:
    assert set(figures) == set(expected)
    for metric, value in expected.items():
        assert figures[metric] == pytest.approx(100 * value, abs=1e-4), metric


@settings(max_examples=15)
@given(seed=SEEDS)
def test_breakdowns_agree_with_loops(seed: int) -> None:
    dataset, predictions = random_case(seed)
    assert dataset.train is not None and dataset.test is not None and dataset.test.texts
    analysis = analysed(dataset, predictions)
    naive = {name: Naive(dataset, top) for name, top in predictions.items()}
    frequency = (dataset.train.labels.toarray() > 0).sum(axis=0).tolist()
    true = dataset.test.labels.toarray() > 0
    sizes = true.sum(axis=1).tolist()
    words = [len(text.split()) for text in dataset.test.texts]

    def within(name: str, value: int) -> bool:
        low, _, high = name.partition("–")
        return int(low) <= value <= int(high or low)

    by_label = [
        (part, {a for a in range(L) if within(part.name, frequency[a])})
        for part in analysis.breakdowns["label frequency"].parts
    ] + [
        (part, {a for a in range(L) if (frequency[a] > 0) == (part.name == "seen")})
        for part in analysis.breakdowns["seen labels"].parts
    ]
    for part, chosen in by_label:
        pairs = true[:, sorted(chosen)]
        assert part.size == {"labels": pairs.any(axis=0).sum(), "true pairs": pairs.sum()}
        for name, figures in part.figures.items():
            agree(figures, naive[name].of_labels(chosen))
    for what, values in (("true labels", sizes), ("words", words)):
        parts = analysis.breakdowns[what].parts
        assert sum(part.size["documents"] for part in parts) == N
        for part in parts:
            documents = [i for i in range(N) if within(part.name, values[i])]
            assert part.size == {"documents": len(documents)}
            for name, figures in part.figures.items():
                agree(figures, naive[name].of_documents(documents))
    (whole,) = analysis.breakdowns["all"].parts
    for name, figures in whole.figures.items():
        agree(figures, naive[name].of_documents(list(range(N))))
        for what in ("label frequency", "seen labels"):
            for metric in ("P@1", "P@5", "PSP@1", "PSP@5"):
                total = sum(part.figures[name][metric] for part in analysis.breakdowns[what].parts)
                assert total == pytest.approx(figures[metric], abs=1e-3)


def test_figures_of_all_documents_are_those_of_the_metrics() -> None:
    dataset, predictions = random_case(1)
    assert dataset.train is not None and dataset.test is not None
    top = metrics.drop_pairs(predictions["first"], dataset.test.filter_pairs)
    weights = metrics.inverse_propensity(dataset.train.labels, A, B)
    truth = dataset.test.labels
    (whole,) = analysed(dataset, predictions).breakdowns["all"].parts
    assert whole.figures["first"] == pytest.approx(
        {
            "P@1": 100 * metrics.precision(top, truth)[0],
            "P@5": 100 * metrics.precision(top, truth)[4],
            "PSP@1": 100 * metrics.psp(top, truth, weights)[0],
            "PSP@5": 100 * metrics.psp(top, truth, weights)[4],
            "R@10": 100 * metrics.recall(top, truth, 10)[9],
        },
        abs=1e-4,
    )


def test_counts_double_from_bin_to_bin() -> None:
    part_of, names = doubling_bins(np.array([0, 1, 2, 3, 4, 5, 8, 9, 16, 17]))
    assert [names[i] for i in part_of] == [
        *("0", "1", "2", "3–4", "3–4", "5–8", "5–8", "9–16", "9–16", "17–32")
    ]
    assert doubling_bins(np.array([0, 0]))[1][0] == "0"
    assert doubling_bins(np.array([], dtype=int))[0].shape == (0,)


def test_tables_show_two_systems_and_their_difference() -> None:
    dataset, predictions = random_case(2)
    both = analysed(dataset, predictions).breakdowns["seen labels"]
    header, *rows = both.rows()
    assert header[:4] == ["label in train", "labels", "true pairs", "system"]
    assert [row[3] for row in rows] == ["first", "second", "difference"] * 2
    assert [row[0] for row in rows] == ["unseen", "", "", "seen", "", ""]
    unseen = both.parts[0].figures
    change = unseen["second"]["R@10"] - unseen["first"]["R@10"]
    assert rows[2][header.index("R@10")] == f"{change:+.2f}"
    alone = analysed(dataset, {"first": predictions["first"]}).breakdowns["seen labels"]
    assert [row[:3] for row in alone.rows()[1:]] == [row[:3] for row in (rows[0], rows[3])]
    assert "system" not in alone.rows()[0]
    assert alone.series("P@1") == {"first": both.series("P@1")["first"]}
    nothing = Breakdown(title="", axis="labels", note="", parts=[])
    assert (nothing.rows(), nothing.series("P@1")) == ([["labels"]], {})


@settings(max_examples=20)
@given(seed=SEEDS)
def test_reliability_agrees_with_loops(seed: int) -> None:
    draw = np.random.default_rng(seed)
    truth = csr_array((draw.random((N, L)) < 0.2).astype(np.float32))
    scores = draw.integers(0, 21, (N, L)) / 20
    scores[draw.random(scores.shape) < 0.8] = -np.inf
    top = metrics.top_k(scores.astype(np.float32), 8)
    found = reliability(top, truth)
    assert found.are_shares
    right = truth.toarray() > 0
    distance, count = 0.0, 0
    for answers in (1, 5):
        given = [
            (float(score), bool(right[i, label]))
            for i in range(N)
            for label, score in zip(top.labels[i, :answers], top.scores[i, :answers], strict=True)
            if label != NO_LABEL
        ]
        rows = [row for row in found.bins if row.answers == answers]
        assert sum(row.count for row in rows) == len(given)
        for row, after in pairwise(rows):
            assert row.high <= after.low
        for row in rows:
            last = row.high == 1
            inside = [(s, hit) for s, hit in given if row.low <= s and (s < row.high or last)]
            # float32 scores on an edge may fall to either side of it in float64
            assert abs(row.count - len(inside)) <= sum(
                s == row.low or s == row.high for s, _ in given
            )
            assert row.low - 1e-6 <= row.mean <= row.high + 1e-6
            if answers == 5:
                distance += row.count * abs(row.mean - row.right)
                count += row.count
    assert found.error == pytest.approx(distance / count)


def test_reliability_by_hand_and_of_scores_that_are_no_shares() -> None:
    truth = csr_array(np.array([[1, 0], [1, 0], [0, 1]]))
    top = metrics.top_k(np.array([[0.95, -np.inf], [0.25, 0.2], [0.29, -np.inf]]), 2)
    found = reliability(top, truth)
    bins = [(row.answers, row.low, row.high, row.count, row.right) for row in found.bins]
    assert bins == [
        *((1, 0.2, 0.3, 2, 0.5), (1, 0.9, 1.0, 1, 1.0)),
        *((5, 0.2, 0.3, 3, 1 / 3), (5, 0.9, 1.0, 1, 1.0)),
    ]
    assert found.bins[0].mean == pytest.approx(0.27)
    assert found.error == pytest.approx((abs(0.74 - 1) + 0.05) / 4)
    far = reliability(replace(top, scores=top.scores * 2), truth)
    assert (far.are_shares, far.error) == (False, None)
    assert sum(row.count for row in far.bins if row.answers == 1) == 3
    nothing = TopK(labels=np.full((3, 2), NO_LABEL), scores=np.full((3, 2), -np.inf, np.float32))
    assert (reliability(nothing, truth).bins, reliability(nothing, truth).error) == ([], 0)


def test_what_cannot_be_analysed_is_refused() -> None:
    dataset, predictions = random_case(0)
    with pytest.raises(DataError, match="0 systems; expected one or two"):
        analysed(dataset, {})
    with pytest.raises(DataError, match="3 systems"):
        analysed(dataset, {**predictions, "third": predictions["first"]})
    with pytest.raises(DataError, match="without train and test split"):
        analysed(replace(dataset, train=None), predictions)


def test_the_page_is_whole_self_contained_and_escaped(tmp_path: Path) -> None:
    dataset, predictions = random_case(4)
    analysis = analysed(dataset, predictions)
    leaks = find_leaks(dataset, {})
    texts = ["<b>A</b>", "<B>a</B>", "other"]
    found = {
        "leaks": leaks,
        "duplicates": find_near_duplicates(texts).facts(texts),
        "facts": {"predictions": {"first": "a.npz", "second": "b.npz"}},
    }
    write_analysis(tmp_path / "a.html", analysis, **found)
    html = (tmp_path / "a.html").read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    for outside in ("http:", "https:", "@import", "<script", "url(http", "<b>A"):
        assert outside not in html
    for shown in (
        "LF-<Random>&Co",
        "By label frequency",
        "By seen and unseen labels",
        "By number of true labels",
        "By length of the text",
        "calibration error",
        "difference",
        "<b>A</b>; <B>a</B>",
        "a.npz",
        *(row[0] for row in leak_rows(leaks)),
    ):
        assert shown in page.text, shown
    assert html.count('<svg class="chart"') == 4 * 4 + 2
    write_analysis(tmp_path / "b.html", analysis, **found)
    assert (tmp_path / "b.html").read_text(encoding="utf-8") == html
    assert json.loads(json.dumps(analysis.to_json(), allow_nan=False))["A"] == A


def test_the_page_where_nothing_is_known(tmp_path: Path) -> None:
    dataset, predictions = random_case(5)
    assert dataset.test is not None
    empty = Split(labels=csr_array((N, L), dtype=np.float32), texts=None)
    top = predictions["first"]
    none = TopK(labels=np.full_like(top.labels, NO_LABEL), scores=np.full_like(top.scores, -np.inf))
    analysis = analysed(replace(dataset, test=empty, label_texts=None), {"first": none})
    assert "words" not in analysis.breakdowns
    write_analysis(tmp_path / "a.html", analysis, leaks=[], duplicates=None, facts={})
    page = Page((tmp_path / "a.html").read_text(encoding="utf-8"))
    for shown in (
        "No document has a true label.",
        "Nothing was answered.",
        "neither uids nor texts",
        "The labels have no texts.",
    ):
        assert shown in page.text, shown
    none_alike = find_near_duplicates(["a", "b"]).facts(["a", "b"])
    write_analysis(tmp_path / "a.html", analysis, leaks=[], duplicates=none_alike, facts={})
    assert "0 labels in 0 groups" in Page((tmp_path / "a.html").read_text(encoding="utf-8")).text
    assert duplicate_rows(none_alike) == [
        ["label texts, alike but for case, punctuation and space", "labels"]
    ]
