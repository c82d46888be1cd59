"""Products with chosen rows and their gradients against autograd over gathered rows."""

from __future__ import annotations

import pytest
import torch

from dexa.kernels import chosen, chosen_products, chosen_sums, sums_by_row

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def example(device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, a table, chosen rows of which some are missing and some repeat, weights."""
    torch.manual_seed(1)
    rows = torch.randint(-1, 7, (5, 6))
    rows[0, :2] = 3
    queries, table, weights = torch.randn(5, 4), torch.randn(7, 4), torch.randn(5, 6)
    weights[2] = 0
    return tuple(t.to(device) for t in (queries, table, rows, weights))  # type: ignore[return-value]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("at_once", [1, 1 << 20])
def test_products(device: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(chosen._CELLS_AT_ONCE, device, at_once)
    queries, table, rows, _ = example(device)
    found = chosen_products(queries, table, rows)
    for i in range(5):
        for j in range(6):
            row = int(rows[i, j])
            expected = 0.0 if row < 0 else float(queries[i] @ table[row])
            assert float(found[i, j]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_gradients_are_those_of_autograd(device: str) -> None:
    queries, table, rows, weights = example(device)
    queries.requires_grad_()
    table.requires_grad_()
    products = (table[rows.clamp(min=0)] * queries[:, None]).sum(dim=2).masked_fill(rows < 0, 0.0)
    (products * weights).sum().backward()
    with torch.no_grad():
        of_queries = chosen_sums(table, rows, weights)
        active, of_table = sums_by_row(queries, rows, weights)
    assert queries.grad is not None
    assert table.grad is not None
    torch.testing.assert_close(of_queries, queries.grad)
    dense = torch.zeros_like(table).index_copy_(0, active, of_table)
    torch.testing.assert_close(dense, table.grad)
    assert active.tolist() == sorted({int(r) for r in rows[weights != 0] if r >= 0})


def test_no_weight_touches_no_row() -> None:
    queries, _, rows, weights = example("cpu")
    active, sums = sums_by_row(queries, rows, torch.zeros_like(weights))
    assert len(active) == 0
    assert sums.shape == (0, 4)


def test_no_queries() -> None:
    none = torch.zeros(0, 3, dtype=torch.int64)
    assert chosen_products(torch.zeros(0, 4), torch.zeros(2, 4), none).shape == (0, 3)
