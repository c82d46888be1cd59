"""The kernels' formulas, on a CPU and as Triton has them, against float64 and loops."""

# Over 300 lines: tests mirror packages, a file each.
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from dexa.kernels import (
    FOLD,
    TINY,
    AdamRates,
    adam_rows,
    add_norm,
    add_norm_gradient,
    attention,
    attention_gradient,
    gather_rows,
    gelu,
    gelu_gradient,
    highest,
    left_half,
    mean_of_texts,
    mean_of_texts_gradient,
    next_halves,
    on_triton,
    power_step,
    put_rows,
)
from dexa.tokens import TokenArray, TokenGroups, grouped, offsets_of

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
# device, type, relative error: the whole chain of a kernel, not one rounding
KINDS = [
    pytest.param("cpu", torch.float64, 1e-12, id="float64"),
    pytest.param("cpu", torch.float32, 1e-5, id="float32"),
    pytest.param("cpu", torch.bfloat16, 1e-2, id="bfloat16"),
    pytest.param("cuda", torch.float32, 1e-5, id="gpu-float32", marks=pytest.mark.gpu),
    pytest.param("cuda", torch.bfloat16, 1e-2, id="gpu-bfloat16", marks=pytest.mark.gpu),
]
SIZES = [(1, 384), (7, 40), (7, 768), (4_500, 384)]  # rows: also more than there are programs


@pytest.fixture(autouse=True)
def full_products() -> Iterator[None]:
    """The tests of another module may have left TF32 on."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


class Draw:
    """Random tensors in the types of a case; `wide` is what they are in float64."""

    def __init__(self, device: str, dtype: torch.dtype, seed: int = 0) -> None:
        self.device, self.dtype = torch.device(device), dtype
        self.weights = torch.float64 if dtype == torch.float64 else torch.float32
        self._random = torch.Generator().manual_seed(seed)

    def tokens(self, *shape: int) -> torch.Tensor:
        """As hidden vectors are."""
        return self._normal(shape, self.dtype)

    def weight(self, *shape: int) -> torch.Tensor:
        """As weights are, which stay in float32."""
        return self._normal(shape, self.weights)

    def _normal(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        return torch.randn(shape, generator=self._random).to(self.device, dtype)


def wide(tensor: torch.Tensor) -> torch.Tensor:
    """A leaf in float64 with the same values."""
    return tensor.detach().cpu().double().requires_grad_()


def near(ours: torch.Tensor, expected: torch.Tensor, error: float) -> None:
    """``‖ours − expected‖ / ‖expected‖`` is small, and every number is one."""
    assert ours.shape == expected.shape
    assert ours.isfinite().all()
    distance = (ours.detach().cpu().double() - expected.detach()).norm()
    assert float(distance) <= error * float(expected.detach().norm())


def made_groups(lengths: list[int], device: str, *, in_rows: bool, budget: bool) -> TokenGroups:
    sizes = np.array(lengths, np.int64)
    ids = torch.arange(int(sizes.sum()), dtype=torch.int32, device=device)
    tokens = TokenArray(ids, offsets_of(sizes))
    rows = [np.arange(len(sizes))]
    return grouped(tokens, rows, in_rows=in_rows, budget=budget)[0]


def some_lengths(longest: int, count: int = 30) -> list[int]:
    """Of many short texts and a few long ones, also none at all and as long as can be."""
    draw = np.random.default_rng(longest)
    short = draw.integers(1, 15, count)
    return [*short, *draw.integers(1, longest + 1, 3), 1, 1, 0, longest, longest - 1, 2]


def test_nothing_on_a_cpu_is_for_triton() -> None:
    assert not on_triton(torch.zeros(1))


@pytest.mark.gpu
def test_triton_is_there_on_a_gpu() -> None:
    """Otherwise every comparison below would be of PyTorch with itself."""
    assert on_triton(torch.zeros(1, device="cuda"))


# attention


def text_by_text(qkv: torch.Tensor, groups: TokenGroups) -> tuple[torch.Tensor, torch.Tensor]:
    """SDPA of all tokens in float64 under the mask of their texts, and which are of a text."""
    texts = groups.texts.cpu()
    mask = texts[:, None] == texts[None, :]
    query, key, value = qkv.permute(1, 2, 0, 3)
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return mixed.transpose(0, 1).flatten(1), texts >= 0


@pytest.mark.parametrize(("device", "dtype", "error"), KINDS)
@pytest.mark.parametrize("head", [16, 32, 64])
@pytest.mark.parametrize("longest", [64, 128])
@pytest.mark.parametrize("layout", ["tight", "budget", "rows"])
def test_attention_and_its_gradient(
    device: str, dtype: torch.dtype, error: float, head: int, longest: int, layout: str
) -> None:
    in_rows, budget = layout == "rows", layout == "budget"
    groups = made_groups(some_lengths(longest), device, in_rows=in_rows, budget=budget)
    assert groups.width == longest
    draw, heads = Draw(device, dtype), 2
    qkv = draw.tokens(len(groups.ids), 3, heads, head)
    leaf = wide(qkv)
    expected, real = text_by_text(leaf, groups)
    ours = attention(qkv, groups.texts, groups.edges, groups.width)
    assert ours.dtype == dtype
    near(ours.cpu()[real], expected[real], error)
    gradient = draw.tokens(len(groups.ids), heads * head) * real[:, None].to(device)
    (of_leaf,) = torch.autograd.grad(expected, leaf, wide(gradient))
    of_qkv = attention_gradient(qkv, gradient, groups.texts, groups.edges, groups.width)
    assert of_qkv.dtype == dtype
    for part in range(3):  # of queries, keys and values
        near(of_qkv[:, part].cpu()[real], of_leaf[real, part], error)
    assert not of_qkv.cpu()[~real].any()  # so that no weight learns from padding
    assert ours.isfinite().all()


@pytest.mark.parametrize("device", DEVICES)
def test_large_scores_are_no_infinities(device: str) -> None:
    groups = made_groups([3, 1, 64, 7], device, in_rows=False, budget=True)
    qkv = 30 * Draw(device, torch.float32).tokens(len(groups.ids), 3, 2, 32)
    expected, real = text_by_text(wide(qkv), groups)
    ours = attention(qkv, groups.texts, groups.edges, groups.width)
    torch.testing.assert_close(ours.cpu()[real].double(), expected.detach()[real], rtol=0, atol=0.1)
    of_qkv = attention_gradient(
        qkv, torch.ones_like(ours), groups.texts, groups.edges, groups.width
    )
    assert of_qkv.isfinite().all()


@settings(max_examples=40)
@given(lengths=st.lists(st.integers(0, 64), max_size=12), budget=st.booleans())
def test_attention_of_any_lengths(lengths: list[int], budget: bool) -> None:
    groups = made_groups(lengths, "cpu", in_rows=False, budget=budget)
    qkv = Draw("cpu", torch.float64).tokens(len(groups.ids), 3, 2, 4)
    expected, real = text_by_text(qkv, groups)
    ours = attention(qkv, groups.texts, groups.edges, groups.width)
    torch.testing.assert_close(ours[real], expected[real], rtol=0, atol=1e-12)


# layers


@pytest.mark.parametrize(("device", "dtype", "error"), KINDS)
@pytest.mark.parametrize(("rows", "width"), SIZES)
@pytest.mark.parametrize("epsilon", [1e-12, 1e-2])
def test_the_norm_of_a_sum_and_its_gradient(
    device: str, dtype: torch.dtype, error: float, rows: int, width: int, epsilon: float
) -> None:
    draw = Draw(device, dtype)
    branch, residual = draw.tokens(rows, width), draw.tokens(rows, width)
    bias, weight, shift = (draw.weight(width) for _ in range(3))
    norm, total = add_norm(branch, bias, residual, weight, shift, epsilon)
    assert norm.dtype == total.dtype == dtype
    expected = wide(residual) + wide(branch) + wide(bias)
    near(total, expected, error)
    near(norm, F.layer_norm(expected, (width,), wide(weight), wide(shift), epsilon), error)

    gradient = draw.tokens(rows, width)
    inputs = wide(total), wide(weight), wide(shift)
    again = F.layer_norm(inputs[0], (width,), *inputs[1:], epsilon)
    of_inputs = torch.autograd.grad(again, inputs, wide(gradient))
    of_total, sums = add_norm_gradient(gradient, total, weight, epsilon)
    assert of_total.dtype == dtype
    assert sums.dtype == weight.dtype
    near(of_total, of_inputs[0], error)
    for ours, theirs in zip(sums, (*of_inputs[1:], of_inputs[0].sum(dim=0)), strict=True):
        near(ours, theirs, error)


@pytest.mark.parametrize(("device", "dtype", "error"), KINDS)
@pytest.mark.parametrize(("rows", "width"), [(1, 1536), (3, 40), (40, 3072), (2_500, 300)])
def test_gelu_and_its_gradient(
    device: str, dtype: torch.dtype, error: float, rows: int, width: int
) -> None:
    draw = Draw(device, dtype)
    before, bias, gradient = draw.tokens(rows, width), draw.weight(width), draw.tokens(rows, width)
    leaves = wide(before), wide(bias)
    expected = F.gelu(leaves[0] + leaves[1])
    ours = gelu(before, bias)
    assert ours.dtype == dtype
    near(ours, expected, error)
    of_leaves = torch.autograd.grad(expected, leaves, wide(gradient))
    of_before, of_bias = gelu_gradient(gradient, before, bias)
    assert of_before.dtype == dtype
    assert of_bias.dtype == bias.dtype
    near(of_before, of_leaves[0], error)
    near(of_bias, of_leaves[1], error)


@pytest.mark.parametrize(("device", "dtype", "error"), KINDS)
@pytest.mark.parametrize("width", [40, 384, 768])
@pytest.mark.parametrize("in_rows", [False, True])
def test_means_of_texts_and_their_gradient(
    device: str, dtype: torch.dtype, error: float, width: int, in_rows: bool
) -> None:
    groups = made_groups(some_lengths(128), device, in_rows=in_rows, budget=not in_rows)
    draw = Draw(device, dtype)
    hidden, gradient = draw.tokens(len(groups.ids), width), draw.weight(len(groups.counts), width)
    leaf = wide(hidden)
    spans = list(zip(groups.starts.tolist(), groups.counts.tolist(), strict=True))
    expected = torch.stack(
        [leaf[a : a + n].mean(dim=0) if n else torch.zeros(width).double() for a, n in spans]
    )
    ours = mean_of_texts(hidden, groups.texts, groups.starts, groups.counts)
    assert ours.dtype == torch.float32
    near(ours, expected, max(error, 1e-6))
    assert not ours[groups.counts == 0].any()
    (of_leaf,) = torch.autograd.grad(expected, leaf, wide(gradient))
    of_hidden = mean_of_texts_gradient(gradient, groups.texts, groups.counts, dtype)
    assert of_hidden.dtype == dtype
    near(of_hidden, of_leaf, error)
    assert not of_hidden[groups.texts < 0].any()


# the highest of many scores


@settings(max_examples=100)
@given(
    rows=st.integers(0, 4),
    width=st.integers(1, 12).map(lambda n: n * FOLD) | st.integers(1, 400),
    k=st.integers(1, 12),
    ties=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_highest_against_topk(rows: int, width: int, k: int, ties: bool, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, width, generator=random)
    if ties:
        scores = scores.round()
    places, values = highest(scores, k)
    expected = scores.topk(min(k, width)).values
    assert torch.equal(values.sort(descending=True).values, expected)
    assert torch.equal(scores.gather(1, places), values)
    assert all(len(set(row)) == len(row) for row in places.tolist())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("columns", [2 * FOLD * 9 - FOLD, 2 * FOLD * 9, 4096])
def test_highest_of_folded_scores(device: str, columns: int) -> None:
    scores = torch.randn(7, columns, generator=torch.Generator().manual_seed(0)).to(device)
    places, values = highest(scores, 9)
    expected = scores.topk(9)
    assert torch.equal(values.sort(descending=True).values, expected.values)
    assert torch.equal(places.sort().values, expected.indices.sort().values)


# rows of tables

RATES = AdamRates(learning_rate=0.05, beta1=0.9, beta2=0.99, epsilon=1e-3)
State = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def fresh(rows: int, width: int, device: str, moments: torch.dtype = torch.float32) -> State:
    table = Draw(device, torch.float32).weight(rows, width)
    zeros = torch.zeros(rows, width, dtype=moments, device=device)
    return table, zeros, zeros.clone(), torch.zeros(rows, dtype=torch.int32, device=device)


def naive_adam(state: list[np.ndarray], rows: list[int], gradient: np.ndarray) -> None:
    table, first, second, updates = state
    for row, g in zip(rows, gradient, strict=True):
        if row < 0:
            continue
        updates[row] += 1
        first[row] = RATES.beta1 * first[row] + (1 - RATES.beta1) * g
        second[row] = RATES.beta2 * second[row] + (1 - RATES.beta2) * g * g
        mean = first[row] / (1 - RATES.beta1 ** updates[row])
        square = second[row] / (1 - RATES.beta2 ** updates[row])
        table[row] -= RATES.learning_rate * mean / (np.sqrt(square) + RATES.epsilon)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("width", [1, 40, 384])
@pytest.mark.parametrize("on_device", [False, True])
def test_adam_of_rows_against_a_loop(device: str, width: int, on_device: bool) -> None:
    state = fresh(9, width, device)
    naive = [part.cpu().double().numpy() for part in state]
    draw = np.random.default_rng(width)
    rates = RATES
    if on_device:
        rate = torch.tensor(RATES.learning_rate, device=device)
        rates = AdamRates(learning_rate=rate, beta1=0.9, beta2=0.99, epsilon=1e-3)
    for _ in range(20):
        rows = draw.permutation(9)[: draw.integers(10)]
        rows[draw.random(len(rows)) < 0.3] = -1
        gradient = draw.standard_normal((len(rows), width)).astype(np.float32)
        adam_rows(
            state,
            torch.from_numpy(rows).to(device),
            torch.from_numpy(gradient).to(device),
            rates,
        )
        naive_adam(naive, rows.tolist(), gradient.astype(np.float64))
        for ours, theirs in zip(state, naive, strict=True):
            # bias corrections are computed in float32: 1 - 0.99 keeps five digits there
            torch.testing.assert_close(
                ours.cpu().double(), torch.from_numpy(theirs), rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("device", DEVICES)
def test_moments_of_bfloat16_are_right_on_average(device: str) -> None:
    state = fresh(400, 64, device, torch.bfloat16)
    rows = torch.arange(400, device=device)
    adam_rows(state, rows, torch.full((400, 64), 0.3, device=device), RATES)
    for moment, exact in ((state[1], 0.1 * 0.3), (state[2], 0.01 * 0.09)):
        assert moment.dtype == torch.bfloat16
        assert len(moment.unique()) == 2  # rounded up or down, as it comes
        assert moment.double().mean().item() == pytest.approx(exact, rel=2e-4)
        for dim in (0, 1):  # no row and no column is rounded one way
            assert moment.double().mean(dim).cpu().sub(exact).abs().max() < 2e-3 * exact


@pytest.mark.parametrize("device", DEVICES)
def test_a_second_moment_of_bfloat16_decays(device: str) -> None:
    """Rounded to the nearest, it would stay where it is: a step takes less than half a digit."""
    rates = AdamRates(learning_rate=0.0, beta1=0.9, beta2=0.999, epsilon=1e-8)
    state = fresh(50, 64, device, torch.bfloat16)
    state[2].fill_(1.0)
    rows, nothing = torch.arange(50, device=device), torch.zeros(50, 64, device=device)
    for _ in range(700):
        adam_rows(state, rows, nothing, rates)
    assert state[2].double().mean().item() == pytest.approx(0.999**700, rel=0.01)


@pytest.mark.parametrize("device", DEVICES)
def test_random_rounding_is_no_chance(device: str) -> None:
    states = [fresh(20, 40, device, torch.bfloat16) for _ in range(2)]
    for state in states:
        draw = Draw(device, torch.float32, seed=5)
        for step in range(4):
            rows = torch.arange(step, 20, step + 1, device=device)
            adam_rows(state, rows, draw.weight(len(rows), 40), RATES)
    for one, two in zip(*states, strict=True):
        assert torch.equal(one, two)


@pytest.mark.gpu
def test_random_rounding_is_that_of_a_cpu() -> None:
    """A model trained half here and half there goes on as it would have."""
    states = [fresh(50, 40, device, torch.bfloat16) for device in ("cpu", "cuda")]
    gradient = Draw("cpu", torch.float32, seed=5).weight(50, 40)
    for state in states:
        device = state[0].device
        adam_rows(state, torch.arange(50, device=device), gradient.to(device), RATES)
    here, there = ([part.cpu() for part in state] for state in states)
    torch.testing.assert_close(here[0], there[0], rtol=1e-4, atol=1e-5)
    for one, two in zip(here[1:], there[1:], strict=True):
        assert (one == two).float().mean() > 0.99  # but for the last digit before rounding


TABLES = [(9,), (9, 1), (9, 40), (9, 1500)]


@pytest.mark.parametrize("shape", TABLES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int32])
@pytest.mark.parametrize("place", [*DEVICES, pytest.param("host", marks=pytest.mark.gpu)])
def test_rows_are_gathered_and_put_back(
    shape: tuple[int, ...], dtype: torch.dtype, place: str
) -> None:
    """Also those of a table in pinned host memory, which the GPU reads itself."""
    device = "cpu" if place == "cpu" else "cuda"
    table = (100 * torch.randn(shape, generator=torch.Generator().manual_seed(1))).to(dtype)
    original = table.clone()
    if place == "host":
        table = table.pin_memory()
    elif place == "cuda":
        table = table.cuda()
    rows = torch.tensor([8, 0, 3, 5])
    found = gather_rows(table, rows.to(device))
    assert found.device.type == device
    assert found.dtype == dtype
    assert torch.equal(found.cpu(), original[rows])
    assert gather_rows(table, rows[:0].to(device)).shape == (0, *shape[1:])

    put_rows(table, rows.to(device), found + 1)
    put_rows(table, rows[:0].to(device), found[:0])
    if device == "cuda":
        torch.cuda.synchronize()
    expected = original.clone()
    expected[rows] += 1
    assert torch.equal(table.cpu(), expected)


# halves

SLOTS = [1, 5, 100, 2048, 5000]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("slots", SLOTS)
def test_a_power_step_against_a_loop(device: str, slots: int) -> None:
    draw = Draw(device, torch.float32)
    parts = [draw.weight(6, 1, slots) for _ in range(4)]
    parts[0][2], parts[3][2] = 0, 0  # a node of zeros has no axis
    ours = power_step(*parts)
    assert ours.shape == (6, 1, slots)
    for node in range(6):
        product, axis, with_all, with_mean = (part[node, 0].cpu().double() for part in parts)
        left = product - (axis @ with_all) * with_mean
        near(ours[node, 0], left / left.norm().clamp_min(1e-12), 1e-4 if slots > 1 else 1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("slots", [3, 5, 100, 1024, 2047, 5000, 16_384, 20_000])
def test_the_next_halves_against_a_loop(device: str, slots: int) -> None:
    draw = Draw(device, torch.float32)
    side = (draw.weight(5, 1, slots) > 0).float()
    side[1], side[2] = 0, 1  # one half is empty
    with_left, with_right = draw.weight(5, 1, slots).abs(), draw.weight(5, 1, slots).abs()
    with_left[1], with_right[2] = 0, 0
    with_all = with_left + with_right
    bias = torch.zeros(5, 1, slots, device=device)
    bias[3, 0, 0], bias[3, 0, 1] = -torch.inf, torch.inf
    left = (slots + 1) // 2
    ours, lengths = next_halves(side, with_left, with_all, bias, left)
    assert ours.shape == (5, 1, slots)
    assert lengths.shape == (5, 2, 1)
    assert set(ours.unique().tolist()) <= {0, 1}
    assert ours.sum(dim=2).tolist() == [[left]] * 5
    assert ours[3, 0, :2].tolist() == [0, 1]
    for node in range(5):
        chosen, one, both = (x[node, 0].cpu().double() for x in (side, with_left, with_all))
        left_length = max(float(chosen @ one), TINY) ** 0.5
        right_length = max(float((1 - chosen) @ (both - one)), TINY) ** 0.5
        leaning = one / left_length - (both - one) / right_length + bias[node, 0].cpu().double()
        goes = ours[node, 0].cpu() > 0
        scale = float(leaning[leaning.isfinite()].abs().max())
        assert leaning[goes].min() >= leaning[~goes].max() - 1e-5 * scale
        near(lengths[node, :, 0], torch.tensor([left_length, right_length]).double(), 1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("slots", [7, 1500, 9000])
def test_slots_that_lean_alike_still_make_halves(device: str, slots: int) -> None:
    left = slots // 2
    side = torch.zeros(3, 1, slots, device=device)
    side[:, :, :left] = 1
    equal = torch.ones_like(side)
    equal[1] = torch.arange(slots, device=device) % 3
    bias = torch.zeros_like(side)
    bias[2, 0, -1] = torch.inf
    ours, _ = next_halves(side, equal, 2 * equal, bias, left)
    assert ours.sum(dim=2).tolist() == [[left]] * 3
    assert ours[2, 0, -1] == 1


def test_the_left_half_is_what_leans_most() -> None:
    leaning = torch.tensor([[[0.5, -1.0, torch.inf, 0.7, -torch.inf]]])
    assert left_half(leaning, 2).tolist() == [[[0, 0, 1, 1, 0]]]
