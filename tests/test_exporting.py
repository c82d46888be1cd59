"""Encoders as ONNX against the encoders themselves."""

from __future__ import annotations

import importlib.util
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from dexa import Dexa
from dexa.cli import app
from dexa.encoders import TextEncoder, encode, export_onnx, exporting, open_encoder
from dexa.errors import EncoderError, InputError
from test_encoders import BEFORE, FAMILIES, WORDS, write_family

pytest.importorskip("onnxscript", reason="needs the extra onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
tokenizers = pytest.importorskip("tokenizers")

LENGTH = 40
POOLINGS = dict(zip(FAMILIES, itertools.cycle(["mean", "cls"]), strict=False))


class Exported:
    """A folder alone, as a program without dexa and PyTorch would use it."""

    def __init__(self, folder: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(folder / "encoder.onnx", options)
        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.told = json.loads((folder / "encoder.json").read_text())

    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        """Vectors of texts in one batch."""
        added = self.told["special_tokens"]
        rows = [found.ids for found in self.tokenizer.encode_batch(texts, add_special_tokens=added)]
        return self.of_ids(rows)

    def of_ids(self, rows: list[list[int]]) -> NDArray[np.float32]:
        """Vectors of token ids in one batch, padded to the longest."""
        shape = len(rows), max(1, *map(len, rows))
        ids = np.full(shape, self.told["padding"], np.int64)
        mask = np.zeros(shape, np.int64)
        for place, row in enumerate(rows):
            ids[place, : len(row)], mask[place, : len(row)] = row, 1
        return self.session.run(["vectors"], {"input_ids": ids, "attention_mask": mask})[0]


def texts_of_lengths(lengths: list[int]) -> list[str]:
    draw = np.random.default_rng(sum(lengths))
    return [" ".join(draw.choice(WORDS[:6], n)) for n in lengths]


def assert_equal(encoder: TextEncoder, exported: Exported, lengths: list[int]) -> None:
    texts = texts_of_lengths(lengths)
    wanted = encode(encoder, encoder.tokenizer(texts)).numpy()
    assert np.abs(exported(texts) - wanted).max() < 1e-4


@pytest.mark.parametrize(("family", "pooling"), POOLINGS.items())
def test_transformers(family: str, pooling: str, tmp_path: Path) -> None:
    folder = write_family(tmp_path / family, family)
    encoder = open_encoder(str(folder), max_length=LENGTH)
    encoder.pooling = pooling  # type: ignore[assignment]
    export_onnx(encoder, tmp_path / "out")
    exported = Exported(tmp_path / "out")
    assert_equal(encoder, exported, list(range(LENGTH + 5)))  # the last are cut
    for length in range(0, LENGTH + 5, 4):
        assert_equal(encoder, exported, [length])
    assert exported.told["max_length"] == LENGTH
    if family != "mpnet":  # which finds positions by the padding id
        texts = ["red [PAD] tree", "green"]
        wanted = encode(encoder, encoder.tokenizer(texts)).numpy()
        assert np.abs(exported(texts) - wanted).max() < 1e-4


def bag(tmp_path: Path, pairs: int) -> TextEncoder:
    folder = write_family(tmp_path / "bert", "bert")
    encoder = open_encoder(f"bag:{folder}", max_length=LENGTH, initial="random", pairs=pairs)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_()
    return encoder


@pytest.mark.parametrize("pairs", [0, 7])
def test_bags(pairs: int, tmp_path: Path) -> None:
    encoder = bag(tmp_path, pairs)
    export_onnx(encoder, tmp_path / "out")
    exported = Exported(tmp_path / "out")
    assert_equal(encoder, exported, list(range(LENGTH + 5)))
    for length in range(LENGTH + 5):
        assert_equal(encoder, exported, [length])
    assert exported.told["special_tokens"] is False


def test_pairs_of_a_large_vocabulary_fall_into_the_same_rows() -> None:
    """The hash wraps around in a runtime as it does in PyTorch."""
    encoder = open_encoder("bag", max_length=LENGTH, initial="random", pairs=1009)
    with torch.no_grad():
        encoder.get_parameter("table").normal_()
    draw = np.random.default_rng(1)
    ids = torch.from_numpy(draw.integers(encoder.tokenizer.vocabulary_size, size=(50, LENGTH)))
    mask = torch.ones_like(ids)
    program: Any = exporting._program(encoder)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    found = session.run(None, {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})[0]
    with torch.no_grad():
        assert np.abs(found - encoder.padded(ids, mask).numpy()).max() < 1e-4


def test_a_row_without_a_token_is_zeros(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder = open_encoder(str(tiny_encoder), max_length=LENGTH)
    export_onnx(encoder, tmp_path / "out")
    found = Exported(tmp_path / "out").of_ids([[], [len(BEFORE)]])
    assert not found[0].any()
    assert np.linalg.norm(found[1]) == pytest.approx(1)


def test_the_command(fitted: Dexa, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    command = ["export", "--onnx", str(tmp_path / "model"), str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "wrote" in done.stderr
    texts = ["amber bridge at the market", "", "violet"]
    assert np.abs(Exported(tmp_path / "out")(texts) - fitted.encode(texts)).max() < 1e-4
    # the model is none the worse for it
    assert np.isfinite(fitted.predict(texts).scores).all()

    again = CliRunner().invoke(app, command)
    assert again.exit_code == 2
    assert "exists already; expected a new or empty folder" in " ".join(again.stderr.split())
    without = CliRunner().invoke(app, ["export", str(tmp_path / "model"), str(tmp_path / "other")])
    assert without.exit_code == 2
    assert "expected --onnx" in without.stderr
    assert not (tmp_path / "other").exists()


def test_a_missing_package_is_named(
    tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        exporting, "find_spec", lambda name: None if name == "onnxscript" else found(name)
    )
    encoder = open_encoder(str(tiny_encoder), max_length=LENGTH)
    with pytest.raises(InputError, match=r"pip install 'dexa-xc\[onnx\]'"):
        export_onnx(encoder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_encoders_without_a_form_for_it_are_refused(tmp_path: Path, tiny_encoder: Path) -> None:
    encoder = open_encoder(f"cnn:{tiny_encoder}", max_length=LENGTH, initial="random")
    with pytest.raises(EncoderError, match="a SequenceEncoder, which has no form for ONNX"):
        export_onnx(encoder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported_is_refused(
    tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = open_encoder(str(tiny_encoder), max_length=LENGTH)

    def by_values(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return ids.float() if ids.sum() > 3 else mask.float()  # no graph has both ways

    monkeypatch.setattr(type(encoder), "padded", lambda _, ids, mask: by_values(ids, mask))
    with pytest.raises(EncoderError, match="cannot export this encoder to ONNX"):
        export_onnx(encoder, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
