"""Blending against sums written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dexa.fusion import BlendFusion, Candidates, fit_weights, scaled_scores
from dexa.types import CLASSIFIERS, NO_LABEL, SHORTLIST

SCORERS = (CLASSIFIERS, SHORTLIST)


def candidates(seed: int = 1) -> Candidates:
    draw = torch.Generator().manual_seed(seed)
    labels = torch.tensor([[0, 1, 2, 3], [4, 5, NO_LABEL, 6]])
    missing = labels == NO_LABEL
    return Candidates(
        labels=labels,
        scores={
            CLASSIFIERS: torch.randn(2, 4, generator=draw).masked_fill(missing, -torch.inf),
            SHORTLIST: torch.rand(2, 4, generator=draw).masked_fill(missing, -torch.inf),
        },
    )


@pytest.mark.parametrize("logits", [True, False])
def test_scores_are_brought_to_one_scale(logits: bool) -> None:
    some = candidates()
    found = scaled_scores(some, SCORERS, logits=logits, sharpness=2.0)
    for s, name in enumerate(SCORERS):
        for row in range(2):
            values = []
            for column in range(4):
                score = float(some.scores[name][row, column])
                if int(some.labels[row, column]) == NO_LABEL:
                    values.append(0.0)
                elif logits and name == CLASSIFIERS:
                    values.append(1 / (1 + math.exp(-score)))
                else:
                    values.append(math.exp(2.0 * (score - 1)))
            expected = [value / max(values) for value in values]
            assert found[s, row].tolist() == pytest.approx(expected, rel=1e-5)


def test_the_blend_is_the_weighted_sum() -> None:
    some, weights = candidates(), torch.tensor([0.3, 0.7])
    blend = BlendFusion(
        weights=weights,
        scorers=SCORERS,
        logits=True,
        sharpness=1.5,
        inverse_propensity=np.ones(7),
    )
    top = blend(some, 4)
    scaled = scaled_scores(some, SCORERS, logits=True, sharpness=1.5)
    for row in range(2):
        sums = {
            int(some.labels[row, c]): float(0.3 * scaled[0, row, c] + 0.7 * scaled[1, row, c])
            for c in range(4)
            if int(some.labels[row, c]) != NO_LABEL
        }
        best = sorted(sums, key=lambda label: -sums[label])
        assert top.labels[row, : len(best)].tolist() == best
        assert top.scores[row, : len(best)].tolist() == pytest.approx([sums[b] for b in best])
    assert top.labels[1, 3] == NO_LABEL
    assert np.isneginf(top.scores[1, 3])
    assert torch.equal(blend.tensors()["weights"], weights)


def test_a_scorer_that_tells_nothing_gets_no_weight() -> None:
    draw = torch.Generator().manual_seed(4)
    right = torch.zeros(200, 10, dtype=torch.bool)
    right[torch.arange(200), torch.randint(10, (200,), generator=draw)] = True
    good = right.float() + 0.5 * torch.rand(200, 10, generator=draw)
    noise = 20 * torch.rand(200, 10, generator=draw)
    weights = fit_weights(torch.stack([noise, good]), right)
    assert weights.sum() == pytest.approx(1)
    assert weights[1] >= 0.95


def test_weights_without_anything_right_are_equal() -> None:
    none = torch.zeros(3, 4, dtype=torch.bool)
    assert fit_weights(torch.rand(2, 3, 4), none).tolist() == [0.5, 0.5]
    assert fit_weights(torch.rand(1, 3, 4), ~none).tolist() == [1.0]
