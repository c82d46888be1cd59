"""Pairs of tokens that stand side by side, hashed into the rows of a table."""

from __future__ import annotations

import torch

from dexa.encoders.bag_sums import bag_sums

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
"""2⁶⁴ over the golden ratio, as a signed integer: multiplied by it, near numbers part (Knuth)."""


def table_with_pairs(tokens: torch.Tensor, pairs: int) -> torch.Tensor:
    """A table of token vectors ``[V, D]`` with rows of zeros for pairs, ``[V + pairs + 1, D]``.

    The last row stands where a text has no further pair. Without pairs the table stays as it is.
    """
    if pairs == 0:
        return tokens
    return torch.cat([tokens, tokens.new_zeros(pairs + 1, tokens.shape[1])])


def pairs_in(table: torch.Tensor, vocabulary_size: int) -> int:
    """How many rows of a table are for pairs."""
    return max(0, len(table) - vocabulary_size - 1)


def bag_means(
    ids: torch.Tensor, starts: torch.Tensor, table: torch.Tensor, pairs: int, sparse: bool = False
) -> torch.Tensor:
    """The mean of the vectors of a text's tokens and of its pairs, ``[B, D]``.

    Args:
        ids: int64 ``[T]``, tokens of B texts end to end.
        starts: int64 ``[B]``, where each text starts.
        table: of `table_with_pairs`.
        pairs: how many of its rows are for pairs.
        sparse: whether the gradient of the table is sparse.
    """
    lengths = torch.diff(starts, append=starts.new_full((1,), len(ids)))
    if pairs == 0:
        weights = (1 / lengths.to(table.dtype)).repeat_interleave(lengths)
        return bag_sums(ids, starts, table, weights, sparse)
    none = len(table) - 1
    vocabulary_size = none - pairs
    rows = _rows_of_pairs(ids, ids.roll(-1), vocabulary_size, pairs)
    # the last token of a text has no neighbour in it; place T stands for the end of the last text
    ends = torch.zeros(len(ids) + 1, dtype=torch.bool, device=ids.device)
    ends[starts] = True
    ends[-1] = True
    follows = ~ends[1:]
    both = torch.stack([ids, rows.where(follows, none)], dim=1).flatten()
    share = (1 / (2 * lengths - 1).to(table.dtype)).repeat_interleave(lengths)
    weights = torch.stack([share, share * follows], dim=1).flatten()
    return bag_sums(both, 2 * starts, table, weights, sparse)


def padded_means(
    ids: torch.Tensor, mask: torch.Tensor, table: torch.Tensor, pairs: int
) -> torch.Tensor:
    """`bag_means` of padded rows.

    Args:
        ids: int64 ``[B, T]``.
        mask: int64 ``[B, T]``, ones for the tokens of a text, then zeros.
        table: of `table_with_pairs`.
        pairs: how many of its rows are for pairs.
    """
    rows, kept = ids, mask
    if pairs:
        of_pairs = _rows_of_pairs(ids[:, :-1], ids[:, 1:], len(table) - 1 - pairs, pairs)
        rows, kept = torch.cat([ids, of_pairs], dim=1), torch.cat([mask, mask[:, 1:]], dim=1)
    kept = kept.unsqueeze(2)
    return (table[rows] * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1)


def _rows_of_pairs(
    first: torch.Tensor, second: torch.Tensor, vocabulary_size: int, pairs: int
) -> torch.Tensor:
    """The row of the table for each pair of tokens; products of int64 wrap around."""
    hashed = (first * vocabulary_size + second) * _GOLDEN >> 20
    return vocabulary_size + hashed.remainder(pairs)
