"""``dexa export``: a model's encoder for programs that run without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dexa.cli.options import ModelDir
from dexa.cli.output import say
from dexa.errors import InputError


def export(
    model_dir: ModelDir,
    output: Annotated[
        Path,
        typer.Argument(metavar="OUT", help="The folder to write.", show_default=False),
    ],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="As ONNX; needs the extra dexa-xc[onnx].")
    ] = False,
) -> None:
    """Write the encoder of a model, with its tokenizer, for programs without PyTorch.

    Example:  dexa export --onnx model encoder
    """
    if not onnx:
        raise InputError("no form to export to", expected="--onnx")
    from dexa.estimator import Dexa

    Dexa.load(model_dir, device="cpu").export_onnx(output)
    say(f"wrote {output}")
