"""Prediction files: the field's sparse matrices (.npz), JSON lines (.jsonl) and Parquet."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dexa.errors import DataError

if TYPE_CHECKING:
    from dexa.types import TopK

FORMATS = (".npz", ".jsonl", ".parquet")


def write_part(
    path: Path, suffix: str, answers: TopK, texts: Sequence[str] | None, n_labels: int
) -> None:
    """Write the answers of some texts in the format that `suffix` names.

    ``.npz`` is a CSR matrix ``[N, L]`` of scores, in which zero and negative ones are entries too;
    the others hold a row a text: the text where it is known, label ids, their texts, scores, and
    probabilities where the model is calibrated.
    """
    if suffix == ".npz":
        from scipy.sparse import save_npz

        from dexa.metrics import to_csr

        with path.open("wb") as file:
            save_npz(file, to_csr(answers, n_labels), compressed=False)
    elif suffix == ".jsonl":
        with path.open("w", encoding="utf-8") as file:
            file.writelines(
                json.dumps(record, ensure_ascii=False) + "\n" for record in _records(answers, texts)
            )
    else:
        from dexa.data.parquet import write_records

        write_records(path, list(_records(answers, texts)))


def join_parts(parts: Sequence[Path], path: Path, suffix: str, n_labels: int) -> None:
    """Make one file of parts that `write_part` wrote, a part in memory at a time."""
    if suffix == ".npz":
        from dexa.data.npz import join_matrices

        join_matrices(parts, path, n_labels)
    elif suffix == ".jsonl":
        with path.open("wb") as file:
            for part in parts:
                with part.open("rb") as piece:
                    shutil.copyfileobj(piece, file)
    else:
        from dexa.data.parquet import join_records

        join_records(parts, path)


def _records(answers: TopK, texts: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    from dexa.types import NO_LABEL

    for row, named in enumerate(answers.named()):
        answered = answers.labels[row] != NO_LABEL
        record: dict[str, Any] = {} if texts is None else {"text": texts[row]}
        record |= {
            "labels": answers.labels[row][answered].tolist(),
            "names": [name for name, _ in named],
            "scores": [score for _, score in named],
        }
        if answers.probabilities is not None:
            record["probabilities"] = answers.probabilities[row][answered].tolist()
        yield record


def read_predictions(path: Path, shape: tuple[int, int], k: int) -> TopK:
    """The k best labels of each row of a sparse matrix ``[N, L]`` that SciPy wrote.

    Raises:
        MissingFileError: there is no such file.
        DataError: it is no such matrix, or of another shape.
    """
    from dexa.data.files import opened
    from dexa.data.npz import load_sparse
    from dexa.metrics import top_k
    from dexa.metrics.matrices import shape_of

    with opened(path) as file:
        matrix = load_sparse(file, path)
    if (given := shape_of(matrix)) != shape:
        raise DataError(
            f"{given[0]} × {given[1]} scores",
            expected=f"{shape[0]} × {shape[1]}, test documents by labels",
            path=path,
        )
    return top_k(matrix, k)
