"""Precise scores of chosen labels, or of all."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch

from dexa.index.best import Best

_SCORES_BYTES = 64 << 20  # of scores of all labels at a time
_CHUNK = 1 << 14  # labels widened to float64 at a time


def inner_products(
    queries: torch.Tensor, vectors: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Inner products of queries ``[B, D]`` with labels ``[B, K]`` of vectors ``[L, D]``, float32.

    Equal vectors score equally. On a CPU the sums are made in float64. On a GPU they are made by
    a product sampled at the labels, which gathers no vectors: that would take four times as long.
    """
    # a sparse pattern cannot name more labels than there are
    if queries.device.type == "cuda" and 0 < labels.shape[1] <= len(vectors) and len(labels):
        return _sampled_products(queries, vectors, labels)
    scores = queries.new_empty(labels.shape)
    # the same memory again and again: fresh memory would take as long as the products
    chosen = vectors.new_empty(labels.shape[1], vectors.shape[1])
    precise = torch.empty_like(chosen, dtype=torch.float64)
    for query, own, of_query in zip(queries.double(), labels, scores, strict=True):
        torch.index_select(vectors, 0, own, out=chosen)
        of_query.copy_(precise.copy_(chosen) @ query)
    return scores


def _sampled_products(
    queries: torch.Tensor, vectors: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    starts = torch.arange(0, labels.numel() + 1, labels.shape[1], device=labels.device)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse", UserWarning)  # its interface is in beta
        pattern = torch.sparse_csr_tensor(
            starts,
            labels.flatten(),
            queries.new_zeros(labels.numel()),
            size=(len(queries), len(vectors)),
            check_invariants=False,  # it checks that labels ascend in a row; any order will do
        )
    return (
        torch.sparse.sampled_addmm(pattern, queries, vectors.T, beta=0.0).values().view_as(labels)
    )


def first(scores: torch.Tensor, labels: torch.Tensor, k: int) -> Best:
    """The k best of labels ``[B, K]`` in ascending order: best first, then the smaller id."""
    scores, places = scores.sort(dim=1, descending=True, stable=True)
    return Best(labels.gather(1, places[:, :k]), scores[:, :k])


def exhaustive(
    queries: torch.Tensor,
    rows: list[int],
    vectors: torch.Tensor,
    k: int,
    allowed: torch.Tensor | None = None,
) -> Iterator[tuple[list[int], Best]]:
    """The k best of all labels for some rows of queries, block by block of these rows.

    Args:
        queries: ``[B, D]``.
        rows: which of them.
        vectors: ``[L, D]``.
        k: at most as many as are allowed.
        allowed: bool ``[L]``, which labels count; None for all.
    """
    step = max(8, _SCORES_BYTES // (4 * len(vectors)))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        yield block, _best_of_all(queries[block].double(), vectors, k, allowed)


def _best_of_all(
    queries: torch.Tensor, vectors: torch.Tensor, k: int, allowed: torch.Tensor | None
) -> Best:
    """By float64 products rounded to float32, so that equal vectors score equally."""
    chunks = vectors.split(_CHUNK)
    scores = torch.cat([(queries @ chunk.double().T).float() for chunk in chunks], dim=1)
    if allowed is not None:
        scores.masked_fill_(~allowed, -torch.inf)
    lowest = scores.topk(k, sorted=False).values.amin(dim=1, keepdim=True)
    above, level = scores > lowest, scores == lowest
    missing = k - above.sum(dim=1, keepdim=True)
    chosen = above | (level & (level.cumsum(dim=1, dtype=torch.int32) <= missing))
    labels = chosen.nonzero()[:, 1].view(-1, k)
    return first(scores.gather(1, labels), labels, k)
