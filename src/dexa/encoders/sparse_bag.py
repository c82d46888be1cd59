"""A bag of sparse features: one vector a feature, their weighted sum, a residual block."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy.sparse import csr_array
from torch import nn
from torch.nn import functional as F

from dexa.encoders.bag_sums import bag_sums
from dexa.encoders.base import TextEncoder
from dexa.encoders.features import FeatureReader
from dexa.encoders.residual import ResidualBlock
from dexa.encoders.transformer import Transformer
from dexa.errors import EncoderError
from dexa.tokens import TokenGroups
from dexa.types import TokenBatch

_FILE = "sparse_bag.json"
_TENSORS = "model.safetensors"
_ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}
LEAST_NORM = 1e-3  # a shorter sum is not scaled up: its direction would be noise
ACTIVATIONS = tuple(_ACTIVATIONS)
"""What may follow the sum: Astec has ReLU, SiameseXML GELU."""


class SparseBag(TextEncoder):
    """A residual block over ``dropout(act(sum of weight · vector))`` of a text's features.

    The encoder of the DeepXML framework (Astec, section 3, "intermediate representation"). Its
    folder is our own: sentence-transformers has no module for weighted sub-words.

    Args:
        reader: of the features.
        table: vector of each feature, ``[V, D]``.
        activation: one of `ACTIVATIONS`.
        dropout: probability behind the activation and in the block.
    """

    tokenizer: FeatureReader

    def __init__(
        self, reader: FeatureReader, table: torch.Tensor, *, activation: str, dropout: float
    ) -> None:
        super().__init__()
        assert len(table) == reader.vocabulary_size
        self.tokenizer = reader  # pyright: ignore[reportIncompatibleVariableOverride]
        self.dimension = table.shape[1]
        self.activation, self.dropout = activation, dropout
        self.table = nn.Parameter(table)
        self.block = ResidualBlock(self.dimension, dropout=dropout, learned_radius=False)

    def forward(self, batch: TokenBatch | TokenGroups) -> torch.Tensor:
        """Unit-norm vectors ``[B, D]``; a text without features gives zeros before training."""
        assert isinstance(batch, TokenBatch)
        assert batch.weights is not None
        summed = bag_sums(batch.ids, batch.offsets[:-1], self.table, batch.weights, self.training)
        active = _ACTIVATIONS[self.activation](summed)
        dropped = F.dropout(active, self.dropout, self.training)
        return F.normalize(self.block(dropped), dim=-1, eps=LEAST_NORM)

    def sparse_parameters(self) -> list[nn.Parameter]:
        """The table of feature vectors."""
        return [self.table]

    def save(self, folder: Path) -> None:
        """Write a folder that `load` opens."""
        self.tokenizer.save(folder)
        tensors = {k: t.detach().float().cpu().contiguous() for k, t in self.state_dict().items()}
        save_file(tensors, folder / _TENSORS)
        described = {"activation": self.activation, "dropout": self.dropout}
        (folder / _FILE).write_text(json.dumps(described) + "\n", encoding="utf-8")

    @staticmethod
    def load(folder: Path) -> SparseBag:
        """Open a folder that `save` wrote.

        Raises:
            EncoderError: a file is missing or does not fit.
        """
        try:
            described = json.loads((folder / _FILE).read_text(encoding="utf-8"))
            tensors = load_file(folder / _TENSORS)
            bag = SparseBag(FeatureReader.load(folder), tensors["table"], **described)
            bag.load_state_dict(tensors)
        except Exception as error:  # safetensors raises bare exceptions
            raise EncoderError(
                f"not a sparse bag: {error}", do="train it again", path=folder
            ) from error
        return bag


def is_sparse_bag(folder: Path) -> bool:
    """Whether a folder holds a sparse bag."""
    return (folder / _FILE).is_file()


def word_vectors(reader: FeatureReader, teacher: Transformer) -> torch.Tensor:
    """Vectors of features to start from, ``[V, D]``: the mean of a word's pieces in a transformer.

    These are the vectors that the transformer looks its tokens up in. They are centred and have
    length 1 on average. A pair or a part of words starts at the mean of the words it stands in, a
    feature without a name at 0.
    """
    pieces = teacher.token_vectors()
    features = reader.features
    if features is None:
        return torch.zeros(reader.vocabulary_size, pieces.shape[1])
    tokens = teacher.tokenizer(features.words)
    starts = torch.from_numpy(tokens.offsets[:-1])
    special = torch.from_numpy(teacher.tokenizer.special_ids)
    weights = (~torch.isin(tokens.ids, special)).float()
    words = F.embedding_bag(
        tokens.ids.long(), pieces, starts, mode="sum", per_sample_weights=weights
    )
    words = _alike(F.normalize(words, dim=1) - F.normalize(words, dim=1).mean(dim=0))
    first, second = np.divmod(features.pairs, len(words))
    pairs = _alike(words[torch.from_numpy(first)] + words[torch.from_numpy(second)])
    beside = features.transform(features.words)[:, len(words) + len(pairs) :]
    parts = _alike(torch.from_numpy(csr_array(beside.T) @ words.numpy()))
    return torch.cat([words, pairs, parts])


def _alike(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors whose length is 1 on average."""
    return vectors / vectors.norm(dim=1).mean().clamp(min=LEAST_NORM) if len(vectors) else vectors


def random_vectors(count: int, dimension: int, seed: int = 0) -> torch.Tensor:
    """Vectors of features to start from, drawn at random, of length 1 on average."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, dimension, generator=generator) * dimension**-0.5
