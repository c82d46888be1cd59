"""Texts in groups of whole texts, as a transformer sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.kernels import send
from dexa.tokens.arrays import TokenArray, offsets_of


@dataclass(frozen=True, kw_only=True)
class TokenGroups:
    """Texts end to end in groups of whole texts, so that a group sees itself alone.

    Attributes:
        ids: int64 ``[T]``; zeros where no text lies.
        positions: int64 ``[T]``, the place of a token in its own text, from the first position.
        texts: int32 ``[T]``, the text of a token, numbered as `starts`; -1 where none lies.
        edges: int32 ``[G + 1]``, where groups start; the last ones may be empty.
        starts: int64 ``[B]``, where the tokens of a text lie.
        counts: int64 ``[B]``, how many they are.
        places: int64 ``[B]``, text of the batch → its number here.
        width: tokens of a group at most.
        in_rows: whether every group has room for so many.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    texts: torch.Tensor
    edges: torch.Tensor
    starts: torch.Tensor
    counts: torch.Tensor
    places: torch.Tensor
    width: int
    in_rows: bool


def group_width(longest: int) -> int:
    """The width of groups for texts of up to `longest` tokens: the next multiple of 64.

    Groups of 64 are 92 % full of titles of 7 tokens on average, groups of 32 only 85 %.
    """
    return max(64, 64 * -(-longest // 64))


def grouped(
    tokens: TokenArray,
    batches: Sequence[NDArray[np.int64]],
    *,
    first_position: int = 0,
    in_rows: bool = False,
    budget: bool = False,
) -> list[TokenGroups]:
    """The texts of batches in groups, all batches at once on the device of the tokens.

    A text of n tokens shares its group with others of like length: ``width // n`` of them. That
    needs no search, and is planned on the host for all texts of a batch from their lengths.

    Args:
        tokens: of all texts.
        batches: which texts a batch has, ``[B]`` each; -1 is an empty text.
        first_position: of a text's first token.
        in_rows: whether each group is filled up to its width, so that groups are rows.
        budget: whether tokens and groups are filled up to round numbers, so that batches of like
            size have one shape.
    """
    lengths = np.append(tokens.lengths, 0)
    width = group_width(max((int(lengths[rows].max(initial=0)) for rows in batches), default=0))
    layouts = [_Layout.of(lengths[rows], width, in_rows=in_rows, budget=budget) for rows in batches]
    return _assembled(tokens, batches, layouts, first_position)


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where the texts of a batch lie, planned on the host.

    Attributes:
        order: texts of the batch in the order in which they lie, ``[B]``.
        starts: where they do, ``[B]``.
        counts: their tokens, ``[B]``.
        edges: where groups start, ``[G + 1]``.
        width: of a group.
        in_rows: whether every group has room for so many tokens.
        tokens: all places, T.
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]
    edges: NDArray[np.int64]
    width: int
    in_rows: bool
    tokens: int

    @classmethod
    def of(cls, lengths: NDArray[np.int64], width: int, *, in_rows: bool, budget: bool) -> _Layout:
        """The layout of a batch of texts of these lengths, ``[B]``."""
        rows, columns = _rows_and_columns(lengths, width)
        order = np.lexsort((columns, rows))
        counts, rows = lengths[order], rows[order]
        if in_rows:
            groups = int(rows.max(initial=-1)) + 1
            groups = round_number(groups, 64) if budget else max(1, groups)
            starts, edges = rows * width + columns[order], width * np.arange(groups + 1)
        else:
            offsets = offsets_of(counts)
            total = int(offsets[-1])
            starts = offsets[:-1]
            filled = round_number(total, 1024) if budget else max(1, total)
            firsts = np.unique(starts[np.diff(rows, prepend=-1) > 0])  # empty texts need no group
            edges = np.concatenate([firsts, np.arange(total, filled, width), [filled]])
            if budget:  # any batch of so many tokens has at most so many groups
                groups = 2 * filled // width + width
                assert len(edges) <= groups + 1
                edges = np.pad(edges, (0, groups + 1 - len(edges)), mode="edge")
        return cls(
            order=order,
            starts=starts,
            counts=counts,
            edges=edges,
            width=width,
            in_rows=in_rows,
            tokens=int(edges[-1]),
        )


def _assembled(
    tokens: TokenArray,
    batches: Sequence[NDArray[np.int64]],
    layouts: Sequence[_Layout],
    first_position: int,
) -> list[TokenGroups]:
    """Tokens of all batches, put in their places on the device at once."""
    device = tokens.ids.device
    sizes = [len(layout.order) for layout in layouts]
    bases = offsets_of(np.array([layout.tokens for layout in layouts], np.int64))
    sources = [
        tokens.offsets[rows[layout.order]] for rows, layout in zip(batches, layouts, strict=True)
    ]
    lengths = _joined([layout.counts for layout in layouts])
    total = int(lengths.sum())
    parts = [
        _joined([layout.starts + base for layout, base in zip(layouts, bases[:-1], strict=True)]),
        lengths,
        _joined(sources),
        _joined([np.arange(size) for size in sizes]),
        offsets_of(lengths)[:-1],
        _joined([layout.starts for layout in layouts]),
        _joined([np.argsort(layout.order) for layout in layouts]),
        _joined([layout.edges for layout in layouts]),
    ]
    # one copy to the device for all that the host has planned
    plan = send(np.concatenate(parts), device).split([len(part) for part in parts])
    targets, counts, sources_there, numbers, offsets, starts, places, edges = plan
    owner = torch.repeat_interleave(
        torch.arange(len(lengths), device=device), counts, output_size=total
    )
    within = torch.arange(total, device=device) - offsets[owner]
    target = targets[owner] + within
    ids = torch.zeros(int(bases[-1]), dtype=torch.int64, device=device)
    positions, texts = torch.full_like(ids, first_position), torch.full_like(ids, -1)
    ids[target] = tokens.ids[sources_there[owner] + within].long()
    positions[target] = within + first_position
    texts[target] = numbers[owner]
    by_token = [
        part.split([layout.tokens for layout in layouts]) for part in (ids, positions, texts.int())
    ]
    by_text = [part.split(sizes) for part in (starts, counts, places)]
    by_edge = edges.int().split([len(layout.edges) for layout in layouts])
    return [
        TokenGroups(
            ids=by_token[0][i],
            positions=by_token[1][i],
            texts=by_token[2][i],
            edges=by_edge[i],
            starts=by_text[0][i],
            counts=by_text[1][i],
            places=by_text[2][i],
            width=layout.width,
            in_rows=layout.in_rows,
        )
        for i, layout in enumerate(layouts)
    ]


def _joined(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def round_number(count: int, least: int) -> int:
    """At most a sixteenth more than a count, so that counts share few numbers."""
    quantum = max(least, 1 << max(0, count.bit_length() - 5))
    return max(1, -(-count // quantum)) * quantum


def _rows_and_columns(
    lengths: NDArray[np.int64], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and first column of each text in rows of a width."""
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
