"""``python -m dexa.research_code``: what the shell commands call."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dexa.errors import DexaError
from dexa.research_code.config import METHODS
from dexa.research_code.log import LOG
from dexa.research_code.place import Place, RunRequest
from dexa.research_code.run import prepare_data, run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns 0, 1 where the run failed, or 2 where the user erred."""
    given = _parser().parse_args(arguments)
    place = Place.of(given.program.absolute())
    try:
        if given.command == "prepare":
            prepare_data(place, given.dataset, given.seq_len)
        else:
            request = RunRequest(
                gpu=given.gpu_id,
                method=given.type,
                dataset=given.dataset,
                version=given.version,
                seed=given.seed,
            )
            run(place, request)
    except DexaError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("stopped; the same command goes on from the last checkpoint\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dexa.research_code", description=__doc__)
    parser.add_argument(
        "--program", type=Path, default=Path(), help="folder of the shell commands (default: .)"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", prog="prepare_data.sh", help="tokenise a data set")
    prepare.add_argument("dataset", type=_name, help="a folder in <work_dir>/data")
    prepare.add_argument("seq_len", metavar="seq-len", type=int, help="tokens of a text at most")
    train = commands.add_parser("run", prog="run_main.sh", help="train and test")
    train.add_argument("gpu_id", type=_gpu, help="id of the GPU, or -1 for the CPU")
    train.add_argument("type", choices=list(METHODS), help="the method")
    train.add_argument("dataset", type=_name, help="a folder in <work_dir>/data")
    train.add_argument("version", type=_name, help="tells runs apart, with the seed")
    train.add_argument("seed", type=_seed, help="of every random draw")
    return parser


def _name(text: str) -> str:
    if not text or Path(text).name != text:
        raise argparse.ArgumentTypeError(f"{text!r} is not a name without slashes")
    return text


def _gpu(text: str) -> int:
    if not text.removeprefix("-").isdigit() or int(text) < -1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither the id of one GPU nor -1")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdigit() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^32 - 1")
    return int(text)


if __name__ == "__main__":
    LOG.setLevel(logging.INFO)
    LOG.addHandler(logging.StreamHandler(sys.stdout))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a run as Ctrl-C does
    sys.exit(main())
