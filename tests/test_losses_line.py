"""The losses of SiameseXML and DeepXML against loops over explicit pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dexa.losses import (
    cosine_likelihood,
    hardest_likelihood,
    listed_cross_entropy,
    listed_likelihood,
)

C, D = 0.75, 3.0


def cosines(rows: int, columns: int, seed: int = 1) -> torch.Tensor:
    draw = np.random.default_rng(seed)
    return torch.from_numpy(draw.uniform(-1, 1, (rows, columns))).requires_grad_()


def some(rows: int, columns: int, share: float, seed: int = 2) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((rows, columns)) < share)


def likelihood(cosine: float, positive: bool, c: float = C, d: float = D) -> float:
    probability = c * math.exp(d * (cosine - 1))
    return -math.log(probability if positive else 1 - probability)


def test_each_pair() -> None:
    similarity, positives = cosines(4, 5), some(4, 5, 0.4)
    found = cosine_likelihood(similarity.detach(), positives, ceiling=C, sharpness=D)
    for i in range(4):
        for j in range(5):
            expected = likelihood(float(similarity[i, j].detach()), bool(positives[i, j]))
            assert float(found[i, j]) == pytest.approx(expected)


def test_a_cosine_beyond_one_is_rounding() -> None:
    nearly = torch.tensor([1.0 + 1e-6])
    negative = torch.tensor([False])
    loss = cosine_likelihood(nearly, negative, ceiling=1 - 1e-9, sharpness=9.0)
    assert torch.isfinite(loss).all()


@pytest.mark.parametrize("negatives", [1, 3, 50])
def test_the_hardest_negatives_of_a_row(negatives: int) -> None:
    similarity, positives = cosines(6, 9), some(6, 9, 0.3)
    known = positives | some(6, 9, 0.2, seed=3)
    known[5] = True  # nothing to compare with
    loss = hardest_likelihood(
        similarity, positives, known, ceiling=0.9, sharpness=1.5, negatives=negatives
    )
    total = 0.0
    for i in range(6):
        row = [float(similarity[i, j].detach()) for j in range(9)]
        total += sum(likelihood(row[j], True, 0.9, 1.5) for j in range(9) if positives[i, j])
        wrong = sorted((row[j] for j in range(9) if not known[i, j]), reverse=True)
        total += sum(likelihood(s, False, 0.9, 1.5) for s in wrong[:negatives])
    assert float(loss.detach()) == pytest.approx(total / 6)
    loss.backward()
    assert similarity.grad is not None
    assert ((similarity.grad < 0) == positives).all()


def test_a_list_without_its_easy_negatives() -> None:
    similarity, positives, there = cosines(5, 8), some(5, 8, 0.3), some(5, 8, 0.8, seed=4)
    positives &= there
    loss = listed_likelihood(similarity, positives, there, ceiling=C, sharpness=D)
    total = 0.0
    for i in range(5):
        for j in range(8):
            each = likelihood(float(similarity[i, j].detach()), bool(positives[i, j]))
            if there[i, j] and (positives[i, j] or each >= 0.05):
                total += each
    assert float(loss.detach()) == pytest.approx(total / D / 5)
    loss.backward()
    assert similarity.grad is not None
    assert (similarity.grad[~there] == 0).all()


@pytest.mark.parametrize("filled", [True, False])
def test_cross_entropy_of_a_list(filled: bool) -> None:
    logits = (cosines(5, 8) * 6).detach().requires_grad_()
    positives, there = some(5, 8, 0.3), some(5, 8, 0.8, seed=4)
    loss = listed_cross_entropy(logits, positives, there if filled else None)
    total = 0.0
    for i in range(5):
        for j in range(8):
            if there[i, j] or not filled:
                right = 1 / (1 + math.exp(-float(logits[i, j].detach())))
                total -= math.log(right if positives[i, j] else 1 - right)
    assert float(loss.detach()) == pytest.approx(total / 5)
    loss.backward()
    assert logits.grad is not None
    assert ((logits.grad != 0) == (there if filled else torch.ones_like(there))).all()


def test_far_logits_are_no_infinity() -> None:
    logits = torch.tensor([[200.0, -200.0]])
    loss = listed_cross_entropy(logits, torch.tensor([[False, True]]), None)
    assert float(loss.detach()) == pytest.approx(400.0)
