"""Encoders that see the order of tokens: a convolution, and a recurrent one (DeepXML framework)."""

from __future__ import annotations

import json
from pathlib import Path

import tokenizers
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import rnn

from dexa.encoders.base import TextEncoder
from dexa.errors import EncoderError
from dexa.tokens import TextTokenizer, TokenGroups
from dexa.types import TokenBatch

CONVOLUTION, RECURRENT = "cnn", "rnn"
_FILE, _TOKENIZER, _TENSORS = "sequence_encoder.json", "tokenizer.json", "model.safetensors"
_WINDOW = 3


class Convolution(nn.Module):
    """The highest answer of each filter over all windows of three tokens."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.filters = nn.Conv1d(dimension, dimension, _WINDOW, padding=_WINDOW // 2)

    def forward(self, rows: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Token vectors ``[B, W, D]``, the first `lengths` of a row real, to ``[B, D]``."""
        answers = F.relu(self.filters(rows.transpose(1, 2)))
        real = torch.arange(rows.shape[1], device=rows.device) < lengths.to(rows.device)[:, None]
        return answers.masked_fill(~real[:, None], 0.0).amax(dim=2)


class Recurrent(nn.Module):
    """The mean state of gated recurrent units that read from both ends."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.units = nn.GRU(dimension, dimension // 2, batch_first=True, bidirectional=True)

    def forward(self, rows: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """As `Convolution.forward`."""
        packed = rnn.pack_padded_sequence(
            rows, lengths.clamp(min=1), batch_first=True, enforce_sorted=False
        )
        states, _ = rnn.pad_packed_sequence(self.units(packed)[0], batch_first=True)
        real = torch.arange(states.shape[1]) < lengths[:, None]
        states = states * real.to(states.device)[:, :, None]
        return states.sum(dim=1) / lengths.clamp(min=1).to(states.device)[:, None]


_KINDS: dict[str, type[Convolution] | type[Recurrent]] = {
    CONVOLUTION: Convolution,
    RECURRENT: Recurrent,
}


class SequenceEncoder(TextEncoder):
    """The mean of token vectors, plus what a convolution or recurrent units make of their order.

    Its folder is our own: sentence-transformers' modules of these names pad and split otherwise.

    Args:
        kind: `CONVOLUTION` or `RECURRENT`.
        tokenizer: whose special tokens are left out.
        table: vector of each token, ``[V, D]``, D even.
        seed: of the weights.
    """

    tokenizer: TextTokenizer

    def __init__(
        self, kind: str, tokenizer: TextTokenizer, table: torch.Tensor, *, seed: int = 0
    ) -> None:
        super().__init__()
        assert not tokenizer.special_tokens
        self.tokenizer = tokenizer  # pyright: ignore[reportIncompatibleVariableOverride]
        self.kind, self.dimension = kind, table.shape[1]
        self.table = nn.Parameter(table)
        self.order = _KINDS[kind](self.dimension)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weights in self.order.parameters():
                weights.zero_()
                if weights.ndim > 1:
                    weights.normal_(0.0, (weights[0].numel()) ** -0.5, generator=generator)

    def forward(self, batch: TokenBatch | TokenGroups) -> torch.Tensor:
        """Unit-norm vectors ``[B, D]``; an empty text gives zeros before training."""
        assert isinstance(batch, TokenBatch)
        lengths = torch.from_numpy(batch.lengths)
        vectors = F.embedding(batch.ids, self.table, sparse=self.training)
        places = torch.arange(len(vectors), device=vectors.device)
        texts = torch.arange(len(batch), device=vectors.device).repeat_interleave(
            batch.offsets.diff(), output_size=len(vectors)
        )
        width = max(1, int(batch.lengths.max(initial=1)))
        cells = texts * width + places - batch.offsets[texts]
        rows = vectors.new_zeros(len(batch) * width, self.dimension)
        rows = rows.index_copy(0, cells, vectors).view(len(batch), width, -1)
        real = lengths.clamp(min=1).to(vectors.device)[:, None]
        return F.normalize(rows.sum(dim=1) / real + self.order(rows, lengths), dim=-1, eps=1e-3)

    def sparse_parameters(self) -> list[nn.Parameter]:
        """The table of token vectors."""
        return [self.table]

    def save(self, folder: Path) -> None:
        """Write a folder that `load` opens."""
        (folder / _TOKENIZER).write_text(self.tokenizer.to_json(), encoding="utf-8")
        tensors = {k: t.detach().float().cpu().contiguous() for k, t in self.state_dict().items()}
        save_file(tensors, folder / _TENSORS)
        (folder / _FILE).write_text(json.dumps({"kind": self.kind}) + "\n", encoding="utf-8")

    @staticmethod
    def load(folder: Path, max_length: int) -> SequenceEncoder:
        """Open a folder that `save` wrote.

        Raises:
            EncoderError: a file is missing or does not fit.
        """
        try:
            kind = json.loads((folder / _FILE).read_text(encoding="utf-8"))["kind"]
            text = (folder / _TOKENIZER).read_text(encoding="utf-8")
            tensors = load_file(folder / _TENSORS)
            tokenizer = TextTokenizer(
                tokenizers.Tokenizer.from_str(text), max_length, special_tokens=False
            )
            encoder = SequenceEncoder(kind, tokenizer, tensors["table"])
            encoder.load_state_dict(tensors)
        except Exception as error:  # safetensors and tokenizers raise bare exceptions
            raise EncoderError(
                f"not a sequence encoder: {error}", do="train it again", path=folder
            ) from error
        return encoder


def is_sequence_encoder(folder: Path) -> bool:
    """Whether a folder holds a sequence encoder."""
    return (folder / _FILE).is_file()
