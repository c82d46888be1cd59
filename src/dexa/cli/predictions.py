"""Prediction files: the field's sparse matrices (.npz) and JSON lines (.jsonl)."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from dexa.errors import DataError, MissingFileError
from dexa.storage import atomic_file

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from dexa.types import TopK

FORMATS = (".npz", ".jsonl")


class PredictionFile(Protocol):
    """Takes answers chunk by chunk."""

    def append(self, answers: TopK, texts: Sequence[str] | None) -> None:
        """Write the answers of the next texts."""
        ...


class _JsonLines:
    """One object a text: label ids, their texts where known, scores."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def append(self, answers: TopK, texts: Sequence[str] | None) -> None:
        from dexa.types import NO_LABEL

        for row, named in enumerate(answers.named()):
            answered = answers.labels[row] != NO_LABEL
            record = {
                "labels": answers.labels[row][answered].tolist(),
                "names": [name for name, _ in named],
                "scores": [score for _, score in named],
            }
            if texts is not None:
                record = {"text": texts[row], **record}
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")


class _Matrix:
    """Answers as a CSR matrix ``[N, L]``; zero and negative scores are stored entries too."""

    def __init__(self, n_labels: int) -> None:
        self._n_labels = n_labels
        self._parts: list[csr_array] = []

    def append(self, answers: TopK, texts: Sequence[str] | None) -> None:
        from dexa.metrics import to_csr

        del texts  # a matrix has no place for them
        self._parts.append(to_csr(answers, self._n_labels))

    def save(self, path: Path) -> None:
        import numpy as np
        from scipy.sparse import csr_array, save_npz, vstack

        empty = csr_array((0, self._n_labels), dtype=np.float32)
        with path.open("wb") as file:
            save_npz(file, vstack([empty, *self._parts], format="csr"), compressed=False)


@contextmanager
def prediction_file(path: Path, n_labels: int) -> Iterator[PredictionFile]:
    """A file of predictions in the format its name says, put in place when the block ends well."""
    with atomic_file(path) as draft:
        if path.suffix == ".jsonl":
            with draft.open("w", encoding="utf-8") as file:
                yield _JsonLines(file)
        else:
            matrix = _Matrix(n_labels)
            yield matrix
            matrix.save(draft)


def read_predictions(path: Path, shape: tuple[int, int], k: int) -> TopK:
    """The k best labels of each row of a sparse matrix ``[N, L]`` that SciPy wrote.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is no such matrix, or of another shape.
    """
    from scipy.sparse import csr_array, load_npz

    from dexa.metrics import top_k
    from dexa.metrics.matrices import shape_of

    try:
        matrix = csr_array(load_npz(path))
    except FileNotFoundError as error:
        raise MissingFileError("no such file", expected="predictions", path=path) from error
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"cannot be read: {error}",
            expected="a sparse matrix written by scipy.sparse.save_npz",
            path=path,
        ) from error
    if (given := shape_of(matrix)) != shape:
        raise DataError(
            f"{given[0]} × {given[1]} scores",
            expected=f"{shape[0]} × {shape[1]}, test documents by labels",
            path=path,
        )
    return top_k(matrix, k)
