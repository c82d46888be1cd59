"""The tables against loops, and the report page as a reader and a browser would take it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from dexa import metrics
from dexa.errors import DataError
from dexa.evaluation import (
    Evaluation,
    calibration,
    evaluate_predictions,
    frequency_deciles,
    write_report,
)
from dexa.evaluation.examples import choose_examples
from dexa.evaluation.markup import fact_cards
from dexa.types import NO_LABEL, TopK

SEEDS = st.integers(0, 2**32 - 1)
NO_PAIRS = np.empty((0, 2), dtype=np.int64)


def random_case(seed: int, n: int = 40, n_labels: int = 30, width: int = 12):
    """Answers, true labels and label frequencies."""
    draw = np.random.default_rng(seed)
    truth = csr_array((draw.random((n, n_labels)) < 0.1).astype(np.float32))
    scores = draw.integers(0, 20, (n, n_labels)) / 20 + truth.toarray() * draw.random((n, n_labels))
    scores[draw.random(scores.shape) < 0.7] = -np.inf
    frequency = draw.integers(0, 8, n_labels) ** 2
    return metrics.top_k(scores, width), truth, frequency


def evaluated(predictions, truth, pairs=NO_PAIRS, **dataset) -> Evaluation:
    train = csr_array(np.ones((5, truth.shape[1])))
    return evaluate_predictions(predictions, truth, pairs, train, dataset=dataset, a=0.55, b=1.5)


def test_evaluation_filters_rounds_and_names_its_metrics() -> None:
    truth = csr_array(np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1]]))
    top = metrics.top_k(np.array([[2, 0], [1, 0], [0, 1]]), 2)
    evaluation = evaluated({"label_search": top}, truth, np.array([[0, 2]]), documents=3)
    figures = evaluation.scorers["label_search"]
    families = [f"{name}@{k}" for name in ("P", "nDCG", "PSP", "PSnDCG") for k in (1, 3, 5)]
    assert list(figures) == [*families, "R@10", "R@100"]
    assert figures["P@1"] == 66.6667
    assert figures["P@3"] == 22.2222
    assert figures["PSP@1"] == 66.6667  # equally frequent labels weigh the same
    assert figures["R@10"] == figures["R@100"] == 50.0
    assert evaluation.to_json() == {
        "scorers": {"label_search": figures},
        "dataset": {"documents": 3},
        "A": 0.55,
        "B": 1.5,
    }
    assert json.loads(json.dumps(evaluation.to_json())) == evaluation.to_json()
    header, row = evaluation.rows()
    assert header == ["scorer", "P@1", "P@3", "P@5", "PSP@1", "PSP@3", "PSP@5", "R@10", "R@100"]
    assert row[:3] == ["label search", "66.67", "22.22"]
    assert top.labels.tolist() == [[2, 0], [1, 0], [0, 1]]


@settings(max_examples=30)
@given(seed=SEEDS)
def test_frequency_deciles_agree_with_loops(seed: int) -> None:
    top, truth, frequency = random_case(seed)
    rows = frequency_deciles(top, truth, frequency)
    pairs = list(zip(*(axis.tolist() for axis in truth.nonzero()), strict=True))
    assert 1 <= len(rows) <= 10
    assert sum(row.pairs for row in rows) == len(pairs)
    for row, after in pairwise(rows):
        assert row.high < after.low
    for row in rows:
        mine = [(i, label) for i, label in pairs if row.low <= frequency[label] <= row.high]
        first = [label == top.labels[i, 0] for i, label in mine]
        ten = [label in top.labels[i, :10] for i, label in mine]
        assert row.pairs == len(mine)
        assert row.labels == len({label for _, label in mine})
        assert row.precision == pytest.approx(sum(first) / len(top), abs=1e-12)
        assert row.recall == pytest.approx(sum(ten) / len(mine), abs=1e-12)
    total = sum(row.precision for row in rows)
    assert total == pytest.approx(metrics.precision(top, truth, 1)[0], abs=1e-12)


def test_frequency_deciles_are_tenths_where_frequencies_differ() -> None:
    truth = csr_array(np.eye(50))
    top = metrics.top_k(np.zeros((50, 1), dtype=int), 1)
    rows = frequency_deciles(top, truth, np.arange(50))
    assert [row.pairs for row in rows] == [5] * 10
    assert [row.frequencies for row in rows][:2] == ["0–4", "5–9"]
    rows = frequency_deciles(top, truth, np.full(50, 7))
    assert [(row.frequencies, row.pairs) for row in rows] == [("7", 50)]


@settings(max_examples=30)
@given(seed=SEEDS, bins=st.integers(1, 12))
def test_calibration_agrees_with_loops(seed: int, bins: int) -> None:
    top, truth, _ = random_case(seed)
    right = truth.toarray() > 0
    rows = calibration(top, truth, bins)
    for answers in (1, 5):
        mine = [row for row in rows if row.answers == answers]
        given = [
            (float(score), bool(right[i, label]))
            for i in range(len(top))
            for label, score in zip(top.labels[i, :answers], top.scores[i, :answers], strict=True)
            if label != NO_LABEL
        ]
        assert 1 <= len(mine) <= bins
        assert sum(row.count for row in mine) == len(given)
        for row in mine:
            inside = [(score, hit) for score, hit in given if row.low <= score <= row.high]
            assert row.count == len(inside)
            assert row.mean == pytest.approx(np.mean([score for score, _ in inside]))
            assert row.right == pytest.approx(np.mean([hit for _, hit in inside]))


def test_shapes_that_do_not_fit_are_refused() -> None:
    top, truth, frequency = random_case(0)
    with pytest.raises(DataError, match="frequencies of 29 labels; expected 30"):
        frequency_deciles(top, truth, frequency[:-1])
    with pytest.raises(DataError, match="predictions for 40 documents, true labels for 39"):
        calibration(top, csr_array(truth[:-1]))


def test_examples_are_right_and_wrong_and_always_the_same() -> None:
    top, truth, _ = random_case(5, n=300)
    right, wrong = choose_examples(top, truth, 10)
    rows = truth.toarray()
    assert len(set(right)) == len(set(wrong)) == 10
    assert all(rows[i, top.labels[i, 0]] == 1 for i in right)
    for i in wrong:
        assert rows[i].any()
        assert top.labels[i, 0] == NO_LABEL or rows[i, top.labels[i, 0]] == 0
    again = choose_examples(top, truth, 10)
    assert [ids.tolist() for ids in again] == [right.tolist(), wrong.tolist()]
    few, none = choose_examples(metrics.top_k(np.array([[0]]), 1), csr_array(np.array([[1]])))
    assert (few.tolist(), none.tolist()) == ([0], [])


def test_facts_of_any_shape() -> None:
    html = fact_cards(
        {
            "seed": 108,
            "versions": {"torch": "2.13"},
            "recipe": {"stages": [{"rate": 5e-3}], "shared": True, "filter": None, "empty": []},
        }
    )
    for fact in (
        "<h3>run</h3>",
        "<dt>seed</dt><dd>108</dd>",
        "<dt>torch</dt><dd>2.13</dd>",
        "<dt>stages.1.rate</dt><dd>0.005</dd>",
        "<dt>shared</dt><dd>yes</dd>",
        "<dt>filter</dt><dd>–</dd>",
        "<dt>empty</dt><dd>–</dd>",
    ):
        assert fact in html


class Page(HTMLParser):
    """Balance of tags, all ids and references, and the text."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.note(attrs)

    def handle_startendtag(self, tag, attrs):
        self.note(attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def note(self, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "xlink:href"):
                self.links.append(value)


def report(path: Path, *, named: bool = True, **changes) -> str:
    top, truth, frequency = random_case(11, n=120)
    predictions = {"label_search": top, "fusion": metrics.drop_pairs(top, np.array([[0, 1]]))}
    arguments = {
        "evaluation": evaluated(predictions, truth, name="LF-<Tiny>&Co"),
        "predictions": predictions,
        "truth": truth,
        "label_frequency": frequency,
        "texts": [f"text <b>{i}</b> \ud800 $title" for i in range(120)] if named else None,
        "label_texts": [f"la & bel {i} " + "long " * 100 for i in range(30)] if named else None,
        "history": [
            {"stage": "encoder", "epoch": 1, "step": 5, "loss": 0.5, "seconds": 1.5},
            {"stage": "encoder", "epoch": 2, "step": 10, "loss": 0.4, "seconds": 1.5, "P@1": 20.0},
            {"stage": 'class"ifiers', "epoch": 1, "step": 5, "loss": 0.3},
            {"stage": 'class"ifiers', "epoch": 1, "step": 9, "loss": 0.2},
        ],
        "facts": {"seed": 108, "versions": {"torch": "<2>"}},
        "peers": [{"name": "omikuji, <Bonsai>", "P@1": 99.99, "PSP@1": 9.42}],
    }
    write_report(path, **(arguments | changes))  # pyright: ignore
    return path.read_text(encoding="utf-8")


def test_report_is_whole_self_contained_and_escaped(tmp_path: Path) -> None:
    html = report(tmp_path / "deep" / "report.html")
    page = Page(html)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert page.links
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    for outside in ("http:", "https:", "@import", "<script", "url(http", "<b>1"):
        assert outside not in html
    assert "prefers-color-scheme: dark" in html
    assert not any(f"#0{i}0{i}0{i}" in html or f"#04040{i}" in html for i in range(1, 7))
    for shown in (
        "LF-<Tiny>&Co",
        "A\xa0=\xa00.55, B\xa0=\xa01.5",
        "omikuji, <Bonsai>",
        "Quoted, not run here",
        "99.99",
        "encoder: 2 epochs in 3.0 s",
        "encoder: validation, %",
        'class"ifiers: 1 epochs in 0.0 s',
        "First answer right",
        "$title",
        "la & bel",
        "…",
    ):
        assert shown in page.text, shown
    assert page.text.count("True: ") == 20
    assert 'class="best">99.99' in html.replace("first best", "best")


def test_report_is_the_same_bytes_each_time_whatever_the_user_set(tmp_path: Path) -> None:
    import matplotlib as mpl

    first = report(tmp_path / "a.html")
    with mpl.rc_context({"lines.linewidth": 9, "axes.grid": False, "font.size": 30}):
        assert report(tmp_path / "b.html") == first
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.html", "b.html"]


def test_report_without_texts_history_or_peers(tmp_path: Path) -> None:
    page = Page(report(tmp_path / "report.html", named=False, history=[], peers=()))
    assert "not recorded" in page.text
    assert "Quoted" not in page.text
    assert "document " in page.text
    assert "label 1" in page.text


def test_report_where_nothing_is_true_or_answered(tmp_path: Path) -> None:
    n, n_labels = 3, 30
    top = TopK(labels=np.full((n, 2), NO_LABEL), scores=np.full((n, 2), -np.inf, dtype=np.float32))
    nothing = csr_array((n, n_labels))
    changes = {"predictions": {"knn": top}, "texts": None, "truth": nothing}
    page = Page(report(tmp_path / "a.html", evaluation=evaluated({"knn": top}, nothing), **changes))
    assert "No document has a true label." in page.text
    assert "Nothing was answered." in page.text
    assert page.text.count("None.") == 2
    changes["truth"] = csr_array(np.ones((n, n_labels)))
    evaluation = evaluated({"knn": top}, changes["truth"])
    page = Page(report(tmp_path / "b.html", evaluation=evaluation, **changes))
    assert page.text.count("No answer.") == n
    assert page.text.count("and 22 more") == n


def test_report_refuses_what_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    with pytest.raises(DataError, match="at least one"):
        report(path, predictions={})
    with pytest.raises(DataError, match="3 texts of 120 documents"):
        report(path, texts=["a", "b", "c"])
    with pytest.raises(DataError, match="1 texts of 30 labels"):
        report(path, label_texts=["a"])
    assert not path.exists()
