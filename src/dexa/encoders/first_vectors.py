"""What a transformer makes of each token of its vocabulary, kept on disk for the next bag."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import numpy as np
import platformdirs
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dexa.encoders.base import encode
from dexa.encoders.transformer import Transformer
from dexa.errors import StorageError
from dexa.storage import atomic_file, locked
from dexa.tokens import TextTokenizer, TokenArray, offsets_of

log = logging.getLogger(__name__)

CACHE = "DEXA_CACHE"
"""The environment variable that names the folder of what is kept from run to run."""

_NAME = "vectors"


def first_vectors(teacher: Transformer) -> torch.Tensor:
    """What a transformer makes of each token alone, float32 ``[V, D]``.

    A minute of a CPU for 30,522 tokens, and always the same: so it is kept in the user's cache, by
    a checksum of all that it depends on. A cache that cannot be written costs only the minute.
    """
    tokens = _single_tokens(teacher.tokenizer)
    file = _folder() / f"first-vectors-{_checksum(teacher, tokens)}.safetensors"
    kept = _kept(file)
    if kept is not None:
        return kept
    vectors = encode(teacher, tokens)
    _keep(file, vectors)
    return vectors


def _folder() -> Path:
    named = os.environ.get(CACHE)
    return Path(named) if named else platformdirs.user_cache_path("dexa")


def _checksum(teacher: Transformer, tokens: TokenArray) -> str:
    """Of the weights, the tokens and the arithmetic, in hexadecimal."""
    told = f"{torch.__version__} {teacher.pooling} {teacher.trunk.config.to_json_string()}"
    digest = hashlib.sha256(told.encode())
    for name, value in sorted(teacher.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().flatten().view(torch.uint8).numpy().data)
    digest.update(tokens.ids.numpy().data)
    return digest.hexdigest()[:32]


def _kept(file: Path) -> torch.Tensor | None:
    if not file.is_file():
        return None
    try:
        return load_file(file)[_NAME]
    except (SafetensorError, KeyError, OSError) as error:
        log.warning("%s: not read, and made anew: %s", file, error)
        return None


def _keep(file: Path, vectors: torch.Tensor) -> None:
    try:
        with locked(file.with_suffix(".lock")), atomic_file(file) as draft:
            save_file({_NAME: vectors.contiguous()}, draft)
    except (StorageError, SafetensorError, OSError) as error:
        log.warning("%s; %s names another folder for what is kept", error, CACHE)


def _single_tokens(tokenizer: TextTokenizer) -> TokenArray:
    """Every token of the vocabulary as a text of its own, between the special tokens."""
    before, after = tokenizer.around()
    size = tokenizer.vocabulary_size
    columns = [
        *(torch.full((size,), id_) for id_ in before),
        torch.arange(size),
        *(torch.full((size,), id_) for id_ in after),
    ]
    lengths = np.full(size, len(columns), np.int64)
    return TokenArray(torch.stack(columns, dim=1).flatten().int(), offsets_of(lengths))
