"""Approximate search on a graph of labels (HNSW of faiss), scored again precisely."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from dexa.errors import InputError, ModelFolderError
from dexa.index.base import VectorIndex, saved_arguments
from dexa.index.best import Best
from dexa.index.precise import exhaustive, first, inner_products
from dexa.types import NO_LABEL, TopK

_GRAPH = "graph.faiss"
_LINKS, _BUILD_EFFORT = 32, 200
_SCAN = 4
"""A walk over the graph costs as much as a precise scan of so many labels for each it looks at."""


@final
class FaissIndex(VectorIndex):
    """Search that follows a graph of labels towards a query and looks at a few hundred of them.

    The graph (HNSW, Malkov and Yashunin, 2018) holds vectors in 8 bits a dimension and compares
    by inner product, whatever the lengths of vectors. What it finds is scored again with the
    float32 vectors, so that scores are those of exact search. Where few labels may be answered,
    all of these are scored instead. It loses sight of some labels where hundreds are equal, or
    equal to within 8 bits. Graphs built on several cores differ from one build to the next.

    Args:
        vectors: floating point ``[L, D]`` on any device, L ≥ 1; the graph lives on the host.
        effort: labels looked at for a query at least; more find more of the right ones, in a time
            that grows with it.

    Raises:
        InputError: faiss is not installed.
        DataError: the vectors are not an ``[L, D]`` array of finite numbers.
    """

    kind = "faiss"

    def __init__(self, vectors: torch.Tensor, *, effort: int = 200) -> None:
        super().__init__(vectors)
        self.effort = effort
        self._is_mapped = False
        self._graph = _built(self._vectors)

    def _search(self, queries: torch.Tensor, k: int, living: torch.Tensor | None) -> TopK:
        choice = len(self) if living is None else int(living.sum())
        found = min(k, choice)
        if found == 0 or len(queries) == 0:
            return Best.none(len(queries)).padded(k)
        effort = max(self.effort, 2 * found)
        if living is not None:
            effort = effort * len(self) // choice
        if effort * _SCAN >= choice:
            return self._scanned(queries, found, living).padded(k)
        best = self._walked(queries, effort, found, living)
        if lacking := best.scores[:, -1].isneginf().nonzero()[:, 0].tolist():
            rest = self._scanned(queries[lacking], found, living)
            best.labels[lacking], best.scores[lacking] = rest.labels, rest.scores
        return best.padded(k)

    def _walked(
        self, queries: torch.Tensor, effort: int, k: int, living: torch.Tensor | None
    ) -> Best:
        """The k best of the labels that the graph leads to; -inf where it leads to fewer."""
        faiss = _faiss()
        selector = None
        if living is not None:
            selector = faiss.IDSelectorBitmap(np.packbits(living.numpy(), bitorder="little"))
        effort = min(effort, len(self))
        parameters = faiss.SearchParametersHNSW(efSearch=effort, sel=selector)
        _, labels = self._graph.search(queries.cpu().numpy(), effort, params=parameters)
        labels = torch.from_numpy(labels).to(queries.device).sort(dim=1).values
        scores = inner_products(queries, self._vectors, labels.clamp(min=0))
        best = first(scores.masked_fill(labels == NO_LABEL, -torch.inf), labels, k)
        return Best(best.labels.cpu(), best.scores.cpu())

    def _scanned(self, queries: torch.Tensor, k: int, living: torch.Tensor | None) -> Best:
        """The k best of all that may be answered, by precise scores."""
        vectors, ids = self._vectors, None
        if living is not None:
            ids = living.nonzero()[:, 0]
            vectors = vectors.index_select(0, ids.to(vectors.device))
        parts = [best for _, best in exhaustive(queries, list(range(len(queries))), vectors, k)]
        labels = torch.cat([part.labels for part in parts]).cpu()
        scores = torch.cat([part.scores for part in parts]).cpu()
        return Best(labels if ids is None else ids[labels], scores)

    def _take_in(self, new: torch.Tensor) -> None:
        if self._is_mapped:  # a graph that is a view of a file cannot grow
            faiss = _faiss()
            self._graph = faiss.deserialize_index(faiss.serialize_index(self._graph))
            self._is_mapped = False
        self._graph.add(new.cpu().numpy())

    def _over(self, vectors: torch.Tensor) -> FaissIndex:
        return FaissIndex(vectors, effort=self.effort)

    def _arguments(self) -> dict[str, Any]:
        return {"effort": self.effort}

    def save(self, folder: Path) -> None:
        """Write the graph and the arguments into a folder; the vectors are kept by the model."""
        super().save(folder)
        _faiss().write_index(self._graph, str(folder / _GRAPH))

    @classmethod
    def load(cls, folder: Path, vectors: torch.Tensor, *, mmap: bool = True) -> FaissIndex:
        """The index that `save` wrote, over the model's vectors, which are not checked again.

        Args:
            folder: where it was saved.
            vectors: float32 ``[L, D]``.
            mmap: leave the graph in its file and map it into memory, where all processes share it.

        Raises:
            InputError: faiss is not installed.
            MissingFileError: there is no index in the folder.
            ModelFolderError: there is one of another kind, or of other vectors.
        """
        arguments = saved_arguments(folder, cls.kind)
        index = cls.__new__(cls)
        index._vectors = vectors
        index._removed = torch.zeros(len(vectors), dtype=torch.bool)
        index._forgets = False
        index.effort = int(arguments["effort"])
        index._is_mapped = mmap
        index._graph = _opened(folder / _GRAPH, vectors, mmap)
        index.remove(arguments.get("removed", ()))
        return index


def _faiss() -> Any:
    """The package, which is heavy and optional.

    Raises:
        InputError: it is not installed.
    """
    try:
        import faiss  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            "an index of faiss, which is not installed",
            do="pip install 'dexa-xc[faiss]', or choose the exact index",
        ) from error
    return faiss


def _built(vectors: torch.Tensor) -> Any:
    faiss = _faiss()
    bits = faiss.ScalarQuantizer.QT_8bit
    graph = faiss.IndexHNSWSQ(vectors.shape[1], bits, _LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = _BUILD_EFFORT
    array = vectors.cpu().numpy()
    graph.train(array)
    graph.add(array)
    return graph


def _opened(path: Path, vectors: torch.Tensor, mmap: bool) -> Any:
    faiss = _faiss()
    if not path.is_file():
        raise ModelFolderError("missing file", do="copy the model again", path=path)
    try:
        graph = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mmap else 0)
    except RuntimeError as error:
        raise ModelFolderError(
            "no graph of faiss, or one cut short", do="copy the model again", path=path
        ) from error
    if (graph.ntotal, graph.d) != tuple(vectors.shape):
        raise ModelFolderError(
            f"a graph of {graph.ntotal:,} vectors of {graph.d} dimensions",
            expected=f"{len(vectors):,} of {vectors.shape[1]}, as the model has",
            path=path,
        )
    return graph
