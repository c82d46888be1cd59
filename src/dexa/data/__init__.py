"""Data sets: what they hold, and the reading and writing of every form they come in.

`load_dataset` reads a whole data set into memory; `open_source` streams it row by row. Both find
out by themselves which form a path has.
"""

from __future__ import annotations

from dexa.data.dataset import Dataset, Split, default_fields
from dexa.data.facts import dataset_facts
from dexa.data.files import DataWarning
from dexa.data.filters import read_filter_pairs, write_filter_pairs
from dexa.data.matrix import read_label_matrix, read_matrix, write_matrix
from dexa.data.rows import Row, Source
from dexa.data.source import load_dataset, open_source
from dexa.data.wordnet import build_wordnet

__all__ = [
    "DataWarning",
    "Dataset",
    "Row",
    "Source",
    "Split",
    "build_wordnet",
    "dataset_facts",
    "default_fields",
    "load_dataset",
    "open_source",
    "read_filter_pairs",
    "read_label_matrix",
    "read_matrix",
    "write_filter_pairs",
    "write_matrix",
]
