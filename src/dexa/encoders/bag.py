"""A bag of tokens and of pairs of neighbours: a vector each, their mean, a residual block."""

from __future__ import annotations

import json
from pathlib import Path

import tokenizers
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from dexa.encoders.base import TextEncoder
from dexa.encoders.first_vectors import first_vectors
from dexa.encoders.pairs import bag_means, padded_means, pairs_in, table_with_pairs
from dexa.encoders.transformer import Transformer
from dexa.errors import EncoderError
from dexa.tokens import TextTokenizer, TokenGroups
from dexa.types import TokenBatch

_STATIC, _DENSE, _NORMALIZE = "0_StaticEmbedding", "1_Dense", "2_Normalize"
_LIBRARY = "sentence_transformers.models"
_MODULES = {
    _STATIC: f"{_LIBRARY}.StaticEmbedding",
    _DENSE: f"{_LIBRARY}.Dense",
    _NORMALIZE: f"{_LIBRARY}.Normalize",
}
_WITH_PAIRS = "dexa.encoders.pair_embedding.PairEmbedding"


class BagOfTokens(TextEncoder):
    """``x + relu(W x + b)`` of the mean x of vectors, scaled to unit length.

    Every token has a vector, and so has every pair of tokens that stand side by side, as far as
    hashing tells pairs apart. The encoder for a CPU: a step costs a few lookups a text. As a folder
    it is three modules of sentence-transformers; without pairs it needs no code of ours to load.

    Args:
        tokenizer: whose special tokens are left out.
        table: vector of each token, ``[V, D]``, or `table_with_pairs` of it.
    """

    tokenizer: TextTokenizer

    def __init__(self, tokenizer: TextTokenizer, table: torch.Tensor) -> None:
        super().__init__()
        assert not tokenizer.special_tokens
        self.tokenizer = tokenizer  # pyright: ignore[reportIncompatibleVariableOverride]
        self.dimension = table.shape[1]
        self.table = nn.Parameter(table)
        self.pairs = pairs_in(table, tokenizer.vocabulary_size)
        self.residual = nn.Linear(self.dimension, self.dimension)

    @staticmethod
    def initial(
        tokenizer: TextTokenizer,
        teacher: Transformer | None,
        dimension: int,
        *,
        pairs: int = 0,
        seed: int = 0,
    ) -> BagOfTokens:
        """A bag to start training from.

        Args:
            tokenizer: of the bag.
            teacher: a token's vector is what this encoder makes of the token alone, centred and
                weighted by the logarithm of its rank (a vocabulary is sorted by frequency, so
                that frequent tokens weigh less); None draws them at random.
            dimension: D where there is no teacher.
            pairs: vectors for pairs, which start at zero; 0 for none.
            seed: of the random vectors and the residual block.
        """
        generator = torch.Generator().manual_seed(seed)
        if teacher is None:
            table = torch.randn(tokenizer.vocabulary_size, dimension, generator=generator)
        else:
            table = first_vectors(teacher)
            table = (table - table.mean(dim=0)) * torch.log1p(
                torch.arange(1.0, len(table) + 1)
            ).unsqueeze(1)
        table = table / table.norm(dim=1).mean()
        bag = BagOfTokens(tokenizer, table_with_pairs(table, pairs))
        with torch.no_grad():
            bag.residual.weight.normal_(0.0, bag.dimension**-0.5 / 4, generator=generator)
            bag.residual.bias.zero_()
        return bag

    def forward(self, batch: TokenBatch | TokenGroups) -> torch.Tensor:
        """Unit-norm vectors ``[B, D]``; an empty text gives the vector of no token at all."""
        assert isinstance(batch, TokenBatch)
        mean = bag_means(batch.ids, batch.offsets, self.table, self.pairs, self.training)
        return self._unit(mean)

    @property
    def padding(self) -> int:
        """The id that stands behind the end of a text in padded rows; any will do."""
        return 0

    def padded(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The vectors that `forward` gives, of padded rows, by operations that ONNX has.

        Args:
            ids: int64 ``[B, T]``; `padding` behind the end of a text.
            mask: int64 ``[B, T]``, 1 for the tokens of a text.
        """
        return self._unit(padded_means(ids, mask, self.table, self.pairs))

    def _unit(self, mean: torch.Tensor) -> torch.Tensor:
        return F.normalize(mean + F.relu(self.residual(mean)), dim=-1)

    def sparse_parameters(self) -> list[nn.Parameter]:
        """The table of vectors of tokens and pairs."""
        return [self.table]

    def save(self, folder: Path) -> None:
        """Write a sentence-transformers folder of three modules."""
        kinds = _MODULES | ({_STATIC: _WITH_PAIRS} if self.pairs else {})
        modules = [
            {"idx": index, "name": str(index), "path": path, "type": kind}
            for index, (path, kind) in enumerate(kinds.items())
        ]
        for path in _MODULES:
            (folder / path).mkdir(parents=True, exist_ok=True)
        static, dense = folder / _STATIC, folder / _DENSE
        save_file({"embedding.weight": _plain(self.table)}, static / "model.safetensors")
        (static / "tokenizer.json").write_text(self.tokenizer.to_json(), encoding="utf-8")
        save_file(
            {
                "linear.weight": _plain(self.residual.weight),
                "linear.bias": _plain(self.residual.bias),
            },
            dense / "model.safetensors",
        )
        dense_config = {
            "in_features": self.dimension,
            "out_features": self.dimension,
            "bias": True,
            "activation_function": "torch.nn.modules.activation.ReLU",
            "use_residual": True,
        }
        _write(dense / "config.json", dense_config)
        _write(folder / "modules.json", modules)
        _write(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})

    @staticmethod
    def load(folder: Path, max_length: int) -> BagOfTokens:
        """Open a folder that `save` wrote.

        Raises:
            EncoderError: a file is missing or does not fit.
        """
        try:
            text = (folder / _STATIC / "tokenizer.json").read_text(encoding="utf-8")
            table = load_file(folder / _STATIC / "model.safetensors")["embedding.weight"]
            dense = load_file(folder / _DENSE / "model.safetensors")
            tokenizer = tokenizers.Tokenizer.from_str(text)
            bag = BagOfTokens(TextTokenizer(tokenizer, max_length, special_tokens=False), table)
            bag.residual.load_state_dict(
                {"weight": dense["linear.weight"], "bias": dense["linear.bias"]}
            )
        except Exception as error:  # safetensors and tokenizers raise bare exceptions
            raise EncoderError(
                f"not a bag of tokens: {error}", do="train it again", path=folder
            ) from error
        return bag


def is_bag(folder: Path) -> bool:
    """Whether a folder holds a bag of tokens."""
    return (folder / _STATIC).is_dir()


def _plain(parameter: torch.Tensor) -> torch.Tensor:
    return parameter.detach().float().cpu().contiguous()


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
