"""Approximate search by faiss: likely labels are found, and scored again precisely."""

from __future__ import annotations

import abc
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.errors import InputError, ModelFolderError
from dexa.index.base import VectorIndex, saved_arguments
from dexa.index.best import Best
from dexa.index.precise import exhaustive
from dexa.types import NO_LABEL, TopK

_SCAN = 4
"""Looking for likely labels costs as much as a precise scan of so many for each looked at."""


class ApproximateIndex(VectorIndex):
    """What approximate indexes do alike.

    An index of faiss on the host names likely labels. They are scored again with the float32
    vectors, so that scores are those of exact search but for rounding. Where few labels may be
    answered, all of these are scored instead.

    Args:
        vectors: floating point ``[L, D]`` on any device, L ≥ 1.
        effort: labels looked at for a query at least; more find more of the right ones, in a time
            that grows with it. None for as many as are usual.

    Raises:
        InputError: faiss is not installed.
        DataError: the vectors are not an ``[L, D]`` array of finite numbers.
    """

    usual_effort: ClassVar[int]
    """For up to a hundred answers; in proportion for more."""

    file: ClassVar[str]
    """Where `save` puts what faiss built."""

    numbers: ClassVar[tuple[str, ...]] = ("effort",)
    """Attributes that `save` writes and `load` sets, whole numbers all."""

    def __init__(self, vectors: torch.Tensor, *, effort: int | None = None) -> None:
        super().__init__(vectors)
        self.effort = self.usual_effort if effort is None else effort
        self._is_mapped = False
        self._faiss = self._built(self._vectors)

    @abc.abstractmethod
    def _built(self, vectors: torch.Tensor) -> Any:
        """An index of faiss over vectors."""

    @abc.abstractmethod
    def _likely(
        self, queries: torch.Tensor, effort: int, living: torch.Tensor | None
    ) -> NDArray[np.int64]:
        """So many labels a query, ``[B, effort]``.

        They ascend, but for `NO_LABEL` where there are fewer.
        """

    def _search(self, queries: torch.Tensor, k: int, living: torch.Tensor | None) -> TopK:
        choice = len(self) if living is None else int(living.sum())
        found = min(k, choice)
        if found == 0 or len(queries) == 0:
            return Best.none(len(queries)).padded(k)
        effort = max(self.effort, found * self.usual_effort // 100)
        if living is not None:
            effort = effort * len(self) // choice
        if effort * _SCAN >= choice:
            return self._scanned(queries, found, living).padded(k)
        labels, scores = self._rescored(queries, self._likely(queries, effort, living), found)
        if len(lacking := np.flatnonzero(np.isneginf(scores[:, -1]))):
            rest = self._scanned(queries[lacking], found, living)
            labels[lacking], scores[lacking] = rest.labels.numpy(), rest.scores.numpy()
        return Best(torch.from_numpy(labels), torch.from_numpy(scores)).padded(k)

    def _rescored(
        self, queries: torch.Tensor, labels: NDArray[np.int64], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The k best of likely labels and their scores; -inf where there are fewer."""
        known = torch.from_numpy(np.maximum(labels, 0)).to(queries.device)
        scores = self._products(queries, known).cpu().numpy()
        scores[labels == NO_LABEL] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]  # equal ones: the smaller id
        rows = np.arange(len(labels))[:, None]
        return labels[rows, order], scores[rows, order]

    def _products(self, queries: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """On the host by faiss, which reads vectors where they lie: sums in float32."""
        if self._vectors.device.type != "cpu":
            return super()._products(queries, labels)
        scores = torch.empty(labels.shape)
        count, width = labels.shape
        faiss = faiss_package()
        # named, so that they live as long as faiss reads them
        arrays = [t.contiguous().numpy() for t in (queries, self._vectors, labels)]
        faiss.fvec_inner_products_by_idx(
            faiss.swig_ptr(scores.numpy()),
            *map(faiss.swig_ptr, arrays),
            self._vectors.shape[1],
            count,
            width,
        )
        return scores

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
        if self._is_mapped:  # a view of a file cannot grow
            faiss = faiss_package()
            self._faiss = faiss.deserialize_index(faiss.serialize_index(self._faiss))
            self._is_mapped = False
        self._faiss.add(new.cpu().numpy())

    def _over(self, vectors: torch.Tensor) -> Self:
        return type(self)(vectors, effort=self.effort)

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.numbers}

    def save(self, folder: Path) -> None:
        """Write what faiss built and the arguments into a folder; the model keeps the vectors."""
        super().save(folder)
        faiss_package().write_index(self._faiss, str(folder / self.file))

    @classmethod
    def load(cls, folder: Path, vectors: torch.Tensor, *, mmap: bool = True) -> Self:
        """The index that `save` wrote, over the model's vectors, which are not checked again.

        Args:
            folder: where it was saved.
            vectors: float32 ``[L, D]``.
            mmap: leave what is large in its file and map it into memory, where all processes share
                it.

        Raises:
            InputError: faiss is not installed.
            MissingFileError: there is no index in the folder.
            ModelFolderError: there is one of another kind, or of other vectors.
        """
        arguments = saved_arguments(folder, cls.kind, cls.numbers)
        index = cls.__new__(cls)
        index._vectors = vectors
        index._removed = torch.zeros(len(vectors), dtype=torch.bool)
        index._forgets = False
        for name in cls.numbers:
            setattr(index, name, arguments[name])
        index._is_mapped = mmap
        index._faiss = index._opened(folder / cls.file)
        index.remove(arguments.get("removed", ()))
        return index

    def _opened(self, path: Path) -> Any:
        faiss = faiss_package()
        if not path.is_file():
            raise ModelFolderError("missing file", do="copy the model again", path=path)
        try:
            opened = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if self._is_mapped else 0)
        except RuntimeError as error:
            raise ModelFolderError(
                "no index of faiss, or one cut short", do="copy the model again", path=path
            ) from error
        expected = (len(self), self._vectors.shape[1])
        if (opened.ntotal, opened.d) != expected:
            raise ModelFolderError(
                f"an index of {opened.ntotal:,} vectors of {opened.d} dimensions",
                expected=f"{expected[0]:,} of {expected[1]}, as the model has",
                path=path,
            )
        return opened


def faiss_package() -> Any:
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
