"""Row-wise Adam against PyTorch's dense Adam and across the bus, rates and their schedule."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dexa.optimisers import HostRowAdam, Rate, RowAdam, linear_schedule

# Bias corrections are computed in float32: 1 - 0.999 keeps five digits there.
NEAR = {"rtol": 1e-4, "atol": 1e-5}


def table(rows: int = 5, columns: int = 4, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64).to(dtype)


def gradient(step: int, rows: int = 5, columns: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(100 + step)
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64)


@settings(max_examples=25)
@given(
    beta1=st.floats(0.0, 0.99),
    beta2=st.floats(0.5, 0.999),
    epsilon=st.sampled_from([1e-8, 1e-6, 1e-3]),
    seed=st.integers(0, 100),
)
def test_equals_dense_adam_when_every_row_moves(
    beta1: float, beta2: float, epsilon: float, seed: int
) -> None:
    ours = table()
    theirs = torch.nn.Parameter(table())
    rows = RowAdam(ours, beta1=beta1, beta2=beta2, epsilon=epsilon)
    dense = torch.optim.Adam([theirs], betas=(beta1, beta2), eps=epsilon)
    for step in range(8):
        rate = 0.1 / (step + 1)
        dense.param_groups[0]["lr"] = rate
        theirs.grad = gradient(seed + step)
        dense.step()
        order = torch.randperm(5, generator=torch.Generator().manual_seed(step))
        rows.update(order, gradient(seed + step)[order], rate)
        torch.testing.assert_close(ours, theirs.detach(), **NEAR)


def test_each_row_is_an_adam_of_its_own() -> None:
    """A row that skips steps is where dense Adam is that never saw them."""
    ours = table(3)
    rows = RowAdam(ours)
    alone = [torch.nn.Parameter(table(3)[i]) for i in range(3)]
    adams = [torch.optim.Adam([row], lr=0.05) for row in alone]
    for step in range(12):
        touched = [i for i in range(3) if step % (i + 1) == 0]
        rows.update(torch.tensor(touched), gradient(step, 3)[touched], 0.05)
        for i in touched:
            alone[i].grad = gradient(step, 3)[i]
            adams[i].step()
    torch.testing.assert_close(ours, torch.stack(alone).detach(), **NEAR)


def test_a_row_first_seen_late_moves_by_the_learning_rate() -> None:
    ours = torch.zeros(2, 3, dtype=torch.float64)
    rows = RowAdam(ours)
    for step in range(1000):
        rows.update(torch.tensor([0]), gradient(step, 1, 3), 0.01)
    rows.update(torch.tensor([1]), torch.tensor([[5.0, -0.001, 300.0]]).double(), 0.01)
    expected = torch.tensor([-0.01, 0.01, -0.01]).double()
    torch.testing.assert_close(ours[1], expected, rtol=1e-4, atol=0)


def test_rows_without_a_gradient_stay_bitwise_the_same() -> None:
    ours = table(6, dtype=torch.float32)
    rows = RowAdam(ours)
    everything = torch.arange(6)
    rows.update(everything, gradient(0, 6), 0.1)
    before = {"table": ours.clone()} | {k: v.clone() for k, v in rows.state().items()}
    rows.update(torch.tensor([4, 1]), gradient(1, 2), 0.1)
    after = {"table": ours} | rows.state()
    still = torch.tensor([0, 2, 3, 5])
    for name, value in before.items():
        assert torch.equal(after[name][still], value[still]), name
        assert not torch.equal(after[name][[1, 4]], value[[1, 4]]), name


def test_the_table_given_is_the_one_that_moves() -> None:
    parameter = torch.nn.Parameter(table())
    rows = RowAdam(parameter)
    rows.update(torch.tensor([0]), gradient(0, 1), 0.1)
    assert not torch.equal(parameter.detach()[0], table()[0])
    assert parameter.grad is None


def test_no_rows_and_no_learning_rate_change_nothing() -> None:
    ours = table()
    rows = RowAdam(ours)
    rows.update(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4), 0.1)
    assert not rows.updates.any()
    rows.update(torch.arange(5), gradient(0), 0.0)
    assert torch.equal(ours, table())
    assert rows.updates.tolist() == [1] * 5


def test_a_gradient_of_zero_moves_nothing() -> None:
    ours = table()
    RowAdam(ours).update(torch.arange(5), torch.zeros(5, 4).double(), 0.1)
    assert torch.equal(ours, table())


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_gradient_of_any_precision(kind: torch.dtype) -> None:
    ours, reference = table(dtype=torch.float32), table(dtype=torch.float32)
    RowAdam(ours).update(torch.arange(5), gradient(0).to(kind), 0.1)
    RowAdam(reference).update(torch.arange(5), gradient(0).to(kind).float(), 0.1)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, reference)


def test_an_empty_table() -> None:
    empty = RowAdam(torch.zeros(0, 4))
    empty.update(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4), 0.1)
    assert {name: tuple(t.shape) for name, t in empty.state().items()} == {
        "first": (0, 4),
        "second": (0, 4),
        "updates": (0,),
    }


def test_a_state_that_is_kept_goes_on_to_the_same_bits() -> None:
    whole, first = table(dtype=torch.float32), table(dtype=torch.float32)
    one, two = RowAdam(whole), RowAdam(first)
    chosen = [torch.tensor([0, 2]), torch.tensor([1, 2, 4]), torch.tensor([2, 3])]
    for step, rows in enumerate(chosen):
        one.update(rows, gradient(step, len(rows)), 0.1)
    for step, rows in enumerate(chosen[:2]):
        two.update(rows, gradient(step, len(rows)), 0.1)
    second = first.clone()
    three = RowAdam(second)
    three.load_state({name: kept.clone() for name, kept in two.state().items()})
    three.update(chosen[2], gradient(2, 2), 0.1)
    assert torch.equal(second, whole)
    for name, kept in one.state().items():
        assert torch.equal(three.state()[name], kept)


def test_bfloat16_moments_follow_those_of_float32() -> None:
    exact, rounded = table(40, 64, torch.float32), table(40, 64, torch.float32)
    start = exact.clone()
    one, two = RowAdam(exact), RowAdam(rounded, moments=torch.bfloat16)
    assert {kept.dtype for kept in two.state().values()} == {torch.bfloat16, torch.int32}
    for step in range(30):
        rows = torch.arange(step % 3, 40, 3)
        for adam in (one, two):
            adam.update(rows, gradient(step, len(rows), 64).float(), 0.01)
    assert (exact - start).norm() > 50 * (exact - rounded).norm()
    assert one.updates.tolist() == two.updates.tolist()


# tables in host memory

HERE = [
    ("cpu", torch.float32),
    ("cpu", torch.bfloat16),
    pytest.param("cuda", torch.float32, marks=pytest.mark.gpu),
    pytest.param("cuda", torch.bfloat16, marks=pytest.mark.gpu),
]


def overlapping_batches(draw: np.random.Generator, rows: int, count: int) -> list[torch.Tensor]:
    """Ascending rows; most are in the next batch too, and some batches are empty."""
    sizes = draw.integers(0, rows + 1, count)
    return [torch.from_numpy(np.sort(draw.permutation(rows)[:size])) for size in sizes]


@pytest.mark.parametrize(("device", "moments"), HERE)
@pytest.mark.parametrize("seed", range(6))
def test_rows_from_host_memory_move_as_those_on_the_device(
    device: str, moments: torch.dtype, seed: int
) -> None:
    """Whatever is fetched before the update of the batch before is written back."""
    draw, place = np.random.default_rng(seed), torch.device(device)
    start = table(30, 40, torch.float32)
    host = start.clone().pin_memory() if device == "cuda" else start.clone()
    ours = HostRowAdam(host, place, moments=moments)
    theirs = RowAdam(start.to(place), moments=moments)
    batches = overlapping_batches(draw, 30, 40)
    for step, rows in enumerate(batches):
        rows = rows.to(place)
        following = None
        if step + 1 < len(batches) and draw.random() < 0.7:
            following = batches[step + 1].to(place)
        ours.prepare(rows, following)
        assert torch.equal(ours.rows(rows), theirs.rows(rows)), step
        theirs.prepare(rows, following)
        g = gradient(step, len(rows), 40).float().to(place)
        for adam in (ours, theirs):
            adam.update(rows, g, 0.05 / (step + 1))
    ours.settle()
    assert torch.equal(host, theirs.table.cpu())
    for name, kept in theirs.state().items():
        assert torch.equal(ours.state()[name].cpu(), kept.cpu()), name


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_kept_state_of_rows_in_host_memory(device: str) -> None:
    """Rows that were on their way when it was kept do not come back."""
    place = torch.device(device)

    def begun() -> HostRowAdam:
        host = table(6, 4, torch.float32)
        return HostRowAdam(host.pin_memory() if device == "cuda" else host, place)

    def step(adam: HostRowAdam, number: int) -> None:
        rows = torch.tensor([0, 2, 3], device=place)
        adam.prepare(rows, rows)
        adam.update(rows, gradient(number, 3).float().to(place), 0.1)

    whole, first, second = begun(), begun(), begun()
    for number in range(3):
        step(whole, number)
    for number in range(2):
        step(first, number)
    step(second, 7)  # of a life before, which is forgotten
    second.load_state({name: kept.clone() for name, kept in first.state().items()})
    second.table.copy_(first.table)
    step(second, 2)
    for adam in (whole, second):
        adam.settle()
    assert torch.equal(second.table, whole.table)
    for name, kept in whole.state().items():
        assert torch.equal(second.state()[name], kept), name


# the rate and its schedule


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_rate_is_read_where_steps_run(device: str) -> None:
    rate = Rate(torch.device(device))
    held = rate.value
    for number in (0.5, 0.25):
        rate.set(number)
        assert float(rate.value) == number
    if device == "cuda":
        assert rate.value is held  # a recorded step reads the place, not the number
    start = torch.zeros(2, 3, device=device)
    RowAdam(start).update(torch.tensor([1], device=device), torch.ones(1, 3, device=device),
                          rate.value)  # fmt: skip
    assert start.cpu()[1].tolist() == pytest.approx([-0.25] * 3, rel=1e-4)


def test_the_schedule_by_hand() -> None:
    shares = [linear_schedule(step, warmup=4, total=40) for step in range(41)]
    assert shares[:4] == [0.25, 0.5, 0.75, 1.0]
    assert shares[4] == 1.0
    assert shares[22] == 0.5
    assert shares[39] == pytest.approx(1 / 36)
    assert shares[40] == 0.0


def test_warm_up_is_at_most_a_tenth_of_a_short_run() -> None:
    assert [linear_schedule(step, warmup=100, total=20) for step in (0, 1, 2, 19)] == [
        0.5,
        1.0,
        1.0,
        pytest.approx(1 / 18),
    ]


@given(warmup=st.integers(0, 200), total=st.integers(1, 500))
def test_every_step_of_a_run_learns_and_the_rate_rises_then_falls(warmup: int, total: int) -> None:
    shares = [linear_schedule(step, warmup=warmup, total=total) for step in range(total + 5)]
    assert all(0 < share <= 1 for share in shares[:total])
    assert max(shares) == 1
    peak = shares.index(1.0)
    assert shares[: peak + 1] == sorted(shares[: peak + 1])
    assert shares[peak:] == sorted(shares[peak:], reverse=True)
    assert not any(shares[total:])
