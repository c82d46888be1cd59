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
    ids: torch.Tensor, offsets: torch.Tensor, table: torch.Tensor, pairs: int, sparse: bool = False
) -> torch.Tensor:
    """The mean of the vectors of a text's tokens and of its pairs, ``[B, D]``.

    Args:
        ids: int64 ``[T]``, tokens of B texts end to end.
        offsets: int64 ``[B + 1]``, where each text starts, and where the last ends.
        table: of `table_with_pairs`.
        pairs: how many of its rows are for pairs.
        sparse: whether the gradient of the table is sparse.
    """
    starts, counts, rows = offsets[:-1], offsets.diff(), ids
    weights = table.new_ones(len(ids))
    if pairs:
        none = len(table) - 1
        both = ids.new_full((len(ids) + 1, 2), none)  # place -1 is before an empty first text
        both[:-1, 0] = ids
        both[:-2, 1] = _rows_of_pairs(ids[:-1], ids[1:], none - pairs, pairs)
        both[offsets[1:] - 1, 1] = none  # the last token of a text has no neighbour in it
        rows = both[:-1].flatten()
        weights = (rows != none).to(table.dtype)
        starts, counts = 2 * starts, 2 * counts - 1
    sums = bag_sums(rows, starts, table, weights, sparse)
    return sums / counts.clamp(min=1).unsqueeze(1)


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
    hashed = torch.add(second, first, alpha=vocabulary_size).mul_(_GOLDEN) >> 20
    return hashed.remainder_(pairs).add_(vocabulary_size)
