"""An encoder while it is trained: its optimisers, and what must be kept of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.batches import epoch_random
from dexa.encoders import TextEncoder
from dexa.optimisers import Rate, RowAdam
from dexa.tokens import TokenArray, TokenGroups
from dexa.training.devices import precision
from dexa.types import TokenBatch

Pieces = tuple[TokenBatch | TokenGroups, ...]
"""The texts of a batch, ready for the encoder, in one piece or several."""

_Piece = TypeVar("_Piece")


class TunedEncoder:
    """AdamW over the dense weights of an encoder, row-wise Adam over its tables.

    Args:
        encoder: changed in place; None where only what stands beside it is trained.
        device: where it is.
        highest: learning rate, of which a schedule takes its share.
        weight_decay: of dense weights of more than one axis; biases and norms are not decayed.
        beside: further modules to be trained like the encoder's dense weights.
    """

    def __init__(
        self,
        encoder: TextEncoder | None,
        device: torch.device,
        *,
        highest: float,
        weight_decay: float = 0.0,
        beside: Sequence[torch.nn.Module] = (),
    ) -> None:
        self.encoder, self.beside, self._device = encoder, tuple(beside), device
        self.highest, self.rate = highest, Rate(device)
        self._tables = [
            (table, RowAdam(table)) for table in (encoder.sparse_parameters() if encoder else [])
        ]
        sparse = {id(table) for table, _ in self._tables}
        modules = [module for module in (encoder, *beside) if module is not None]
        everything = [p for module in modules for p in module.parameters()]
        self._weights = [p for p in everything if id(p) not in sparse]
        self._dense = _adamw(self._weights, weight_decay, device)

    def schedule(self, share: float) -> None:
        """Set the rate of the next update, as a share of the highest."""
        self.rate.set(self.highest * share)

    def encode(self, texts: TokenArray, rows: NDArray[np.int64]) -> torch.Tensor:
        """Vectors of some texts, from which a gradient flows into the encoder, ``[B, D]``."""
        assert self.encoder is not None
        self.encoder.train()
        (batch,) = self.encoder.batches(texts, [rows], budget=False)
        return self._encode(batch)

    def encode_pieces(
        self, texts: Pieces, *, draws: bool
    ) -> tuple[torch.Tensor, Callable[[], None]]:
        """Vectors of texts, and what takes their gradient into the encoder.

        Args:
            texts: from `pieces_of`.
            draws: as for `encode_in_pieces`.
        """
        if len(texts) == 1:
            return self._encode(texts[0]), lambda: None  # it flows by itself
        return encode_in_pieces(self._encode, texts, draws=draws)

    def _encode(self, batch: TokenBatch | TokenGroups) -> torch.Tensor:
        assert self.encoder is not None
        with precision(self._device):
            return self.encoder(batch).float()

    def update(self) -> None:
        """Move all weights by their gradients, and leave none behind."""
        for group in self.groups:
            group["lr"] = self.rate.value
        self._dense.step()
        self._dense.zero_grad(set_to_none=True)
        for table, adam in self._tables:
            assert table.grad is not None
            adam.update(*_each_once(table.grad), self.rate.value)
            table.grad = None

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights and moments."""
        kept: dict[str, torch.Tensor] = {}
        if self.encoder is not None:
            kept |= {f"encoder.{k}": v for k, v in self.encoder.state_dict().items()}
        for index, module in enumerate(self.beside):
            kept |= {f"beside.{index}.{k}": v for k, v in module.state_dict().items()}
        for index, (_, adam) in enumerate(self._tables):
            kept |= {f"table.{index}.{k}": v for k, v in adam.state().items()}
        for index, parameter in enumerate(self._parameters()):
            kept |= {f"dense.{index}.{k}": v for k, v in self._dense.state[parameter].items()}
        return kept

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take up what `tensors` gave."""
        if self.encoder is not None:
            self.encoder.load_state_dict(below(tensors, "encoder."))
        for index, module in enumerate(self.beside):
            module.load_state_dict(below(tensors, f"beside.{index}."))
        for index, (_, adam) in enumerate(self._tables):
            adam.load_state(below(tensors, f"table.{index}."))
        for index, parameter in enumerate(self._parameters()):
            state = below(tensors, f"dense.{index}.")
            if state:
                # The count of steps stays where AdamW put it: on the host unless it is fused.
                self._dense.state[parameter] = {k: v.to(self._device) for k, v in state.items()}

    @property
    def groups(self) -> list[dict[str, Any]]:
        """AdamW's groups of dense weights, with their decay."""
        return self._dense.param_groups

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [p for group in self.groups for p in group["params"]]


def pieces_of(
    encoder: TextEncoder,
    texts: TokenArray,
    batches: Sequence[NDArray[np.int64]],
    *,
    size: int,
    budget: bool,
) -> list[Pieces]:
    """The texts of each of some batches, as the encoder in training takes them.

    Args:
        encoder: that will see them.
        texts: all there are.
        batches: the texts of each; -1 stands for none.
        size: texts of a piece, at most; 0 for all in one.
        budget: whether batches of like size are to have one shape.
    """
    encoder.train()
    cut = [np.split(rows, range(size, len(rows), size) if size else []) for rows in batches]
    made = iter(encoder.batches(texts, [piece for own in cut for piece in own], budget=budget))
    return [tuple(next(made) for _ in own) for own in cut]


def encode_in_pieces(
    encode: Callable[[_Piece], torch.Tensor], pieces: Sequence[_Piece], *, draws: bool
) -> tuple[torch.Tensor, Callable[[], None]]:
    """Vectors of texts piece by piece, and what takes their gradient into the encoder.

    Each piece is encoded twice, so that the memory of one is enough (GradCache, Gao et al., 2021).

    Args:
        encode: vectors of a piece.
        pieces: of the texts, in order.
        draws: whether encoding draws from the global generator, as dropout does; a piece then
            sees the same draws both times.
    """
    first = torch.initial_seed()

    def vectors_of(number: int) -> torch.Tensor:
        if draws:
            torch.manual_seed(first + number)
        return encode(pieces[number])

    with torch.no_grad():
        leaf = torch.cat([vectors_of(number) for number in range(len(pieces))])
    leaf.requires_grad_()

    def give_gradient() -> None:
        assert leaf.grad is not None
        start = 0
        for number in range(len(pieces)):
            vectors = vectors_of(number)
            vectors.backward(leaf.grad[start : start + len(vectors)])
            start += len(vectors)

    return leaf, give_gradient


def seed_dropout(seed: int, epoch: int, step: int) -> None:
    """Seed the global generators, from which dropout draws, by the place in the run alone."""
    torch.manual_seed(int(epoch_random(seed, epoch, f"dropout {step}").integers(2**62)))


def _each_once(gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of a sparse gradient, ascending, and what they have: `bag_sums` gives them so.

    Autograd forgets that they are, and gradients of several pieces of a batch have to be added.
    """
    rows, values = gradient._indices()[0], gradient._values()
    if bool((rows.diff() > 0).all()):
        return rows, values
    gradient = gradient.coalesce()
    return gradient.indices()[0], gradient.values()


def _adamw(
    dense: list[torch.nn.Parameter], weight_decay: float, device: torch.device
) -> torch.optim.AdamW:
    groups = [
        {"params": [p for p in dense if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in dense if p.ndim <= 1], "weight_decay": 0.0},
    ]
    on_gpu = device.type == "cuda"
    return torch.optim.AdamW(groups, lr=0.0, eps=1e-6, fused=on_gpu, capturable=on_gpu)


def below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
