"""Which scorer gives how much to a fused score: Shapley values, exact."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial

import torch

from dexa.fusion.blend import BlendFusion
from dexa.fusion.boosted import BoostedFusion
from dexa.fusion.candidates import Candidates
from dexa.fusion.single import SingleScorer
from dexa.fusion.tree import TreeFusion


def shares(
    fusion: TreeFusion | BoostedFusion | BlendFusion | SingleScorer,
    candidates: Candidates,
    column: int,
    scorers: Sequence[str],
) -> tuple[float, dict[str, float]]:
    """What each scorer gives to the fused score of one candidate.

    A scorer's share is its Shapley value: how much it raises the score on average over all orders
    in which the scorers can speak up, where one that is silent gives the label no more than the
    last of the candidates. The shares and the score when all are silent add up to the score
    (Shapley, "A value for n-person games", 1953). Exact: all 2^S sets of S scorers are fused.

    Args:
        fusion: of the scores.
        candidates: of one text, ``[1, C]``, no fillers among them.
        column: of the candidate.
        scorers: that the fusion reads.

    Returns:
        The score when all are silent, and each scorer's share.
    """
    count = len(scorers)
    sets = torch.arange(1 << count)
    speaks = (sets[:, None] >> torch.arange(count) & 1).bool()  # [2^S, S]
    scores = {}
    for number, name in enumerate(scorers):
        said = candidates.scores[name].expand(len(sets), -1).clone()
        said[~speaks[:, number].to(said.device), column] = said[0].amin()
        scores[name] = said
    labels = candidates.labels.expand(len(sets), -1)
    columns = torch.full((len(sets), 1), column, device=labels.device)
    fused = fusion.scores(Candidates(labels=labels, scores=scores), columns)[:, 0].double().cpu()
    speakers = speaks.sum(dim=1)
    weights = torch.tensor(
        [factorial(n) * factorial(count - n - 1) / factorial(count) for n in range(count)],
        dtype=torch.float64,
    )
    found = {}
    for number, name in enumerate(scorers):
        without = sets[~speaks[:, number]]
        gain = fused[without | (1 << number)] - fused[without]
        found[name] = float((weights[speakers[without]] * gain).sum())
    return float(fused[0]), found
