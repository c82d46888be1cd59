"""Encoders as ONNX, for programs that run without PyTorch."""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from dexa.encoders.bag import BagOfTokens
from dexa.encoders.base import TextEncoder
from dexa.encoders.transformer import Transformer
from dexa.errors import EncoderError, InputError
from dexa.storage import atomic_folder, write_json

ENCODER, TOKENIZER, DESCRIPTION = "encoder.onnx", "tokenizer.json", "encoder.json"
_INPUTS, _OUTPUT = ["input_ids", "attention_mask"], "vectors"
_OPSET = 18  # of ONNX 1.13, which runtimes since 2023 read


def export_onnx(encoder: TextEncoder, folder: Path) -> None:
    """Write an encoder as ONNX, with its tokenizer, into a new folder.

    ``encoder.onnx`` takes ``input_ids`` and ``attention_mask``, int64 ``[B, T]`` both, and gives
    ``vectors``, float32 ``[B, D]`` of length 1. Weights beyond 2 GB lie in a file beside it.
    ``tokenizer.json`` is of the `tokenizers` library, and cuts texts to the encoder's length;
    ``encoder.json`` says what else a caller must know.

    Args:
        encoder: a bag of tokens or a transformer.
        folder: new or empty.

    Raises:
        InputError: the extra ``onnx`` is not installed, or there is something in the folder.
        EncoderError: it is another encoder, or one that PyTorch cannot export.
        StorageError: the disk refused a write.
    """
    if find_spec("onnxscript") is None:
        raise InputError("ONNX, whose packages are not installed", do="pip install 'dexa-xc[onnx]'")
    if not isinstance(encoder, BagOfTokens | Transformer):
        raise EncoderError(
            f"a {type(encoder).__name__}, which has no form for ONNX",
            expected="a bag of tokens or a transformer: other encoders read sparse features, or "
            "tokens of texts of many lengths one after the other",
        )
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError("exists already", expected="a new or empty folder", path=folder)
    program = _program(encoder)
    tokenizer = encoder.tokenizer
    with atomic_folder(folder) as draft:
        program.save(draft / ENCODER)
        (draft / TOKENIZER).write_text(tokenizer.to_json(), encoding="utf-8")
        description = {
            "max_length": tokenizer.max_length,
            "special_tokens": tokenizer.special_tokens,
            "padding": encoder.padding,
            "dimension": encoder.dimension,
            "inputs": _INPUTS,
            "output": _OUTPUT,
        }
        write_json(draft / DESCRIPTION, description)


class _Padded(nn.Module):
    """An encoder as a module of padded rows."""

    def __init__(self, encoder: BagOfTokens | Transformer) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Unit vectors ``[B, D]``."""
        return self.encoder.padded(input_ids, attention_mask)


def _program(encoder: BagOfTokens | Transformer) -> torch.onnx.ONNXProgram:
    module = _Padded(copy.deepcopy(encoder)).cpu().eval()
    ids = torch.ones(3, 2, dtype=torch.int64)  # any sizes but 1, which would be taken as fixed
    axes = {0: "batch", 1: "tokens"}
    try:
        with _quietly():
            program = torch.onnx.export(
                module,
                (ids, torch.ones_like(ids)),
                input_names=_INPUTS,
                output_names=[_OUTPUT],
                opset_version=_OPSET,
                dynamo=True,
                dynamic_shapes=(axes, axes),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise EncoderError(
            f"PyTorch cannot export this encoder to ONNX: {str(error).splitlines()[0]}",
            expected="a bag of tokens, or a transformer of a family such as BERT",
        ) from error
    assert program is not None
    return program


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep to ourselves what PyTorch's exporter says of its own workings."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
