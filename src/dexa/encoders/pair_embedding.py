"""The module by which sentence-transformers reads the folder of a bag with pairs."""

from __future__ import annotations

from typing import Any

import torch
from sentence_transformers.models import StaticEmbedding  # pyright: ignore[reportMissingImports]

from dexa.encoders.pairs import bag_means, pairs_in


class PairEmbedding(StaticEmbedding):
    """The mean of the vectors of tokens and of pairs of neighbours.

    ``SentenceTransformer(folder, trust_remote_code=True)`` imports it by its name; nothing else of
    this project does.
    """

    @classmethod
    def load(cls, *args: Any, **options: Any) -> PairEmbedding:
        """Open the folder of the module, as sentence-transformers asks."""
        read = StaticEmbedding.load(*args, **options)
        return cls(read.tokenizer, embedding_weights=read.embedding.weight.detach())

    def forward(self, features: dict[str, torch.Tensor], **_: Any) -> dict[str, torch.Tensor]:
        """Add ``sentence_embedding``, ``[B, D]``."""
        table = self.embedding.weight
        pairs = pairs_in(table, self.tokenizer.get_vocab_size())
        ids, starts = features["input_ids"], features["offsets"]
        offsets = torch.cat([starts, starts.new_full((1,), len(ids))])
        features["sentence_embedding"] = bag_means(ids, offsets, table, pairs)
        return features
