"""Encoders: a transformer or a bag of tokens, saved as sentence-transformers folders."""

from __future__ import annotations

from dexa.encoders.bag import BagOfTokens, is_bag
from dexa.encoders.base import TextEncoder, encode
from dexa.encoders.names import MINILM, resolve
from dexa.encoders.transformer import (
    Transformer,
    load_transformer,
    load_writable_tokenizer,
    read_dimension,
)
from dexa.tokens import TextTokenizer

__all__ = [
    "MINILM",
    "BagOfTokens",
    "TextEncoder",
    "Transformer",
    "encode",
    "open_encoder",
    "open_tokenizer",
    "transformer_width",
]

_BAG = "bag"
_TOKEN_LENGTH = 16  # room for one token and the special ones around it


def transformer_width(name: str) -> int | None:
    """Dimensions of the transformer called `name`; None where the name means a bag of tokens.

    Raises:
        EncoderError: it cannot be found.
    """
    if _bag_base(name) != name or is_bag(folder := resolve(name)):
        return None
    return read_dimension(folder)


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
            over the vocabulary of one of these (``bag`` is ``bag:minilm``).
        max_length: tokens of a text at most, special tokens included.
        dropout: probability inside a transformer while it trains.
        initial: token vectors of a fresh bag, ``pretrained`` (from NAME) or ``random``.
        pairs: vectors of a fresh bag for pairs of tokens; 0 for none.

    Raises:
        EncoderError: it cannot be found or opened; the message says what to install.
    """
    base = _bag_base(name)
    folder = resolve(base)
    if is_bag(folder):
        return BagOfTokens.load(folder, max_length)
    if base == name:
        return load_transformer(folder, max_length=max_length, dropout=dropout)
    tokenizer = TextTokenizer(
        load_writable_tokenizer(folder).backend_tokenizer, max_length, special_tokens=False
    )
    if initial == "random":
        return BagOfTokens.initial(tokenizer, None, read_dimension(folder), pairs=pairs)
    teacher = load_transformer(folder, max_length=_TOKEN_LENGTH, dropout=0.0)
    return BagOfTokens.initial(tokenizer, teacher, teacher.dimension, pairs=pairs)


def open_tokenizer(name: str, *, max_length: int) -> TextTokenizer:
    """The tokenizer of an encoder, special tokens included, without its weights.

    Raises:
        EncoderError: the encoder cannot be found or opened.
    """
    folder = resolve(_bag_base(name))
    if is_bag(folder):
        return BagOfTokens.load(folder, max_length).tokenizer
    return TextTokenizer(
        load_writable_tokenizer(folder).backend_tokenizer, max_length, special_tokens=True
    )


def _bag_base(name: str) -> str:
    if name == _BAG:
        return MINILM
    return name.removeprefix(f"{_BAG}:")
