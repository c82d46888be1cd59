"""Texts to token ids, by the tokenizer of an encoder."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Protocol

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray

from dexa.errors import DataError
from dexa.tokens.arrays import TokenArray, offsets_of

_CHUNK = 8_192
_LONG_TEXT = 20_000


class Tokenizer(Protocol):
    """Texts to what an encoder reads of them."""

    @property
    def vocabulary_size(self) -> int:
        """Number of ids V."""
        ...

    def __call__(self, texts: Iterable[str]) -> TokenArray:
        """Ids of texts, with weights where they are sparse features."""
        ...


class TextTokenizer:
    """Texts to token ids, by the encoder's own tokenizer.

    Args:
        tokenizer: a tokenizer of the `tokenizers` library.
        max_length: tokens of a text at most, special tokens included.
        special_tokens: whether special tokens stay in the ids; a bag of tokens drops them.
    """

    def __init__(
        self, tokenizer: tokenizers.Tokenizer, max_length: int, *, special_tokens: bool
    ) -> None:
        self.max_length, self.special_tokens = max_length, special_tokens
        self.added = tokenizer.num_special_tokens_to_add(False)
        self._tokenizer = tokenizers.Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_padding()
        # those put around every text: an unknown token is part of its text
        self.special_ids = np.array(self._tokenizer.encode("").ids, np.int64)
        self._tokenizer.enable_truncation(max_length - (0 if special_tokens else self.added))

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special and added tokens included."""
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    def to_json(self) -> str:
        """The tokenizer itself, truncation included, as the `tokenizers` library writes it."""
        return self._tokenizer.to_str()

    def around(self) -> tuple[list[int], list[int]]:
        """The special tokens put before and after a text."""
        encoding = self._tokenizer.encode("a")
        first = encoding.special_tokens_mask.index(0)
        last = len(encoding.ids) - encoding.special_tokens_mask[::-1].index(0)
        return encoding.ids[:first], encoding.ids[last:]

    def __call__(self, texts: Iterable[str]) -> TokenArray:
        """Token ids of texts; an empty text has only the special tokens, or none."""
        ids: list[NDArray[np.int32]] = []
        lengths: list[int] = []
        for chunk in _chunks(texts):
            encodings = self._encodings(chunk)
            rows = [encoding.ids for encoding in encodings]
            lengths += map(len, rows)
            ids.append(np.fromiter(itertools.chain.from_iterable(rows), np.int32))
        flat = np.concatenate(ids) if ids else np.zeros(0, np.int32)
        return TokenArray(torch.from_numpy(flat), offsets_of(np.array(lengths, np.int64)))

    def _encodings(self, texts: list[str]) -> list[tokenizers.Encoding]:
        if len(texts) == 1:  # which other threads would only delay
            return [self._tokenizer.encode(texts[0], add_special_tokens=self.special_tokens)]
        return self._tokenizer.encode_batch_fast(texts, add_special_tokens=self.special_tokens)

    def from_padded(
        self, ids: NDArray[np.integer], mask: NDArray[np.integer], path: object
    ) -> TokenArray:
        """Token ids from the padded pair ``[N, length]`` that `dexa prepare` writes.

        Raises:
            DataError: shapes differ, the mask is not a run of ones, or an id is not in the
                vocabulary.
        """
        if ids.ndim != 2 or ids.shape != mask.shape:
            raise DataError(
                f"ids {list(ids.shape)} with mask {list(mask.shape)}",
                expected="two arrays [N, length] of one shape",
                path=str(path),
            )
        parts, lengths = [], []
        for start in range(0, len(ids), _CHUNK * 8):
            rows = np.asarray(ids[start : start + _CHUNK * 8]).astype(np.int64)
            keep = np.asarray(mask[start : start + _CHUNK * 8]).astype(bool)
            if (~keep[:, :-1] & keep[:, 1:]).any() or (keep & (rows < 0)).any():
                raise DataError("a mask with a hole or a negative id", path=str(path))
            if keep.any() and rows[keep].max() >= self.vocabulary_size:
                raise DataError(
                    f"token id {rows[keep].max()}",
                    expected=f"ids below the vocabulary's {self.vocabulary_size}",
                    do="prepare the data set again with this encoder",
                    path=str(path),
                )
            if not self.special_tokens:
                keep &= ~np.isin(rows, self.special_ids)
            keep &= np.cumsum(keep, axis=1) <= self.max_length
            parts.append(rows[keep].astype(np.int32))
            lengths.append(keep.sum(axis=1))
        flat = np.concatenate(parts) if parts else np.zeros(0, np.int32)
        sizes = np.concatenate(lengths) if lengths else np.zeros(0, np.int64)
        return TokenArray(torch.from_numpy(flat), offsets_of(sizes))


def _chunks(texts: Iterable[str]) -> Iterable[list[str]]:
    # A text far beyond max_length is cut by characters first: a token is rarely longer than 20.
    iterator = (text[:_LONG_TEXT] for text in texts)
    while chunk := list(itertools.islice(iterator, _CHUNK)):
        yield chunk
