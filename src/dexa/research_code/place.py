"""The research code's folders, and what its command line says."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dexa.errors import MissingFileError

_WORK_DIR = "DEXA_WORK_DIR"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the commands find and leave things.

    Attributes:
        work_dir: holds ``data``, ``models`` and ``results``.
        program: the folder of the commands, with their ``configs``.
    """

    work_dir: Path
    program: Path

    @staticmethod
    def of(program: Path) -> Place:
        """The place of commands in a folder.

        The work folder is the one above ``programs``, where the research code's page tells to put
        programs; else ``$DEXA_WORK_DIR``; else the current folder.
        """
        if program.parent.name == "programs":
            return Place(work_dir=program.parent.parent, program=program)
        return Place(work_dir=Path(os.environ.get(_WORK_DIR) or "."), program=program)

    def data(self, dataset: str) -> Path:
        """The folder of a data set.

        Raises:
            MissingFileError: there is none.
        """
        folder = self.work_dir / "data" / dataset
        if not folder.is_dir():
            raise MissingFileError(
                "no such folder",
                expected=f"the data set's files in <work_dir>/data/{dataset}",
                do=f"put them there, or set {_WORK_DIR}",
                path=folder,
            )
        return folder

    def run_folder(self, kind: str, request: RunRequest, arch: str) -> Path:
        """The folder of a run in ``models`` or ``results``."""
        run = f"v_{request.version}_{request.seed}"
        return self.work_dir / kind / request.method / arch / request.dataset / run

    def config(self, method: str, dataset: str) -> Path:
        """The configuration of a method for a data set.

        Raises:
            MissingFileError: there is none.
        """
        path = Path("configs") / method / f"{dataset}.json"
        for folder in (self.program, self.work_dir):
            if (folder / path).is_file():
                return folder / path
        raise MissingFileError(
            f"no configuration of {method} for {dataset}",
            expected=f"a file in the research code's form, also in {self.work_dir / path.parent}",
            path=self.program / path,
        )


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """The arguments of ``run_main.sh``.

    Attributes:
        gpu: the id of a GPU, or -1 for the CPU.
        method: DEXA, or another of the research code's types.
        dataset: name of a folder in ``data``.
        version: tells runs apart, with the seed.
        seed: of every random draw.
    """

    gpu: int
    method: str
    dataset: str
    version: str
    seed: int
