"""What every encoder is, and encoding more texts than fit at once."""

from __future__ import annotations

import abc
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dexa.tokens import TextTokenizer, TokenArray
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
    tokenizer: TextTokenizer

    @abc.abstractmethod
    def forward(self, batch: TokenBatch) -> torch.Tensor:
        """Unit-norm vectors ``[B, D]`` in float32; an empty text gives zeros."""

    @abc.abstractmethod
    def save(self, folder: Path) -> None:
        """Write a folder that ``SentenceTransformer(folder)`` opens, to the same vectors."""

    def sparse_parameters(self) -> list[nn.Parameter]:
        """Tables whose gradients touch a few rows a batch."""
        return []


_TOKENS_AT_ONCE = 65_536
_TEXTS_AT_ONCE = 16_384


@torch.no_grad()
def encode(
    encoder: TextEncoder, tokens: TokenArray, *, progress: Progress | None = None
) -> torch.Tensor:
    """Vectors of any number of texts, float32 ``[N, D]`` on the device of their tokens.

    Texts are taken in the order of their lengths, so that each pass holds texts of one length.
    """
    progress = progress or Silence()
    training = encoder.training
    encoder.eval()
    order = np.argsort(tokens.lengths, kind="stable")
    vectors = torch.empty(len(tokens), encoder.dimension, device=tokens.ids.device)
    progress.begin("encode", len(tokens))
    start = 0
    while start < len(order):
        stop = start + _texts_that_fit(tokens.lengths[order[start : start + _TEXTS_AT_ONCE]])
        rows = order[start:stop]
        vectors[torch.from_numpy(rows).to(vectors.device)] = encoder(tokens.batch(rows)).float()
        progress.advance(stop)
        start = stop
    progress.end()
    encoder.train(training)
    return vectors


def _texts_that_fit(lengths: np.ndarray) -> int:
    return max(1, int(np.searchsorted(np.cumsum(lengths), _TOKENS_AT_ONCE, side="right")))
