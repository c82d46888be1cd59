"""The small value classes, and the public names."""

from __future__ import annotations

import dataclasses
import importlib
import inspect

import numpy as np
import pytest
import torch

import dexa
from dexa.types import NO_LABEL, Progress, Silence, TokenBatch, TopK


def two_rows(label_texts: list[str] | None = None) -> TopK:
    return TopK(
        labels=np.array([[1, 0], [2, NO_LABEL]]),
        scores=np.array([[0.5, 0.25], [0.75, -np.inf]], np.float32),
        label_texts=label_texts,
    )


def test_answers_by_the_texts_of_labels() -> None:
    assert two_rows(["a", "b", "c"]).named() == [[("b", 0.5), ("a", 0.25)], [("c", 0.75)]]


def test_answers_by_ids_where_no_text_is_known() -> None:
    assert two_rows().named() == [[("1", 0.5), ("0", 0.25)], [("2", 0.75)]]


def test_no_rows() -> None:
    empty = TopK(labels=np.zeros((0, 3), np.int64), scores=np.zeros((0, 3), np.float32))
    assert len(empty) == 0
    assert empty.named() == []


def test_length_is_the_number_of_texts() -> None:
    assert len(two_rows()) == 2
    batch = TokenBatch(
        ids=torch.tensor([4, 5, 6]), offsets=torch.tensor([0, 3, 3]), lengths=np.array([3, 0])
    )
    assert len(batch) == 2


def test_values_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        two_rows().labels = np.zeros((1, 1), np.int64)  # type: ignore[misc]


def test_silence_listens_to_everything_that_progress_has() -> None:
    silence: Progress = Silence()
    silence.note("a line")
    silence.begin("task", 3)
    silence.advance(1)
    silence.advance(2, "half")
    silence.end()
    for name in ("note", "begin", "advance", "end"):
        expected = inspect.signature(getattr(Progress, name))
        assert inspect.signature(getattr(Silence, name)) == expected


@pytest.mark.parametrize("name", dexa.__all__)
def test_every_public_name_loads_and_is_what_its_home_holds(name: str) -> None:
    thing = getattr(dexa, name)
    if inspect.ismodule(thing):
        assert thing is importlib.import_module(f"dexa.{name}")
    elif inspect.isclass(thing) or inspect.isfunction(thing):
        assert getattr(importlib.import_module(thing.__module__), name) is thing
    assert name in dir(dexa)


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(AttributeError, match="Dexxa"):
        _ = dexa.Dexxa  # type: ignore[attr-defined]
