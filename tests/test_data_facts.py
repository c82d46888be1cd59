from __future__ import annotations

import json

import numpy as np
from scipy.sparse import csr_array

from dexa.data import Dataset, Split, dataset_facts


def test_facts_of_a_small_set() -> None:
    labels = [[0], [0, 1], [0, 2], [0], [0], [0], []]
    dataset = Dataset.from_lists(
        ["a", "a b", "a b c", "a", "", "  ", "a b c d"],
        labels,
        ["one word", "label", "label", "never seen"],
        test_texts=["a b", "new"],
        test_labels=[[3], [1]],
        name="small",
    )
    facts = dataset_facts(dataset)
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert (facts["name"], facts["fields"], facts["labels"]) == ("small", ["text"], 4)
    assert facts["label_texts"]["duplicates"] == 1
    train = facts["train"]
    assert (train["points"], train["labels_per_point"], train["points_per_label"]) == (7, 8 / 7, 2)
    assert (train["points_without_labels"], train["labels_without_points"]) == (1, 1)
    assert train["texts"] == {
        "words": {"mean": 11 / 7, "min": 0, "median": 1, "p90": 3, "p99": 3, "max": 4},
        "empty": 2,
        "duplicates": 1,
    }
    assert train["head_share"] == {"1%": 6 / 8, "10%": 6 / 8, "20%": 6 / 8}
    assert train["tail"] == {"labels": 3 / 4, "pairs": 2 / 8}
    assert train["filter_pairs"] == 0
    assert (facts["test_labels_unseen_in_train"], facts["test_texts_in_train"]) == (1, 1)


def test_facts_without_texts_and_labels() -> None:
    split = Split(
        labels=csr_array((2, 3), dtype=np.float32), texts=None, filter_pairs=np.array([[0, 1]])
    )
    dataset = Dataset(name="bare", train=None, test=split, label_texts=None, folder=None, fields=())
    facts = dataset_facts(dataset)
    json.dumps(facts, allow_nan=False)
    assert facts["train"] is None
    assert facts["label_texts"] is None
    assert (facts["test_labels_unseen_in_train"], facts["test_texts_in_train"]) == (None, None)
    assert facts["test"]["texts"] is None
    assert facts["test"]["filter_pairs"] == 1
    assert facts["test"]["labels_without_points"] == 3
    assert facts["test"]["head_share"] == {"1%": 0.0, "10%": 0.0, "20%": 0.0}
    assert facts["test"]["tail"] == {"labels": 1.0, "pairs": 0.0}
    both = Dataset(name="bare", train=split, test=split, label_texts=None, folder=None, fields=())
    assert dataset_facts(both)["test_texts_in_train"] is None
