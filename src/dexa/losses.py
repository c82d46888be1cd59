"""The losses of the two stages, as functions of similarities of documents and labels."""

from __future__ import annotations

import torch

from dexa.kernels import highest

_NEVER = -10.0
"""Below any cosine: where a pair is known, and so no negative."""

_NO_LOGIT = -1e4
"""The same for logits: its exponential is 0, and unlike infinity it has a gradient."""


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
        similarity: ``[B, U]``.
        positives: int64 ``[B]``, column of each document's sampled positive.
        known: bool ``[B, U]``, pairs that are positive or filtered: never negatives.
        temperature: of the softmax.

    Returns:
        The loss, a scalar.
    """
    logits = similarity / temperature
    positive = logits.gather(1, positives.unsqueeze(1))[:, 0]
    negative = logits.masked_fill(known, _NO_LOGIT)
    of_documents = torch.logaddexp(positive, negative.logsumexp(dim=1))
    of_labels = torch.logaddexp(positive, negative.logsumexp(dim=0)[positives])
    return (of_documents + of_labels - 2 * positive).mean() / 2


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
    worst = -_extreme(-similarity, ~truth, -100.0, positives)
    hardest = _extreme(similarity, known, _NEVER, negatives)
    violation = (hardest.unsqueeze(1) - worst.unsqueeze(2) + margin).clamp(min=0)
    weights = violation.masked_fill(violation == 0, -100.0).softmax(dim=2)
    pairs = labels.clamp(max=positives) * labels.clamp(max=negatives)
    return (violation * weights).sum() / (len(similarity) * pairs)


def _extreme(
    values: torch.Tensor, excluded: torch.Tensor, instead: float, count: int
) -> torch.Tensor:
    """The highest values of each row, in no order, another value standing for excluded ones.

    The gradient is that of the values found: no pass over all others.
    """
    with torch.no_grad():
        places, _ = highest(torch.where(excluded, instead, values), count)
    return torch.where(excluded.gather(1, places), instead, values.gather(1, places))
