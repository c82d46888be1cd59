"""Checkpoints: the state of a run in atomically written folders."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dexa.errors import DataError, ModelFolderError
from dexa.storage import atomic_folder, read_json, write_json

_MINUTES = 10.0  # between checkpoints within an epoch
_SHARE = 0.05  # of the time that checkpoints at ends of epochs may take: short epochs skip some
_KEPT = 2


@dataclass(frozen=True)
class Kept:
    """What a checkpoint holds: a place as JSON values, and tensors."""

    place: dict[str, Any]
    tensors: dict[str, torch.Tensor]


class Checkpoints:
    """The last two checkpoints of each stage of a run.

    Args:
        folder: where they live; None keeps none.
        run: what the run is (recipe, seed, data) as JSON values: checkpoints of another run are
            refused.
    """

    def __init__(self, folder: Path | None, run: dict[str, Any]) -> None:
        self.folder, self.run = folder, run
        self._last, self._cost = time.monotonic(), 0.0

    def due(self, *, epoch_done: bool = False) -> bool:
        """Whether so much time has passed that the state is worth keeping.

        At the end of an epoch: so much that checkpoints take a twentieth of the time at most.
        Within one: ten minutes.
        """
        wait = self._cost / _SHARE if epoch_done else 60 * _MINUTES
        return self.folder is not None and time.monotonic() - self._last >= wait

    def save(self, stage: str, place: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        """Keep the state of a stage, then drop what is older than the one before.

        Raises:
            StorageError: the disk is full or read-only; the checkpoints before are intact.
        """
        if self.folder is None:
            return
        started = time.monotonic()
        kept = self._all(stage)
        number = int(kept[-1].name.rpartition(".")[2]) + 1 if kept else 0
        with atomic_folder(self.folder / f"{stage}.{number:06d}") as draft:
            on_host = {k: t.detach().cpu().contiguous() for k, t in tensors.items()}
            save_file(on_host, draft / "state.safetensors")
            write_json(draft / "place.json", {"run": self.run, "place": place})
        for old in self._all(stage)[:-_KEPT]:
            shutil.rmtree(old)
        self._last = time.monotonic()
        self._cost = self._last - started

    def latest(self, stage: str) -> Kept | None:
        """The last checkpoint of a stage; None where there is none.

        Raises:
            ModelFolderError: it is of another run, or damaged.
        """
        kept = self._all(stage)
        if not kept:
            return None
        try:
            value = read_json(kept[-1] / "place.json")
            run, place = value["run"], value["place"]
            tensors = load_file(kept[-1] / "state.safetensors")
        except (OSError, DataError, KeyError, TypeError, SafetensorError) as error:
            raise ModelFolderError(
                f"a checkpoint that cannot be read: {error}",
                do="delete this checkpoint, so that the one before it is taken",
                path=kept[-1],
            ) from error
        if run != self.run:
            raise ModelFolderError(
                "these checkpoints are of a run with another recipe, seed, encoder or data set",
                do="start without --resume, or give the options of that run",
                path=self.folder,
            )
        return Kept(place, tensors)

    def clear(self) -> None:
        """Remove all checkpoints, and the folder with them."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _all(self, stage: str) -> list[Path]:
        if self.folder is None:
            return []
        return sorted(self.folder.glob(f"{stage}.[0-9]*"))
