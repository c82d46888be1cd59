"""Vectors of single tokens are made once for a transformer."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from dexa.encoders import first_vectors as module
from dexa.encoders.base import encode
from dexa.encoders.first_vectors import CACHE, first_vectors
from dexa.encoders.transformer import Transformer, load_transformer


@pytest.fixture
def teacher(tiny_encoder: Path) -> Transformer:
    return load_transformer(tiny_encoder, max_length=8, dropout=0.0)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def made(teacher: Transformer, cache: Path) -> torch.Tensor:
    """The vectors, made for the first time."""
    assert not cache.exists()
    return first_vectors(teacher)


def kept(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.safetensors"))


def test_a_token_has_the_vector_of_a_text_of_it_alone(
    teacher: Transformer, made: torch.Tensor
) -> None:
    words = ["amber", "museum", "thing"]
    places = [int(teacher.tokenizer([word]).ids[1]) for word in words]
    assert made.shape == (teacher.tokenizer.vocabulary_size, teacher.dimension)
    alone = encode(teacher, teacher.tokenizer(words))
    torch.testing.assert_close(made[places], alone, atol=1e-6, rtol=0)


def test_the_second_time_they_are_read(
    teacher: Transformer, made: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(module, "encode", refuse)
    assert torch.equal(first_vectors(teacher), made)


def test_other_weights_have_others(teacher: Transformer, made: torch.Tensor, cache: Path) -> None:
    with torch.no_grad():
        next(teacher.trunk.parameters()).mul_(-1)
    assert not torch.equal(first_vectors(teacher), made)
    assert len(kept(cache)) == 2


def test_a_broken_file_is_made_anew(
    teacher: Transformer, made: torch.Tensor, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (file,) = kept(cache)
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    with caplog.at_level(logging.WARNING):
        assert torch.equal(first_vectors(teacher), made)
    assert str(file) in caplog.text
    assert file.read_bytes() == whole


def test_without_a_place_to_keep_them_they_are_made(
    teacher: Transformer,
    made: torch.Tensor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    monkeypatch.setenv(CACHE, str(file / "cache"))
    with caplog.at_level(logging.WARNING):
        assert torch.equal(first_vectors(teacher), made)
    assert CACHE in caplog.text


def test_the_users_cache_is_the_default(
    teacher: Transformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CACHE)
    monkeypatch.setattr(module.platformdirs, "user_cache_path", lambda name: tmp_path / name)
    first_vectors(teacher)
    assert len(kept(tmp_path / "dexa")) == 1
