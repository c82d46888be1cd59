"""Data sets: what they hold, and the reading and writing of every form they come in.

`load_dataset` reads a whole data set into memory; `open_source` streams it row by row. Both find
out by themselves which form a path has.
"""

from __future__ import annotations

from dexa.data.dataset import Dataset, Split, default_fields
from dexa.data.facts import dataset_facts
from dexa.data.features import TextFeatures
from dexa.data.files import DataWarning
from dexa.data.filters import read_filter_pairs, write_filter_pairs
from dexa.data.forms import Form, convert, read_features
from dexa.data.links import Linked, write_linked
from dexa.data.matrix import read_label_matrix, read_matrix, write_matrix
from dexa.data.memmaps import read_memmap, write_memmap
from dexa.data.npz import read_npz, write_npz
from dexa.data.rows import Row, Source
from dexa.data.single_file import SingleFile, read_single_file, write_single_file
from dexa.data.source import load_dataset, open_source
from dexa.data.surrogates import Surrogates, read_surrogates, write_surrogates
from dexa.data.vectors import (
    TokenVectors,
    read_dense,
    read_token_vectors,
    read_vocabulary,
    write_vocabulary,
)
from dexa.data.wordnet import build_wordnet

__all__ = [
    "DataWarning",
    "Dataset",
    "Form",
    "Linked",
    "Row",
    "SingleFile",
    "Source",
    "Split",
    "Surrogates",
    "TextFeatures",
    "TokenVectors",
    "build_wordnet",
    "convert",
    "dataset_facts",
    "default_fields",
    "load_dataset",
    "open_source",
    "read_dense",
    "read_features",
    "read_filter_pairs",
    "read_label_matrix",
    "read_matrix",
    "read_memmap",
    "read_npz",
    "read_single_file",
    "read_surrogates",
    "read_token_vectors",
    "read_vocabulary",
    "write_filter_pairs",
    "write_linked",
    "write_matrix",
    "write_memmap",
    "write_npz",
    "write_single_file",
    "write_surrogates",
    "write_vocabulary",
]
