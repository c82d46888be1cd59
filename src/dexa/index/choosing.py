"""Which index, by name or by size; built, or opened from a folder."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

from dexa.errors import InputError, ModelFolderError
from dexa.index.base import INDEX_FILE, saved_index
from dexa.index.exact import ExactIndex
from dexa.index.graph import FaissIndex
from dexa.index.quantised import PqIndex
from dexa.types import Index, Progress

AUTO = "auto"
KINDS = {kind.kind: kind for kind in (ExactIndex, PqIndex, FaissIndex)}
"""The indexes by their names."""

_EXACT_ON_CPU, _PQ_ON_CPU = 100_000, 300_000
"""Up to so many labels, a CPU answers batches of texts soon enough by exact search; up to so many,
sooner by codes of all labels than by a walk over a graph."""


def chosen_kind(kind: str, labels: int, device: torch.device, progress: Progress) -> str:
    """The name of an index; ``auto`` is decided by size and device, which `progress` is told.

    Raises:
        InputError: there is no such index.
    """
    if kind in KINDS:
        return kind
    if kind != AUTO:
        raise InputError(f"an index {kind!r}", expected=f"of {', '.join((AUTO, *KINDS))}")
    if device.type != "cpu" or labels <= _EXACT_ON_CPU:
        progress.note(f"index: exact, for {labels:,} labels on {device.type}")
        return ExactIndex.kind
    if find_spec("faiss") is None:
        progress.note(
            f"index: exact, though {labels:,} labels on a CPU are answered faster by faiss; "
            "it is not installed: pip install 'dexa-xc[faiss]'"
        )
        return ExactIndex.kind
    approximate = PqIndex.kind if labels <= _PQ_ON_CPU else FaissIndex.kind
    progress.note(f"index: {approximate}, for {labels:,} labels on a CPU")
    return approximate


def reindexed(index: Index, kind: str, progress: Progress) -> Index:
    """An index of another kind over the same vectors, without those that were removed."""
    if isinstance(index, KINDS[kind]):
        return index
    if kind == FaissIndex.kind:
        progress.note(f"a graph of {len(index):,} vectors is built; saving the model keeps it")
    built = KINDS[kind](index.vectors)
    built.remove(index.removed.nonzero()[:, 0])
    return built


def load_index(folder: Path, vectors: torch.Tensor, *, mmap: bool) -> Index:
    """The index that was saved into a folder, over its vectors.

    Args:
        folder: where `Index.save` wrote.
        vectors: float32 ``[L, D]``, which the model keeps.
        mmap: map what is large into memory, where processes share it.

    Raises:
        InputError: it needs a package that is not installed.
        MissingFileError: there is no index in the folder.
        ModelFolderError: it is of no known kind, or of other vectors.
    """
    kind = saved_index(folder)["kind"]
    if kind == ExactIndex.kind:
        return ExactIndex.load(folder, vectors)
    for approximate in (PqIndex, FaissIndex):
        if kind == approximate.kind:
            return approximate.load(folder, vectors, mmap=mmap)
    raise ModelFolderError(
        f"an index of kind {kind!r}", expected=f"of {', '.join(KINDS)}", path=folder / INDEX_FILE
    )
