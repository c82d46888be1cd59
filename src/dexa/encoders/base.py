"""What every encoder is, and encoding more texts than fit at once."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dexa.tokens import TokenArray, TokenGroups, Tokenizer
from dexa.types import Progress, Silence, TokenBatch


class TextEncoder(nn.Module, abc.ABC):
    """Token batches in, unit-norm vectors ``[B, D]`` out.

    Vectors are unit-norm before anything is added to them, so that the size of an auxiliary
    vector means the same beside every encoder.

    Attributes:
        dimension: D.
        tokenizer: the tokenizer the encoder was made for.
    """

    dimension: int
    tokenizer: Tokenizer

    @property
    def has_budgets(self) -> bool:
        """Whether batches of like size can have one shape, so that a step can be recorded."""
        return False

    def batches(
        self, tokens: TokenArray, rows: Sequence[NDArray[np.int64]], *, budget: bool
    ) -> list[TokenBatch] | list[TokenGroups]:
        """Batches as `forward` takes them, made at once.

        Args:
            tokens: of all texts.
            rows: which texts a batch has, ``[B]`` each; with `budget`, -1 is an empty text.
            budget: whether batches of like size are to have one shape; only with `has_budgets`.
        """
        assert not budget
        return [tokens.batch(some) for some in rows]

    @abc.abstractmethod
    def forward(self, batch: TokenBatch | TokenGroups) -> torch.Tensor:
        """Unit-norm vectors ``[B, D]`` in float32; an empty text gives zeros."""

    @abc.abstractmethod
    def save(self, folder: Path) -> None:
        """Write a folder that `open_encoder` opens.

        That of a transformer or a bag of tokens opens with sentence-transformers too, to the same
        vectors.
        """

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Tables whose gradients touch a few rows a batch."""
        return []


_TOKENS_AT_ONCE = 65_536
_TEXTS_AT_ONCE = 16_384


@torch.no_grad()
def encode(
    encoder: TextEncoder,
    tokens: TokenArray,
    *,
    on_host: bool = False,
    progress: Progress | None = None,
) -> torch.Tensor:
    """Vectors of any number of texts, float32 ``[N, D]`` on the device of their tokens.

    With `on_host` they are put into pinned host memory, where a GPU can read them row by row.

    Where one pass does not hold all texts, they are taken in the order of their lengths, so that
    each pass holds texts of one length.
    """
    progress = progress or Silence()
    training = encoder.training
    if training:  # asking each module takes as long as a tenth of a text
        encoder.eval()
    progress.begin("encode", len(tokens))
    few = 0 < len(tokens) <= _TEXTS_AT_ONCE and len(tokens.ids) <= _TOKENS_AT_ONCE
    if few and not on_host:
        vectors = encoder(tokens.whole()).float()
        progress.advance(len(tokens))
    else:
        vectors = _in_passes(encoder, tokens, on_host, progress)
    progress.end()
    if training:
        encoder.train()
    return vectors


def _in_passes(
    encoder: TextEncoder, tokens: TokenArray, on_host: bool, progress: Progress
) -> torch.Tensor:
    order = np.argsort(tokens.lengths, kind="stable")
    device = torch.device("cpu") if on_host else tokens.ids.device
    vectors = torch.empty(len(tokens), encoder.dimension, device=device, pin_memory=on_host)
    start = 0
    while start < len(order):
        stop = start + _texts_that_fit(tokens.lengths[order[start : start + _TEXTS_AT_ONCE]])
        rows = order[start:stop]
        vectors[torch.from_numpy(rows).to(vectors.device)] = encoder(tokens.batch(rows)).to(vectors)
        progress.advance(stop)
        start = stop
    return vectors


def _texts_that_fit(lengths: np.ndarray) -> int:
    return max(1, int(np.searchsorted(np.cumsum(lengths), _TOKENS_AT_ONCE, side="right")))
