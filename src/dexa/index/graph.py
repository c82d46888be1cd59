"""Search on a graph of labels: HNSW of faiss."""

from __future__ import annotations

from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.index.approximate import ApproximateIndex, faiss_package

_LINKS, _BUILD_EFFORT = 32, 200


@final
class FaissIndex(ApproximateIndex):
    """Search that follows a graph of labels towards a query and looks at a few hundred of them.

    The graph (HNSW, Malkov and Yashunin, 2018) holds vectors in 8 bits a dimension and compares
    by inner product, whatever the lengths of vectors. A query takes hardly longer among more
    labels. It loses sight of some labels where hundreds are equal, or equal to within 8 bits.
    Graphs built on several cores differ from one build to the next.
    """

    kind = "faiss"
    file = "graph.faiss"
    usual_effort = 200

    def _built(self, vectors: torch.Tensor) -> Any:
        faiss = faiss_package()
        bits = faiss.ScalarQuantizer.QT_8bit
        graph = faiss.IndexHNSWSQ(vectors.shape[1], bits, _LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = _BUILD_EFFORT
        array = vectors.cpu().numpy()
        graph.train(array)
        graph.add(array)
        return graph

    def _likely(
        self, queries: torch.Tensor, effort: int, living: torch.Tensor | None
    ) -> NDArray[np.int64]:
        faiss, selector = faiss_package(), None
        if living is not None:
            selector = faiss.IDSelectorBitmap(np.packbits(living.numpy(), bitorder="little"))
        effort = min(effort, len(self))
        parameters = faiss.SearchParametersHNSW(efSearch=effort, sel=selector)
        _, labels = self._faiss.search(queries.cpu().numpy(), effort, params=parameters)
        labels.sort(axis=1)
        return labels
