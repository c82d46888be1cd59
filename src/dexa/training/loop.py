"""The training loop: epochs and steps of a stage, its state kept on the way and at its end."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from dexa.errors import DivergenceError
from dexa.training.checkpoints import Checkpoints
from dexa.types import Progress


class Stage(Protocol):
    """One stage of a recipe: what happens in an epoch and in a step."""

    name: str
    epochs: int

    def begin(self, epoch: int) -> None:
        """Draw the order of the epoch; its randomness depends on seed and epoch alone."""
        ...

    def steps(self) -> int:
        """Batches of an epoch."""
        ...

    def step(self, epoch: int, step: int) -> torch.Tensor:
        """Train on one batch; its loss stays on the device."""
        ...

    def figures(self, epoch: int) -> dict[str, float]:
        """Validation metrics after an epoch; empty where it is not validated."""
        ...

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything that changes in a step and is not a function of seed and place."""
        ...

    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Go on from what `tensors` gave."""
        ...


@dataclass
class Place:
    """Where a stage stands; with its tensors, all that it takes to go on.

    Attributes:
        epoch: epochs that are done.
        losses: of the steps of the next epoch that are done.
        history: a record of each epoch that is done.
    """

    epoch: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)


def run(stage: Stage, checkpoints: Checkpoints, progress: Progress) -> list[dict[str, Any]]:
    """Train a stage to its end, from its last checkpoint if there is one.

    Returns:
        A record of each epoch: stage, epoch, step, loss, seconds, figures.

    Raises:
        DivergenceError: a loss is no longer a finite number.
    """
    place = Place()
    if (kept := checkpoints.latest(stage.name)) is not None:
        place = Place(**kept.place)
        stage.load(kept.tensors)
        progress.note(f"{stage.name} goes on after epoch {place.epoch}, step {len(place.losses)}")
    progress.begin(stage.name, stage.epochs * stage.steps())
    while place.epoch < stage.epochs:
        started = time.perf_counter()
        if not place.losses:
            stage.begin(place.epoch)
        _epoch(stage, place, checkpoints, progress)
        record = {
            "stage": stage.name,
            "epoch": place.epoch + 1,
            "step": (place.epoch + 1) * stage.steps(),
            "loss": math.fsum(place.losses) / stage.steps(),
            **stage.figures(place.epoch),
        }
        place.history.append({**record, "seconds": round(time.perf_counter() - started, 3)})
        place.epoch, place.losses = place.epoch + 1, []
        if place.epoch == stage.epochs or checkpoints.due(epoch_done=True):
            checkpoints.save(stage.name, vars(place), stage.tensors())
    progress.end()
    return place.history


def _epoch(stage: Stage, place: Place, checkpoints: Checkpoints, progress: Progress) -> None:
    """Run the steps of an epoch that are not done; a long one is kept on its way too."""
    losses: list[torch.Tensor] = []
    before, steps = place.epoch * stage.steps(), stage.steps()
    for step in range(len(place.losses), steps):
        losses.append(stage.step(place.epoch, step))
        if step % 10 == 0 or step == steps - 1:
            progress.advance(before + step + 1, f"epoch {place.epoch + 1}/{stage.epochs}")
        if step < steps - 1 and checkpoints.due():
            place.losses = place.losses + _read(losses, stage.name)
            losses.clear()
            checkpoints.save(stage.name, vars(place), stage.tensors())
    place.losses = place.losses + _read(losses, stage.name)


def _read(losses: list[torch.Tensor], stage: str) -> list[float]:
    """Losses as numbers: the one look at the device in an epoch."""
    values = torch.stack(losses).tolist() if losses else []
    if not all(map(math.isfinite, values)):
        raise DivergenceError(
            f"a loss of {stage} is no number; lower {stage}.learning_rate and start again"
        )
    return values
