"""How a sentence-transformers folder makes one vector of many."""

from __future__ import annotations

from pathlib import Path

import torch

from dexa.errors import EncoderError
from dexa.storage import read_json, write_json


def read_pooling(folder: Path) -> str:
    """The pooling that a sentence-transformers folder names; the mean where it names none."""
    modules = folder / "modules.json"
    if not modules.is_file():
        return "mean"
    known = ("Transformer", "Pooling", "Normalize")
    pooling = "mean"
    for module in read_json(modules):
        kind = module["type"].rpartition(".")[2]
        if kind not in known:
            raise EncoderError(f"a module {kind!r}", expected=" or ".join(known), path=modules)
        if kind == "Pooling":
            pooling = _mode(folder / module["path"] / "config.json")
    return pooling


def write_pooling(folder: Path, pooling: str, dimension: int) -> None:
    """Write what `read_pooling` reads into the folder of the module."""
    config = {
        "word_embedding_dimension": dimension,
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }
    write_json(folder / "config.json", config)


def pooled(hidden: torch.Tensor, kept: torch.Tensor, pooling: str) -> torch.Tensor:
    """One vector ``[B, D]`` of the states ``[B, T, D]`` of tokens where `kept` ``[B, T, 1]``."""
    if pooling == "cls":
        return hidden[:, 0] * kept[:, 0]
    return (hidden * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1)


def _mode(path: Path) -> str:
    config = read_json(path)
    modes = {k.removeprefix("pooling_mode_"): v for k, v in config.items()}
    chosen = [mode for mode, on in modes.items() if on is True]
    if "pooling_mode" in config:
        chosen = [str(config["pooling_mode"])]
    names = {"mean_tokens": "mean", "mean": "mean", "cls_token": "cls", "cls": "cls"}
    if len(chosen) != 1 or chosen[0] not in names:
        raise EncoderError(f"pooling {chosen}", expected="mean or cls", path=path)
    return names[chosen[0]]
