"""What the scripts of `benchmarks/` share: held-out documents, and other tools' answers."""

from __future__ import annotations

import numpy as np
import pytest

from accuracy import held_out
from dexa import Dataset
from dexa.types import NO_LABEL
from peers import PEERS, figures, padded, task_of

WORDS = ("ape", "bee", "cow", "doe", "elk", "fox")


def animals(n_documents: int = 60, n_rare: int = 20) -> Dataset:
    """Documents that name their label; the last labels have a document each."""
    texts = [f"a {WORDS[i % len(WORDS)]} runs" for i in range(n_documents)]
    labels = [[i % len(WORDS)] for i in range(n_documents)]
    texts += [f"rare{i} runs" for i in range(n_rare)]
    labels += [[len(WORDS) + i] for i in range(n_rare)]
    label_texts = [*WORDS, *(f"rare{i}" for i in range(n_rare))]
    return Dataset.from_lists(
        texts, labels, label_texts, test_texts=["an elk", "the bee"], test_labels=[[4], [1]]
    )


def test_held_out_documents_have_only_labels_that_train_has() -> None:
    dataset = animals()
    chosen = held_out(dataset, share=0.3)
    assert chosen.train is not None and chosen.test is not None and chosen.label_texts is not None
    frequency = np.bincount(chosen.train.labels.indices, minlength=chosen.n_labels)
    assert frequency.min() >= 1
    assert chosen.n_labels < dataset.n_labels
    assert np.diff(chosen.test.labels.indptr).min() == 1
    for split in (chosen.train, chosen.test):
        for text, [label] in zip(split.texts or (), split.labels.tolil().rows, strict=True):
            assert chosen.label_texts[label] in text


def test_held_out_documents_keep_their_filter_pairs() -> None:
    dataset = animals()
    assert dataset.train is not None and dataset.train.texts is not None
    # Each document is filtered with the label after its own.
    rows = np.arange(len(WORDS) * 5)
    pairs = np.stack([rows, (rows + 1) % len(WORDS)], axis=1)
    object.__setattr__(dataset.train, "filter_pairs", pairs)
    chosen = held_out(dataset, share=0.3)
    found = 0
    for split in (chosen.train, chosen.test):
        assert split is not None and split.texts is not None and chosen.label_texts is not None
        for document, label in split.filter_pairs:
            own = split.texts[document].split()[1]
            assert chosen.label_texts[label] == WORDS[(WORDS.index(own) + 1) % len(WORDS)]
            found += 1
    assert found == len(pairs)


def test_answers_of_other_tools_are_cut_sorted_and_filled() -> None:
    top = padded([[(7, 0.25), (3, 0.5)], [], [(i, i / 300) for i in range(300)]])
    assert top.labels[0, :3].tolist() == [3, 7, NO_LABEL]
    assert top.scores[0, :3].tolist() == [0.5, 0.25, -np.inf]
    assert (top.labels[1] == NO_LABEL).all()
    assert top.labels[2].tolist() == list(range(299, 189, -1))


@pytest.mark.parametrize("name", ["tfidf", "bm25"])
def test_text_search_finds_labels_that_are_named(name: str) -> None:
    if name == "bm25":
        pytest.importorskip("bm25s")
    dataset = animals()
    found = figures(PEERS[name](task_of(dataset))(), dataset)
    assert found["P@1"] == 100
    assert found["R@10"] == 100


@pytest.mark.parametrize("name", ["parabel", "bonsai", "bonsai+labels", "napkinxc"])
def test_trees_learn_what_documents_say(name: str) -> None:
    pytest.importorskip("napkinxc" if name == "napkinxc" else "omikuji")
    dataset = animals(n_documents=120)
    assert figures(PEERS[name](task_of(dataset))(), dataset)["P@1"] == 100
