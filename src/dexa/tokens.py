"""Texts as token ids: ragged arrays, the batches taken from them, and packed rows.

A text is never padded to the longest: ids of all texts lie end to end (`TokenArray`), a batch is
gathered by indexing, and a transformer sees several whole short texts in each row (`pack`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import tokenizers
import torch
from numpy.typing import NDArray

from dexa.errors import DataError
from dexa.types import TokenBatch

_CHUNK = 8_192
_LONG_TEXT = 20_000


@dataclass(frozen=True)
class TokenArray:
    """Token ids of many texts, end to end.

    Attributes:
        ids: int32 ``[T]``, on any device.
        offsets: int64 ``[N + 1]``, on the host; text n is ``ids[offsets[n]:offsets[n + 1]]``.
    """

    ids: torch.Tensor
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, ``[N]``."""
        return np.diff(self.offsets)

    def to(self, device: torch.device) -> TokenArray:
        """The same texts with their ids on another device."""
        return TokenArray(self.ids.to(device), self.offsets)

    def batch(self, rows: NDArray[np.int64]) -> TokenBatch:
        """Texts `rows`, gathered on the device without asking it for any shape."""
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        # where token t of the batch lies: t, moved by its text's shift
        plan = send(np.stack([starts - offsets[:-1], lengths]), self.ids.device)
        total = int(offsets[-1])
        places = torch.arange(total, device=self.ids.device)
        places += torch.repeat_interleave(plan[0], plan[1], output_size=total)
        return TokenBatch(
            ids=self.ids[places].long(), offsets=send(offsets, self.ids.device), lengths=lengths
        )


def send(values: NDArray[np.generic], device: torch.device) -> torch.Tensor:
    """A host array on the device, without waiting for the copy."""
    tensor = torch.from_numpy(values)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def joined(arrays: Iterable[TokenArray]) -> TokenArray:
    """Several token arrays as one, in order."""
    arrays = list(arrays)
    lengths = np.concatenate([array.lengths for array in arrays])
    return TokenArray(torch.cat([array.ids for array in arrays]), offsets_of(lengths))


def offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each text starts, and where the last ends, ``[N + 1]``."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


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
            encodings = self._tokenizer.encode_batch_fast(
                chunk, add_special_tokens=self.special_tokens
            )
            rows = [encoding.ids for encoding in encodings]
            lengths += map(len, rows)
            ids.append(np.fromiter(itertools.chain.from_iterable(rows), np.int32))
        flat = np.concatenate(ids) if ids else np.zeros(0, np.int32)
        return TokenArray(torch.from_numpy(flat), offsets_of(np.array(lengths, np.int64)))

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


@dataclass(frozen=True)
class PackedRows:
    """Several whole texts in each row of a fixed width.

    Attributes:
        ids: int64 ``[R, W]``, zero where no text lies.
        positions: int64 ``[R, W]``, the place of a token in its own text.
        texts: int64 ``[R, W]``, which text of the batch a token belongs to; B for padding.
        places: int64 ``[T]``, where token t of the batch lies in the flattened rows.
        text_of_token: int64 ``[T]``.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    texts: torch.Tensor
    places: torch.Tensor
    text_of_token: torch.Tensor


def same_text(texts: torch.Tensor) -> torch.Tensor:
    """Bool ``[R, 1, W, W]``: a token sees the tokens of its own text, `PackedRows.texts`."""
    return texts[:, None, :, None] == texts[:, None, None, :]


def row_width(longest: int) -> int:
    """The width of rows for texts of up to `longest` tokens: the next multiple of 64.

    Rows of 64 hold titles of 7 tokens on average 92 % full, rows of 32 only 85 %.
    """
    return max(64, 64 * -(-longest // 64))


def pack(batch: TokenBatch, width: int, *, multiple: int = 1) -> PackedRows:
    """Put the texts of a batch into rows of `width` tokens, several whole texts a row.

    A text of n tokens shares its row with others of like length: ``width // n`` of them. That
    needs no search, and is planned on the host for all texts at once from their lengths.

    Args:
        batch: B texts, none longer than `width`.
        width: W.
        multiple: R is filled up to a multiple of this with rows of padding.
    """
    device = batch.ids.device
    lengths = batch.lengths
    rows, starts = _layout(lengths, width)
    n_rows = -(-(int(rows.max(initial=-1)) + 1) // multiple) * multiple
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    total = int(offsets[-1])
    plan = send(np.stack([rows * width + starts - offsets[:-1], offsets[:-1], lengths]), device)
    texts = torch.repeat_interleave(
        torch.arange(len(batch), device=device), plan[2], output_size=total
    )
    tokens = torch.arange(total, device=device)
    places = tokens + plan[0][texts]
    flat = torch.zeros(3, n_rows * width, dtype=torch.int64, device=device)
    flat[2].fill_(len(batch))
    flat[:, places] = torch.stack([batch.ids, tokens - plan[1][texts], texts])
    ids, positions, owners = flat.view(3, n_rows, width).unbind()
    return PackedRows(ids, positions, owners, places, texts)


def _layout(lengths: NDArray[np.int64], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and first column of each text."""
    assert lengths.max(initial=0) <= width
    per_row = width // np.maximum(lengths, 1)
    order = np.argsort(-per_row, kind="stable")
    shares, first, counts = np.unique(-per_row[order], return_index=True, return_counts=True)
    rows_of_share = -(-counts // -shares)
    first_row = np.cumsum(rows_of_share) - rows_of_share
    group = np.repeat(np.arange(len(shares)), counts)
    rank = np.arange(len(lengths)) - first[group]
    share = -shares[group]
    rows, starts = np.empty_like(lengths), np.empty_like(lengths)
    rows[order] = first_row[group] + rank // share
    starts[order] = rank % share * (width // share)
    return rows, starts
