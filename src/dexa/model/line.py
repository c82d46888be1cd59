"""Shortlists, blocks of classifiers and the re-ranker's encoder as parts of a model folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from scipy.sparse import csr_array

from dexa.encoders import ClassifierHead, open_encoder
from dexa.model.scorers import Scorers
from dexa.neighbours import NeighbourVotes
from dexa.recipe import Recipe
from dexa.shortlists import ClusterSearch, Shortlist

SECOND_ENCODER = "second_encoder"
_BLOCKS, _SHORTLIST = "blocks", "shortlist"

_Tensors = dict[str, torch.Tensor]


def line_tensors(scorers: Scorers) -> dict[str, _Tensors]:
    """The tensors of each file, for the parts that there are."""
    files: dict[str, _Tensors] = {}
    if scorers.heads:
        files[_BLOCKS] = {
            f"{name}.{part}": tensor
            for name, head in scorers.heads.items()
            for part, tensor in head.state_dict().items()
        }
    if scorers.shortlist is not None:
        files[_SHORTLIST] = _of_shortlist(scorers.shortlist)
    return files


def _of_shortlist(shortlist: Shortlist) -> _Tensors:
    search = shortlist.search
    tensors = {
        "vectors": search.vectors,
        "clusters": search.clusters,
        "owners": torch.from_numpy(shortlist.owners),
    }
    if (votes := shortlist.votes) is not None:
        assert isinstance(votes, NeighbourVotes)
        assert isinstance(votes.index, ClusterSearch)
        tensors |= {
            "voters": votes.index.vectors,
            "voter_clusters": votes.index.clusters,
            "voter_labels": torch.from_numpy(votes.labels.indices),
            "voter_ends": torch.from_numpy(votes.labels.indptr),
        }
    return tensors


def opened_line(
    scorers: Scorers, recipe: Recipe, folder: Path, labels: int, device: torch.device
) -> Scorers:
    """The scorers of a folder, with those of these parts that it has."""
    if (path := folder / f"{_BLOCKS}.safetensors").is_file():
        parts: dict[str, _Tensors] = {}
        for name, tensor in load_file(path).items():
            scorer, _, rest = name.partition(".")
            parts.setdefault(scorer, {})[rest] = tensor
        widths = {name: scorers.dense[name].vectors.shape[1] for name in parts}
        heads = {name: _head(kept, widths[name], device) for name, kept in parts.items()}
        scorers = replace(scorers, heads=heads)
    if (path := folder / f"{_SHORTLIST}.safetensors").is_file():
        kept = {name: tensor.to(device) for name, tensor in load_file(path).items()}
        scorers = replace(scorers, shortlist=_shortlist(kept, recipe, labels))
    if (path := folder / SECOND_ENCODER).is_dir():
        encoder = open_encoder(str(path), max_length=recipe.encoder.max_length or 0)
        scorers = replace(scorers, second=encoder.to(device).eval())
    return scorers


def _head(tensors: _Tensors, width: int, device: torch.device) -> ClassifierHead:
    dimension = len(tensors["block.bias"])
    head = ClassifierHead(dimension, dropout=0.0, cosine=width == dimension)
    head.load_state_dict(tensors)
    return head.to(device).eval()


def _shortlist(kept: _Tensors, recipe: Recipe, labels: int) -> Shortlist:
    choice, votes = recipe.shortlist, None
    if "voters" in kept:
        indices, ends = kept["voter_labels"].cpu().numpy(), kept["voter_ends"].cpu().numpy()
        ones = np.ones(len(indices), np.float32)
        votes = NeighbourVotes(
            index=ClusterSearch(kept["voters"], kept["voter_clusters"], choice.probes),
            labels=csr_array((ones, indices, ends), shape=(len(ends) - 1, labels)),
            neighbours=choice.neighbours,
        )
    return Shortlist(
        ClusterSearch(kept["vectors"], kept["clusters"], choice.probes),
        kept["owners"].cpu().numpy(),
        labels=labels,
        length=choice.length,
        votes=votes,
        votes_weight=choice.votes_weight,
    )
