"""Losses against loops over explicit triplets, in value and gradient."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dexa.losses import decoupled_softmax, hard_negative_triplet, multi_positive_triplet

HARD = {"margin": 0.3, "negatives": 3, "temperature": 0.1}
MULTI = {"margin": 0.2, "positives": 2, "negatives": 3}


def softmax_weights(arguments: list[torch.Tensor | None]) -> list[torch.Tensor | float]:
    """Softmax over those that are given; the others weigh nothing."""
    given_ = [a for a in arguments if a is not None]
    if not given_:
        return [0.0 for _ in arguments]
    total = sum((a.exp() for a in given_), torch.zeros((), dtype=given_[0].dtype))
    return [0.0 if a is None else a.exp() / total for a in arguments]


def hardest_negatives(row: torch.Tensor, known: torch.Tensor, count: int) -> list[torch.Tensor]:
    """The most similar labels that are not known, at most `count`."""
    open_ = [j for j in range(len(row)) if not known[j]]
    return [row[j] for j in sorted(open_, key=lambda j: -row[j].item())[:count]]


def naive_hard(
    similarity: torch.Tensor,
    positives: torch.Tensor,
    known: torch.Tensor,
    *,
    margin: float,
    negatives: int,
    temperature: float,
) -> torch.Tensor:
    asked = min(negatives, similarity.shape[1])
    total = torch.zeros((), dtype=similarity.dtype)
    for i, row in enumerate(similarity):
        positive = row[positives[i]]
        chosen = hardest_negatives(row, known[i], asked)
        violations = [(s - positive + margin).clamp(min=0) for s in chosen]
        weights = softmax_weights(
            [s / temperature if v > 0 else None for s, v in zip(chosen, violations, strict=True)]
        )
        for violation, weight in zip(violations, weights, strict=True):
            total = total + violation * weight
    return total / (len(similarity) * asked)


def naive_multi(
    similarity: torch.Tensor,
    truth: torch.Tensor,
    known: torch.Tensor,
    *,
    margin: float,
    positives: int,
    negatives: int,
) -> torch.Tensor:
    columns = similarity.shape[1]
    worst_asked, hardest_asked = min(positives, columns), min(negatives, columns)
    total = torch.zeros((), dtype=similarity.dtype)
    for i, row in enumerate(similarity):
        true = [j for j in range(columns) if truth[i, j]]
        for p in sorted(true, key=lambda j: row[j].item())[:worst_asked]:
            chosen = hardest_negatives(row, known[i], hardest_asked)
            violations = [(s - row[p] + margin).clamp(min=0) for s in chosen]
            weights = softmax_weights([v if v > 0 else None for v in violations])
            for violation, weight in zip(violations, weights, strict=True):
                total = total + violation * weight
    return total / (len(similarity) * worst_asked * hardest_asked)


def naive_softmax(
    similarity: torch.Tensor, positives: torch.Tensor, known: torch.Tensor, *, temperature: float
) -> torch.Tensor:
    total = torch.zeros((), dtype=similarity.dtype)
    documents, columns = similarity.shape
    for i in range(documents):
        p = int(positives[i])
        positive = (similarity[i, p] / temperature).exp()
        others = [(similarity[i, j] / temperature).exp() for j in range(columns) if not known[i, j]]
        strangers = [
            (similarity[k, p] / temperature).exp() for k in range(documents) if not known[k, p]
        ]
        for negatives in (others, strangers):
            total = total - (positive / (positive + sum(negatives))).log() / 2
    return total / documents


def batch(
    seed: int, documents: int, labels: int, *, share_known: float = 0.3, dtype=torch.float64
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random cosines, a positive a document, all positives, and all known pairs."""
    draw = torch.Generator().manual_seed(seed)
    similarity = torch.rand(documents, labels, generator=draw, dtype=torch.float64) * 2 - 1
    positives = torch.randint(labels, (documents,), generator=draw)
    truth = torch.rand(documents, labels, generator=draw) < share_known / 2
    truth[torch.arange(documents), positives] = True
    known = truth | (torch.rand(documents, labels, generator=draw) < share_known / 2)
    return similarity.to(dtype).requires_grad_(), positives, truth, known


sizes = given(
    seed=st.integers(0, 2**16),
    documents=st.integers(1, 5),
    labels=st.integers(1, 8),
    share_known=st.sampled_from([0.0, 0.3, 1.0]),
    negatives=st.integers(1, 10),
    positives=st.integers(1, 4),
)


@settings(max_examples=80)
@sizes
def test_hard_negatives_against_loops(seed, documents, labels, share_known, negatives, positives):
    similarity, positive, _, known = batch(seed, documents, labels, share_known=share_known)
    options = HARD | {"negatives": negatives}
    loss = hard_negative_triplet(similarity, positive, known, **options)
    naive = naive_hard(similarity, positive, known, **options)
    torch.testing.assert_close(loss, naive, rtol=1e-12, atol=1e-14)
    assert_same_gradient(loss, naive, similarity)


@settings(max_examples=80)
@sizes
def test_many_positives_against_loops(seed, documents, labels, share_known, negatives, positives):
    similarity, _, truth, known = batch(seed, documents, labels, share_known=share_known)
    options = MULTI | {"negatives": negatives, "positives": positives}
    loss = multi_positive_triplet(similarity, truth, known, **options)
    naive = naive_multi(similarity, truth, known, **options)
    torch.testing.assert_close(loss, naive, rtol=1e-12, atol=1e-14)
    assert_same_gradient(loss, naive, similarity)


@settings(max_examples=80)
@sizes
def test_the_softmax_against_loops(seed, documents, labels, share_known, negatives, positives):
    similarity, positive, _, known = batch(seed, documents, labels, share_known=share_known)
    loss = decoupled_softmax(similarity, positive, known, temperature=0.1 * negatives)
    naive = naive_softmax(similarity, positive, known, temperature=0.1 * negatives)
    torch.testing.assert_close(loss, naive, rtol=1e-12, atol=1e-13)
    assert_same_gradient(loss, naive, similarity)


@pytest.mark.parametrize("temperature", [0.5, 0.03, 0.02, 0.005])
def test_a_softmax_of_cosines_holds_at_every_temperature(temperature: float) -> None:
    """One document's positive is as far away as can be, and its negative as near."""
    cosines = torch.tensor([[-1.0, 1.0, 0.2], [0.3, 0.9, -1.0]], requires_grad=True)
    positive = torch.tensor([0, 1])
    known = torch.tensor([[True, False, True], [False, True, False]])
    loss = decoupled_softmax(cosines, positive, known, temperature=temperature)
    exact = cosines.detach().double().requires_grad_()
    naive = naive_softmax(exact, positive, known, temperature=temperature)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), naive, rtol=1e-5, atol=1e-6)
    (actual,) = torch.autograd.grad(loss, cosines)
    (expected,) = torch.autograd.grad(naive, exact)
    torch.testing.assert_close(actual.double(), expected, rtol=1e-4, atol=1e-5)


def assert_same_gradient(loss: torch.Tensor, naive: torch.Tensor, leaf: torch.Tensor) -> None:
    (actual,) = torch.autograd.grad(loss, leaf)
    if naive.requires_grad:
        (expected,) = torch.autograd.grad(naive, leaf)
    else:
        expected = torch.zeros_like(leaf)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


def test_gradients_by_finite_differences() -> None:
    similarity, positive, truth, known = batch(3, 4, 7)
    assert torch.autograd.gradcheck(
        lambda s: hard_negative_triplet(s, positive, known, **HARD), similarity
    )
    assert torch.autograd.gradcheck(
        lambda s: multi_positive_triplet(s, truth, known, **MULTI), similarity
    )
    assert torch.autograd.gradcheck(
        lambda s: decoupled_softmax(s, positive, known, temperature=0.2), similarity
    )


def test_a_triplet_by_hand() -> None:
    similarity = torch.tensor([[0.5, 0.4, 0.1, -0.9]])
    positive, known = torch.tensor([0]), torch.tensor([[True, False, False, False]])
    loss = hard_negative_triplet(
        similarity, positive, known, margin=0.3, negatives=2, temperature=1.0
    )
    # only 0.4 violates the margin: 0.4 - 0.5 + 0.3, weighted 1, over two negatives
    assert loss.item() == pytest.approx(0.2 / 2)
    loss = hard_negative_triplet(
        similarity, positive, known, margin=0.5, negatives=2, temperature=1.0
    )
    weight = math.exp(0.4) / (math.exp(0.4) + math.exp(0.1))
    assert loss.item() == pytest.approx((0.4 * weight + 0.1 * (1 - weight)) / 2)


def test_many_positives_by_hand() -> None:
    similarity = torch.tensor([[0.5, 0.2, 0.3, -0.9]])
    truth = torch.tensor([[True, True, False, False]])
    loss = multi_positive_triplet(similarity, truth, truth, margin=0.2, positives=3, negatives=2)
    # violations: 0.3 for (0.2, 0.3), 0 for (0.5, 0.3) and for both with -0.9; one positive misses
    assert loss.item() == pytest.approx(0.3 / 6)


def test_the_gradient_flows_through_the_weights() -> None:
    similarity = torch.tensor([[0.0, 0.1, 0.0]], dtype=torch.float64, requires_grad=True)
    known = torch.tensor([[True, False, False]])
    options = {"margin": 0.3, "negatives": 2, "temperature": 0.5}
    loss = hard_negative_triplet(similarity, torch.tensor([0]), known, **options)
    (gradient,) = torch.autograd.grad(loss, similarity)
    weights = torch.softmax(torch.tensor([0.1, 0.0], dtype=torch.float64) / 0.5, dim=0)
    violations = torch.tensor([0.4, 0.3], dtype=torch.float64)
    through_violations = weights / 2
    through_weights = weights * (violations - (weights * violations).sum()) / 0.5 / 2
    torch.testing.assert_close(gradient[0, 1:], through_violations + through_weights)
    assert not torch.allclose(gradient[0, 1:], through_violations)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_precision_is_near_the_loop(dtype: torch.dtype) -> None:
    similarity, positive, truth, known = batch(5, 6, 9, dtype=dtype)
    precise = similarity.detach().double()
    tolerance = 8 * torch.finfo(dtype).eps
    for loss, naive in (
        (
            hard_negative_triplet(similarity, positive, known, **HARD),
            naive_hard(precise, positive, known, **HARD),
        ),
        (
            multi_positive_triplet(similarity, truth, known, **MULTI),
            naive_multi(precise, truth, known, **MULTI),
        ),
        (
            decoupled_softmax(similarity, positive, known, temperature=0.5),
            naive_softmax(precise, positive, known, temperature=0.5),
        ),
    ):
        assert loss.dtype == dtype
        torch.testing.assert_close(loss.double(), naive, rtol=tolerance, atol=tolerance)
        loss.backward()
        assert similarity.grad is not None
        assert similarity.grad.isfinite().all()


def test_fewer_columns_than_negatives() -> None:
    similarity, positive, truth, known = batch(8, 3, 2, share_known=0.0)
    loss = hard_negative_triplet(similarity, positive, known, **HARD | {"negatives": 10})
    assert loss.item() == pytest.approx(
        naive_hard(similarity, positive, known, **HARD | {"negatives": 10}).item()
    )
    multi = multi_positive_triplet(similarity, truth, known, margin=0.2, positives=9, negatives=9)
    assert multi.isfinite()


def test_nothing_to_learn_where_every_pair_is_known() -> None:
    similarity, positive, truth, _ = batch(9, 3, 4)
    everything = torch.ones(3, 4, dtype=torch.bool)
    loss = hard_negative_triplet(similarity, positive, everything, **HARD)
    loss = loss + multi_positive_triplet(similarity, truth, everything, **MULTI)
    (gradient,) = torch.autograd.grad(loss, similarity)
    assert loss.item() == 0
    assert not gradient.any()


def test_nothing_to_learn_where_the_margin_is_kept() -> None:
    similarity = torch.tensor([[0.9, 0.1, -0.2]], requires_grad=True)
    truth = torch.tensor([[True, False, False]])
    loss = hard_negative_triplet(similarity, torch.tensor([0]), truth, **HARD)
    loss = loss + multi_positive_triplet(similarity, truth, truth, **MULTI)
    (gradient,) = torch.autograd.grad(loss, similarity)
    assert loss.item() == 0
    assert not gradient.any()


def test_as_many_labels_as_documents_is_no_special_case() -> None:
    """The research code read a square batch as one whose positives lie on the diagonal."""
    similarity, _, truth, known = batch(10, 4, 4)
    loss = multi_positive_triplet(similarity, truth, known, **MULTI)
    wider = torch.cat([similarity, torch.full((4, 1), -1.0, dtype=torch.float64)], dim=1)
    no_pair = torch.zeros(4, 1, dtype=torch.bool)
    same = multi_positive_triplet(
        wider, torch.cat([truth, no_pair], dim=1), torch.cat([known, ~no_pair], dim=1), **MULTI
    )
    torch.testing.assert_close(loss, same)


def test_a_filtered_pair_is_neither_positive_nor_negative() -> None:
    similarity = torch.tensor([[0.2, 0.9]])
    filtered = torch.tensor([[True, True]])
    positive = torch.tensor([0])
    assert hard_negative_triplet(similarity, positive, filtered, **HARD).item() == 0
    truth = torch.tensor([[True, False]])
    assert multi_positive_triplet(similarity, truth, filtered, **MULTI).item() == 0
