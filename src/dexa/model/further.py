"""Neighbours and words as arrays of a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.sparse import csr_array

from dexa.index import ExactIndex, load_index
from dexa.lexical import LabelSearch, SparseLinear, TextFeatures, first_guess
from dexa.model.scorers import Scorers, WordScorers
from dexa.neighbours import NeighbourVotes
from dexa.storage import read_json
from dexa.types import NEIGHBOURS

_WORDS = "words"


def further_tensors(scorers: Scorers) -> dict[str, dict[str, torch.Tensor]]:
    """The tensors of each file, for the scorers that there are."""
    files: dict[str, dict[str, torch.Tensor]] = {}
    if scorers.neighbours is not None:
        votes = scorers.neighbours
        files[NEIGHBOURS] = {
            "vectors": votes.index.vectors,
            "indices": torch.from_numpy(votes.labels.indices),
            "indptr": torch.from_numpy(votes.labels.indptr),
        }
        if votes.rows is not None:
            files[NEIGHBOURS]["rows"] = torch.from_numpy(votes.rows)
    if scorers.words is not None:
        words = scorers.words
        search = words.label_words.by_feature
        parts: dict[str, Mapping[str, NDArray[Any]]] = {
            "features": words.features.arrays(),
            "linear": words.linear.arrays(),
            "label_words": {
                "data": search.data,
                "indices": search.indices,
                "indptr": search.indptr,
            },
        }
        files[_WORDS] = {
            f"{part}.{name}": torch.from_numpy(np.ascontiguousarray(array))
            for part, arrays in parts.items()
            for name, array in arrays.items()
        }
    return files


def opened_further(scorers: Scorers, folder: Path, device: torch.device, *, mmap: bool) -> Scorers:
    """The scorers of a folder, with those that have files there."""
    n_labels = len(scorers.label_search)
    if (path := folder / f"{NEIGHBOURS}.safetensors").is_file():
        kept = load_file(path)
        indices, indptr = kept["indices"].numpy(), kept["indptr"].numpy()
        ones = np.ones(len(indices), np.float32)
        labels = csr_array((ones, indices, indptr), shape=(len(indptr) - 1, n_labels))
        vectors, index_folder = kept["vectors"].to(device), folder / "index" / NEIGHBOURS
        index = (
            load_index(index_folder, vectors, mmap=mmap)
            if index_folder.is_dir()
            else ExactIndex(vectors)  # format 1 had no choice
        )
        rows = kept["rows"].numpy() if "rows" in kept else None
        votes = NeighbourVotes(index=index, labels=labels, rows=rows)
        scorers = replace(scorers, neighbours=votes)
    if (path := folder / f"{_WORDS}.safetensors").is_file():
        arrays: dict[str, dict[str, NDArray[Any]]] = {}
        for name, tensor in load_file(path).items():
            part, _, rest = name.partition(".")
            arrays.setdefault(part, {})[rest] = tensor.numpy()
        features = TextFeatures.restored(read_json(folder / "words.json"), arrays["features"])
        arrays["linear"].setdefault("prior", first_guess())  # format 1 kept none
        search = arrays["label_words"]
        by_feature = csr_array(
            (search["data"], search["indices"], search["indptr"]),
            shape=(len(features), n_labels),
        )
        words = WordScorers(
            features=features,
            label_words=LabelSearch(by_feature),
            linear=SparseLinear.restored(arrays["linear"]),
        )
        scorers = replace(scorers, words=words)
    return scorers
