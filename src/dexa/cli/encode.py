"""``dexa encode``: texts to vectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from dexa.cli.inputs import InputOption, chunks, read_texts
from dexa.cli.options import Device, DeviceOption, ModelDir
from dexa.cli.output import say
from dexa.cli.progress import TerminalProgress
from dexa.cli.targets import check_file
from dexa.storage import atomic_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Side(StrEnum):
    """Which kind of text the texts are."""

    document = "document"
    label = "label"


def encode(
    model_dir: ModelDir,
    input_: InputOption,
    output: Annotated[
        Path, typer.Option(metavar="FILE.npy", help="Vectors, one row a text.", show_default=False)
    ],
    as_: Annotated[Side, typer.Option("--as", help="Which kind of text.")] = Side.document,
    device: DeviceOption = Device.auto,
) -> None:
    """Turn texts into vectors, float32, as a NumPy file.

    Example:  dexa encode model --input texts.txt --output vectors.npy
    """
    from dexa.estimator import Dexa

    check_file(output, [".npy"])
    model = Dexa.load(model_dir, device=device.value)
    with TerminalProgress() as progress, vector_file(output) as vectors:
        progress.begin("encoding", 0)
        for texts in chunks(read_texts(input_)):
            vectors.append(model.encode(texts, side=as_.value))
            progress.advance(vectors.rows)
        progress.end()
    say(f"wrote {output}")


class VectorFile:
    """A NumPy file that grows by rows, so that memory does not."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.rows = 0
        self._dimension = 0

    def append(self, vectors: NDArray[np.float32]) -> None:
        """Write vectors ``[B, D]`` below those already there."""
        if not self._dimension:
            self._dimension = vectors.shape[1]
            self.write_header()
        self._file.write(vectors.astype("<f4", copy=False).tobytes())
        self.rows += len(vectors)

    def write_header(self) -> None:
        """Say how many rows there are; NumPy leaves room in it for more digits."""
        from numpy.lib.format import write_array_header_1_0

        self._file.seek(0)
        shape = (self.rows, self._dimension)
        write_array_header_1_0(self._file, {"descr": "<f4", "fortran_order": False, "shape": shape})


@contextmanager
def vector_file(path: Path) -> Iterator[VectorFile]:
    """A file of vectors, put in place of `path` when the block ends well."""
    with atomic_file(path) as draft, draft.open("wb") as file:
        vectors = VectorFile(file)
        yield vectors
        vectors.write_header()
