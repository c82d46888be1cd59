"""A model folder as it is now: what was written as a whole, and all changes since."""

from __future__ import annotations

from pathlib import Path

import torch

from dexa.errors import MissingFileError, ModelFolderError
from dexa.model.changes import applied
from dexa.model.folder import read_model
from dexa.model.journal import Journal
from dexa.model.parts import Model
from dexa.storage import settle_folder


def load_model(folder: Path, device: torch.device, *, mmap: bool = True) -> Model:
    """Open a model folder, with all changes of its labels; see `open_model`."""
    return open_model(folder, device, mmap=mmap)[0]


def open_model(folder: Path, device: torch.device, *, mmap: bool = True) -> tuple[Model, Journal]:
    """Open a model folder, and the journal by which changes are taken up and written.

    A folder that is replaced meanwhile is read again, so that what is opened is old or new.

    Args:
        folder: that `save_model` wrote.
        device: to compute on.
        mmap: see `read_model`.

    Raises:
        MissingFileError: there is no model in that folder.
        ModelFolderError: it is incomplete, was changed, or comes from another version.
    """
    while True:
        settle_folder(folder)
        journal = Journal.of(folder) if (folder / "model.json").is_file() else None
        try:
            model = read_model(folder, device, mmap=mmap)
            journal = journal or Journal.of(folder)
            return applied(model, journal.news()), journal
        except (ModelFolderError, MissingFileError, FileNotFoundError):
            if journal is None or not journal.replaced():
                raise
