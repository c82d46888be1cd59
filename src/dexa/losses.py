"""The losses of all stages, as functions of similarities of documents and labels."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch.nn import functional as F

from dexa.kernels import highest

_NEVER = -10.0
"""Below any cosine: where a pair is known, and so no negative."""

_LEAST_TEMPERATURE = 0.025
"""Down to here float32 holds the exponential of every cosine over the temperature."""

_EASY = 0.05
"""A negative of less than this loss has been learnt."""


def hard_negative_triplet(
    similarity: torch.Tensor,
    positives: torch.Tensor,
    known: torch.Tensor,
    *,
    margin: float,
    negatives: int,
    temperature: float,
    labels: torch.Tensor | None = None,
) -> torch.Tensor:
    """Triplet loss over the hardest negatives of each document (DEXA, equation 2).

    With s the cosine of document i and label j, p the sampled positive of i and n its hardest
    negatives: the mean over i and n of ``w_n · max(0, s_in − s_ip + margin)``, where w is the
    softmax of ``s_in / temperature`` over those n that violate the margin. The gradient flows
    through w too.

    Args:
        similarity: ``[B, U]``.
        positives: int64 ``[B]``, column of each document's sampled positive.
        known: bool ``[B, U]``, pairs that are positive or filtered: never negatives.
        margin: by how much a positive should win.
        negatives: how many negatives a document has at most.
        temperature: of the softmax.
        labels: how many columns are labels, an integer on the device; others, all of them known,
            fill up. None for all.

    Returns:
        The loss, a scalar.
    """
    labels = torch.tensor(similarity.shape[1]) if labels is None else labels
    positive = similarity.gather(1, positives.unsqueeze(1))
    hardest = _extreme(similarity, known, _NEVER, negatives)
    violation = (hardest - positive + margin).clamp(min=0)
    weights = (hardest / temperature).masked_fill(violation == 0, -500.0).softmax(dim=1)
    return (violation * weights).sum() / (len(similarity) * labels.clamp(max=negatives))


def decoupled_softmax(
    similarity: torch.Tensor,
    positives: torch.Tensor,
    known: torch.Tensor,
    *,
    temperature: float,
) -> torch.Tensor:
    """Cross-entropy against all negatives of a batch, seen from documents and from labels.

    With z = s / temperature and p the sampled positive of document i: half the mean over i of
    ``log(1 + Σ_j e^{z_ij − z_ip}) + log(1 + Σ_k e^{z_kp − z_ip})``, where j runs over the labels
    that are no known pair of i, and k over the documents that are none of p.
    That other positives are left out of the sum decouples them (DEXML, ICLR 2024).

    Args:
        similarity: cosines ``[B, U]``.
        positives: int64 ``[B]``, column of each document's sampled positive.
        known: bool ``[B, U]``, pairs that are positive or filtered: never negatives.
        temperature: of the softmax.

    Returns:
        The loss, a scalar.
    """
    return cast("torch.Tensor", _DecoupledSoftmax.apply(similarity, positives, known, temperature))


class _DecoupledSoftmax(torch.autograd.Function):
    """`decoupled_softmax`, whose two sums share one exponential, and whose gradient is that again.

    As cosines are 1 at most, ``exp((s − 1) / temperature)`` never overflows.
    """

    @staticmethod
    def forward(
        ctx: Any,
        similarity: torch.Tensor,
        positives: torch.Tensor,
        known: torch.Tensor,
        temperature: float,
    ) -> torch.Tensor:
        least = torch.float32 if temperature > _LEAST_TEMPERATURE else torch.float64
        wide = torch.promote_types(similarity.dtype, least)
        logits = similarity.to(wide).sub(1).div_(temperature)
        positive = logits.gather(1, positives.unsqueeze(1))[:, 0]
        negative = logits.masked_fill_(known, -torch.inf).exp_()
        own = positive.exp()
        of_documents = own + negative.sum(dim=1)
        of_labels = own + negative.sum(dim=0)[positives]
        ctx.save_for_backward(positives, negative, own, of_documents, of_labels)
        ctx.temperature, ctx.dtype = temperature, similarity.dtype
        loss = (of_documents.log() + of_labels.log() - 2 * positive).mean() / 2
        return loss.to(similarity.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        positives, negative, own, of_documents, of_labels = ctx.saved_tensors
        scale = gradients[0].to(own.dtype) / (2 * ctx.temperature * len(own))
        rows, own_columns = scale / of_documents, scale / of_labels
        columns = torch.zeros_like(negative[0]).index_add_(0, positives, own_columns)
        gradient = negative * (rows.unsqueeze(1) + columns)
        of_positives = own * (rows + own_columns) - 2 * scale
        gradient.scatter_add_(1, positives.unsqueeze(1), of_positives.unsqueeze(1))
        return gradient.to(ctx.dtype), None, None, None


def multi_positive_triplet(
    similarity: torch.Tensor,
    truth: torch.Tensor,
    known: torch.Tensor,
    *,
    margin: float,
    positives: int,
    negatives: int,
    labels: torch.Tensor | None = None,
) -> torch.Tensor:
    """Triplet loss of the least similar positives and the hardest negatives (DEXA, module IV).

    With p the least similar positives of document i and n its hardest negatives: the mean over
    i, p and n of ``w_pn · max(0, s_in − s_ip + margin)``, where w is the softmax of the violation
    itself over n. A document with fewer positives than asked has zeros in their places.

    Args:
        similarity: ``[B, U]``.
        truth: bool ``[B, U]``, positives.
        known: bool ``[B, U]``, pairs that are positive or filtered: never negatives.
        margin: by how much a positive should win.
        positives: how many positives of a document enter at most.
        negatives: how many negatives of a document enter at most.
        labels: how many columns are labels, an integer on the device; others, all of them known,
            fill up. None for all.

    Returns:
        The loss, a scalar.
    """
    labels = torch.tensor(similarity.shape[1]) if labels is None else labels
    others = ~truth
    low = _highest_places(-similarity.detach(), others, -100.0, positives)
    high = _highest_places(similarity.detach(), known, _NEVER, negatives)
    # found at once, so that the gradient is spread over all pairs once
    found = similarity.gather(1, torch.cat([low, high], dim=1))
    worst = torch.where(others.gather(1, low), 100.0, found[:, : low.shape[1]])
    hardest = torch.where(known.gather(1, high), _NEVER, found[:, low.shape[1] :])
    violation = (hardest.unsqueeze(1) - worst.unsqueeze(2) + margin).clamp(min=0)
    weights = violation.masked_fill(violation == 0, -100.0).softmax(dim=2)
    pairs = labels.clamp(max=positives) * labels.clamp(max=negatives)
    return (violation * weights).sum() / (len(similarity) * pairs)


def cosine_likelihood(
    similarity: torch.Tensor, positives: torch.Tensor, *, ceiling: float, sharpness: float
) -> torch.Tensor:
    """Negative logarithm of what each pair is likely to be, by its cosine (SiameseXML, section 3).

    A pair of cosine s is right with probability ``p = c · exp(d · (s − 1))``: ``−ln p`` of a
    positive, ``−ln(1 − p)`` of another.

    Args:
        similarity: cosines, of any shape.
        positives: bool of that shape.
        ceiling: c, above 0 and below 1.
        sharpness: d.

    Returns:
        The loss of each pair.
    """
    exponent = sharpness * (similarity - 1)
    # rounding may take a cosine a little beyond 1
    negative = -torch.log1p(-(ceiling * exponent.exp()).clamp(max=1 - 1e-6))
    return torch.where(positives, -math.log(ceiling) - exponent, negative)


def hardest_likelihood(
    similarity: torch.Tensor,
    positives: torch.Tensor,
    known: torch.Tensor,
    *,
    ceiling: float,
    sharpness: float,
    negatives: int,
) -> torch.Tensor:
    """`cosine_likelihood` of all positives and of the hardest negatives of a row (kProb).

    Args:
        similarity: cosines of labels and documents, ``[R, C]``.
        positives: bool ``[R, C]``.
        known: bool ``[R, C]``, pairs that are positive or filtered: never negatives.
        ceiling: as in `cosine_likelihood`.
        sharpness: likewise.
        negatives: how many negatives of a row enter, at most.

    Returns:
        The sum over columns, its mean over rows, a scalar.
    """
    right = -math.log(ceiling) - sharpness * (similarity - 1)
    hardest = _extreme(similarity, known, _NEVER, negatives)
    none = torch.zeros_like(hardest, dtype=torch.bool)
    wrong = cosine_likelihood(hardest, none, ceiling=ceiling, sharpness=sharpness)
    wrong = wrong.masked_fill(hardest == _NEVER, 0.0)
    return (right.masked_fill(~positives, 0.0).sum() + wrong.sum()) / len(similarity)


def listed_likelihood(
    similarity: torch.Tensor,
    positives: torch.Tensor,
    there: torch.Tensor,
    *,
    ceiling: float,
    sharpness: float,
) -> torch.Tensor:
    """`cosine_likelihood` of the labels of a list (Prob), of which easy negatives are dropped.

    Args:
        similarity: cosines of documents with the labels of their lists, ``[B, S]``.
        positives: bool ``[B, S]``.
        there: bool ``[B, S]``, false for what fills a list up.
        ceiling: as in `cosine_likelihood`.
        sharpness: likewise, by which the loss is divided.

    Returns:
        The sum over lists, its mean over documents, a scalar.
    """
    each = cosine_likelihood(similarity, positives, ceiling=ceiling, sharpness=sharpness)
    counts = there & (positives | (each >= _EASY))
    return each.masked_fill(~counts, 0.0).sum() / (sharpness * len(similarity))


def listed_cross_entropy(
    logits: torch.Tensor, positives: torch.Tensor, there: torch.Tensor | None
) -> torch.Tensor:
    """Binary cross-entropy of the labels of a list.

    Args:
        logits: of documents and labels, ``[B, S]``.
        positives: bool ``[B, S]``.
        there: bool ``[B, S]``, false for what fills a list up; None where nothing does.

    Returns:
        The sum over lists, its mean over documents, a scalar.
    """
    each = F.softplus(torch.where(positives, -logits, logits))
    if there is not None:
        each = each.masked_fill(~there, 0.0)
    return each.sum() / len(logits)


def _extreme(
    values: torch.Tensor, excluded: torch.Tensor, instead: float, count: int
) -> torch.Tensor:
    """The highest values of each row, in no order, another value standing for excluded ones.

    The gradient is that of the values found: no pass over all others.
    """
    places = _highest_places(values.detach(), excluded, instead, count)
    return torch.where(excluded.gather(1, places), instead, values.gather(1, places))


def _highest_places(
    values: torch.Tensor, excluded: torch.Tensor, instead: float, count: int
) -> torch.Tensor:
    """Where the highest values of each row are, in no order; excluded ones count as another."""
    return highest(torch.where(excluded, instead, values), count)[0]
