"""Encoders: a transformer, a bag of tokens or of sparse features, a convolution, a recurrent one.

The first two are saved as folders of sentence-transformers.
"""

from __future__ import annotations

from pathlib import Path

from dexa.encoders.bag import BagOfTokens, is_bag
from dexa.encoders.base import TextEncoder, encode
from dexa.encoders.exporting import export_onnx
from dexa.encoders.features import FeatureReader
from dexa.encoders.names import MINILM, resolve
from dexa.encoders.residual import ClassifierHead
from dexa.encoders.sequences import (
    CONVOLUTION,
    RECURRENT,
    SequenceEncoder,
    is_sequence_encoder,
)
from dexa.encoders.sparse_bag import (
    ACTIVATIONS,
    SparseBag,
    is_sparse_bag,
    random_vectors,
    word_vectors,
)
from dexa.encoders.transformer import (
    Transformer,
    load_transformer,
    load_writable_tokenizer,
    read_dimension,
)
from dexa.errors import EncoderError
from dexa.tokens import TextTokenizer

__all__ = [
    "ACTIVATIONS",
    "MINILM",
    "BagOfTokens",
    "ClassifierHead",
    "FeatureReader",
    "SequenceEncoder",
    "SparseBag",
    "TextEncoder",
    "Transformer",
    "encode",
    "export_onnx",
    "open_encoder",
    "open_sparse_bag",
    "open_tokenizer",
    "reads_features",
    "transformer_width",
]

_BAG, _SPARSE = "bag", "sparse"
_KINDS = (_BAG, CONVOLUTION, RECURRENT, _SPARSE)
_TOKEN_LENGTH = 16  # room for one token or word and the special ones around it


def transformer_width(name: str) -> int | None:
    """Dimensions of the transformer called `name`; None where the name means another encoder.

    Raises:
        EncoderError: it cannot be found.
    """
    if _parted(name)[0] or _is_own(folder := resolve(name)):
        return None
    return read_dimension(folder)


def reads_features(name: str) -> bool:
    """Whether the encoder called `name` reads sparse features and not tokens."""
    kind, base = _parted(name)
    return kind == _SPARSE or (not kind and is_sparse_bag(resolve(base)))


def open_encoder(
    name: str,
    *,
    max_length: int,
    dropout: float = 0.0,
    initial: str = "pretrained",
    pairs: int = 0,
) -> TextEncoder:
    """An encoder ready to be trained or used.

    Args:
        name: a path, ``minilm``, a hub id, or ``bag`` / ``bag:NAME`` for a fresh bag of tokens
            over the vocabulary of one of these (``bag`` is ``bag:minilm``); ``cnn`` and ``rnn``
            likewise, for a convolution or recurrent units over such tokens. A fresh ``sparse``
            has features to choose first: see `open_sparse_bag`.
        max_length: tokens of a text at most, special tokens included.
        dropout: probability inside a transformer while it trains.
        initial: token vectors of a fresh bag, ``pretrained`` (from NAME) or ``random``.
        pairs: vectors of a fresh bag for pairs of tokens; 0 for none.

    Raises:
        EncoderError: it cannot be found or opened; the message says what to install.
    """
    kind, base = _parted(name)
    folder = resolve(base)
    if is_bag(folder):
        return BagOfTokens.load(folder, max_length)
    if is_sparse_bag(folder):
        return SparseBag.load(folder)
    if is_sequence_encoder(folder):
        return SequenceEncoder.load(folder, max_length)
    if not kind:
        return load_transformer(folder, max_length=max_length, dropout=dropout)
    assert kind != _SPARSE
    tokenizer = TextTokenizer(
        load_writable_tokenizer(folder).backend_tokenizer, max_length, special_tokens=False
    )
    teacher = None
    if initial == "pretrained":
        teacher = load_transformer(folder, max_length=_TOKEN_LENGTH, dropout=0.0)
    width = read_dimension(folder)
    if kind == _BAG:
        return BagOfTokens.initial(tokenizer, teacher, width, pairs=pairs)
    bag = BagOfTokens.initial(tokenizer, teacher, width)
    return SequenceEncoder(kind, tokenizer, bag.table.detach())


def open_sparse_bag(
    name: str, reader: FeatureReader, *, dropout: float, activation: str, initial: str
) -> SparseBag:
    """A fresh bag of sparse features.

    Args:
        name: ``sparse`` or ``sparse:NAME``.
        reader: of its features.
        dropout: probability while it trains.
        activation: one of `ACTIVATIONS`.
        initial: feature vectors, ``pretrained`` (what NAME makes of a word) or ``random``, as wide
            as those of NAME.

    Raises:
        EncoderError: NAME cannot be found or opened.
    """
    folder = resolve(_parted(name)[1])
    if initial == "pretrained":
        teacher = load_transformer(folder, max_length=_TOKEN_LENGTH, dropout=0.0)
        table = word_vectors(reader, teacher)
    else:
        table = random_vectors(reader.vocabulary_size, read_dimension(folder))
    return SparseBag(reader, table, activation=activation, dropout=dropout)


def open_tokenizer(name: str, *, max_length: int) -> TextTokenizer:
    """The tokenizer of an encoder, special tokens included, without its weights.

    Raises:
        EncoderError: the encoder cannot be found or opened, or reads no tokens.
    """
    kind, base = _parted(name)
    folder = resolve(base)
    if kind == _SPARSE or is_sparse_bag(folder):
        raise EncoderError(
            f"{name!r} reads sparse features", expected="an encoder that reads tokens"
        )
    if is_bag(folder):
        return BagOfTokens.load(folder, max_length).tokenizer
    if is_sequence_encoder(folder):
        return SequenceEncoder.load(folder, max_length).tokenizer
    return TextTokenizer(
        load_writable_tokenizer(folder).backend_tokenizer, max_length, special_tokens=True
    )


def _parted(name: str) -> tuple[str, str]:
    """Which kind of fresh encoder a name means, if any, and over whose vocabulary."""
    kind, colon, base = name.partition(":")
    if kind in _KINDS and (colon or not base):
        return kind, base or MINILM
    return "", name


def _is_own(folder: Path) -> bool:
    return is_bag(folder) or is_sparse_bag(folder) or is_sequence_encoder(folder)
