"""CPU seconds and rows a second of reading and writing the field's files, on synthetic data.

    python benchmarks/formats.py
    python benchmarks/formats.py --documents 294805 --words 7

Labels have the shape and the number of entries of LF-AmazonTitles-131K's test split: 134,835 ×
131,073 with 284,746 relevances of 1. Features are ``--words`` random weights a document, of 40,000.
Every file is read again and compared. The best of three calls is shown, and the first. The target
for labels is 0.15 CPU-s to read and 0.3 to write.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from dexa.data import (
    read_label_matrix,
    read_matrix,
    read_npz,
    read_single_file,
    write_matrix,
    write_npz,
    write_single_file,
)

LABELS, FEATURES = 131_073, 40_000
LABELS_A_DOCUMENT = 284_746 / 134_835


def random_matrix(rows: int, columns: int, entries: int, *, binary: bool) -> csr_array:
    """Entries anywhere, each place once."""
    draw = np.random.default_rng(entries)
    cells = np.empty(0, np.int64)
    while len(cells) < entries:
        cells = np.unique(np.append(cells, draw.integers(0, rows * columns, entries - len(cells))))
    values = np.ones(entries) if binary else 1 - draw.random(entries)
    coordinates = (cells // columns, cells % columns)
    return csr_array((values.astype(np.float32), coordinates), shape=(rows, columns))


def same(one: csr_array, other: csr_array) -> bool:
    return one.shape == other.shape and (one != other).nnz == 0


def cpu_seconds(step: Callable[[], object]) -> tuple[float, float]:
    """Of the best call of three, and of the first."""
    times = []
    for _ in range(3):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return min(times), times[0]


def measure(name: str, path: Path, write: Callable[[], None], read: Callable[[], object]) -> None:
    for verb, step in (("write", write), ("read", read)):
        best, first = cpu_seconds(step)
        megabytes = path.stat().st_size / 1e6
        print(f"{name:28} {verb:6} {best:8.3f} {first:8.3f} CPU-s   {megabytes:6.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, default=134_835)
    parser.add_argument("--words", type=int, default=7, help="features of a document")
    given = parser.parse_args()
    n = given.documents
    labels = random_matrix(n, LABELS, round(n * LABELS_A_DOCUMENT), binary=True)
    features = random_matrix(n, FEATURES, n * given.words, binary=False)
    print(f"labels {labels.shape}, {labels.nnz} entries; features {features.nnz} entries")
    print(f"{'':28} {'':6} {'best':>8} {'first':>8}")
    with tempfile.TemporaryDirectory() as name:
        text, archive, single = (Path(name) / file for file in ("m.txt", "m.npz", "train.txt"))
        for what, matrix, read in (
            ("labels", labels, read_label_matrix),
            ("features", features, read_matrix),
        ):
            measure(
                f"{what} as text",
                text,
                lambda matrix=matrix: write_matrix(text, matrix),
                lambda read=read: read(text),
            )
            assert same(read(text), matrix)
            content = text.read_bytes()
            write_matrix(text, read(text))
            assert text.read_bytes() == content
            measure(
                f"{what} as an archive",
                archive,
                lambda matrix=matrix: write_npz(archive, matrix),
                lambda: read_npz(archive),
            )
            assert same(read_npz(archive), matrix)
        measure(
            "both in the old form",
            single,
            lambda: write_single_file(single, features, labels),
            lambda: read_single_file(single),
        )
        assert same(read_single_file(single).features, features)
        assert same(read_single_file(single).labels, labels)


if __name__ == "__main__":
    main()
