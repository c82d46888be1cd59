"""Arithmetic of short texts and sparse rows: formulas in PyTorch, and Triton kernels of the same.

Each function computes by PyTorch where tensors are on a CPU, or where Triton is missing, and by one
Triton kernel on a GPU: short texts and few rows are bound by memory and by launches, which PyTorch
would pay many times over. Tests compare both with each other.
"""

from dexa.kernels.attention import attention, attention_gradient
from dexa.kernels.chosen import chosen_products, chosen_sums, sums_by_row, sums_of_places
from dexa.kernels.device import on_triton, send
from dexa.kernels.halves import FEW, TINY, halves_of_few, left_half, next_halves, power_step
from dexa.kernels.highest import FOLD, highest
from dexa.kernels.layers import (
    add_norm,
    add_norm_gradient,
    gelu,
    gelu_gradient,
    mean_of_texts,
    mean_of_texts_gradient,
)
from dexa.kernels.rows import AdamRates, adam_rows, gather_rows, put_rows

__all__ = [
    "FEW",
    "FOLD",
    "TINY",
    "AdamRates",
    "adam_rows",
    "add_norm",
    "add_norm_gradient",
    "attention",
    "attention_gradient",
    "chosen_products",
    "chosen_sums",
    "gather_rows",
    "gelu",
    "gelu_gradient",
    "halves_of_few",
    "highest",
    "left_half",
    "mean_of_texts",
    "mean_of_texts_gradient",
    "next_halves",
    "on_triton",
    "power_step",
    "put_rows",
    "send",
    "sums_by_row",
    "sums_of_places",
]
