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

from dexa.errors import ModelFolderError
from dexa.index import ExactIndex, load_index
from dexa.lexical import (
    Bm25,
    FrequentLabels,
    LabelSearch,
    Mentions,
    SparseLinear,
    TextFeatures,
    WordIndex,
    first_guess,
)
from dexa.model.scorers import Scorers, WordScorer, WordScorers
from dexa.neighbours import NeighbourVotes, SearchT
from dexa.recipe import FurtherChoice
from dexa.storage import read_json
from dexa.types import (
    BM25,
    CENTROIDS,
    FREQUENT,
    LABEL_WORDS,
    LINEAR,
    MENTIONS,
    NEIGHBOURS,
    SCORERS,
    WORD_NEIGHBOURS,
)

_WORDS = "words"
_FEATURES = "features"

Arrays = Mapping[str, NDArray[Any]]


def further_tensors(scorers: Scorers) -> dict[str, dict[str, torch.Tensor]]:
    """The tensors of each file, for the scorers that there are."""
    files: dict[str, dict[str, torch.Tensor]] = {}
    if scorers.neighbours is not None:
        votes = scorers.neighbours
        pairs = {name: _tensor(array) for name, array in _voting(votes).items()}
        files[NEIGHBOURS] = {"vectors": votes.index.vectors, **pairs}
    if scorers.words is not None:
        parts = {_FEATURES: scorers.words.features.arrays()}
        parts |= {name: _arrays(scorer) for name, scorer in scorers.words.by_name.items()}
        if scorers.words.mentions is not None:
            parts[MENTIONS] = scorers.words.mentions.arrays()
        files[_WORDS] = {
            f"{part}.{name}": _tensor(array)
            for part, arrays in parts.items()
            for name, array in arrays.items()
        }
    return files


def opened_further(
    scorers: Scorers,
    folder: Path,
    labels: int,
    choice: FurtherChoice,
    device: torch.device,
    *,
    mmap: bool,
) -> Scorers:
    """The scorers of a folder, with those that have files there.

    Raises:
        ModelFolderError: the files do not belong together.
    """
    if (path := folder / f"{NEIGHBOURS}.safetensors").is_file():
        kept = load_file(path)
        vectors, index_folder = kept.pop("vectors").to(device), folder / "index" / NEIGHBOURS
        index = (
            load_index(index_folder, vectors, mmap=mmap)
            if index_folder.is_dir()
            else ExactIndex(vectors)  # format 1 had no choice
        )
        pairs = {name: tensor.numpy() for name, tensor in kept.items()}
        votes = _votes(index, pairs, labels, choice.neighbours, choice.temperature)
        scorers = replace(scorers, neighbours=votes)
    if (path := folder / f"{_WORDS}.safetensors").is_file():
        parts: dict[str, dict[str, NDArray[Any]]] = {}
        for name, tensor in load_file(path).items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = tensor.numpy()
        features = TextFeatures.restored(read_json(folder / "words.json"), parts.pop(_FEATURES))
        mentions = Mentions.restored(parts.pop(MENTIONS)) if MENTIONS in parts else None
        by_name = {
            name: _scorer(name, arrays, len(features), labels, choice)
            for name, arrays in sorted(parts.items(), key=lambda part: SCORERS.index(part[0]))
        }
        words = WordScorers(features=features, by_name=by_name, mentions=mentions)
        scorers = replace(scorers, words=words)
    return scorers


def _arrays(scorer: WordScorer | FrequentLabels) -> Arrays:
    """The arrays of a scorer that reads words."""
    if isinstance(scorer, SparseLinear | FrequentLabels):
        return scorer.arrays()
    if isinstance(scorer, NeighbourVotes):
        assert isinstance(scorer.index, WordIndex)
        votes = {f"pairs.{name}": array for name, array in _voting(scorer).items()}
        return _entries(scorer.index.by_feature) | votes
    if isinstance(scorer, Bm25):
        return _entries(scorer.by_feature) | {
            "idf": scorer.idf,
            "length": np.array([scorer.length]),
        }
    assert isinstance(scorer, LabelSearch)
    return _entries(scorer.by_feature)


def _scorer(
    name: str, arrays: Arrays, features: int, labels: int, choice: FurtherChoice
) -> WordScorer | FrequentLabels:
    """What `_arrays` took apart."""
    if name == LINEAR:
        return SparseLinear.restored({"prior": first_guess(), **arrays})  # format 1 kept none
    if name == FREQUENT:
        return FrequentLabels.restored(arrays, labels)
    if name == WORD_NEIGHBOURS:
        pairs = {
            part.removeprefix("pairs."): array for part, array in arrays.items() if "." in part
        }
        by_feature = _matrix(arrays, (features, len(pairs["indptr"]) - 1))
        index = WordIndex(by_feature)
        return _votes(index, pairs, labels, choice.neighbours, choice.word_temperature)
    by_feature = _matrix(arrays, (features, labels))
    if name == BM25:
        return Bm25(
            by_feature,
            idf=arrays["idf"],
            length=float(arrays["length"][0]),
            k1=choice.k1,
            b=choice.b,
        )
    if name in (LABEL_WORDS, CENTROIDS):
        return LabelSearch(by_feature)
    raise ModelFolderError(f"a scorer {name!r}", do="open it with the version that wrote it")


def _votes(
    index: SearchT, pairs: Arrays, labels: int, neighbours: int, temperature: float
) -> NeighbourVotes[SearchT]:
    ones = np.ones(len(pairs["indices"]), np.float32)
    shape = (len(pairs["indptr"]) - 1, labels)
    return NeighbourVotes(
        index=index,
        labels=csr_array((ones, pairs["indices"], pairs["indptr"]), shape=shape),
        neighbours=neighbours,
        temperature=temperature,
        rows=pairs.get("rows"),
    )


def _voting(votes: NeighbourVotes[Any]) -> dict[str, NDArray[Any]]:
    """Which document has which labels, and where each stands in the data set."""
    return _pairs(votes.labels) | ({} if votes.rows is None else {"rows": votes.rows})


def _pairs(matrix: csr_array) -> dict[str, NDArray[Any]]:
    return {"indices": matrix.indices, "indptr": matrix.indptr}


def _entries(matrix: csr_array) -> dict[str, NDArray[Any]]:
    return {"data": matrix.data, **_pairs(matrix)}


def _matrix(arrays: Arrays, shape: tuple[int, int]) -> csr_array:
    return csr_array((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
