"""Loss curves of tiny runs, kept as text files beside this one.

A change of the method, of an optimiser or of any random draw shows here, epoch by epoch. Where it
is meant, rewrite the files and look at what changed::

    DEXA_WRITE_GOLDEN=1 pytest tests/test_golden.py && git diff tests/golden

Six digits are kept, and compared to a relative 1e-4, which other processors keep.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from dexa import Dataset, Dexa, recipes
from tiny_models import tiny_recipe

GOLDEN = Path(__file__).parent / "golden"
WRITE = "DEXA_WRITE_GOLDEN"
TRAINED = {name: {} for name in recipes.__all__ if not getattr(recipes, name)().encoder.absent}
TRAINED |= {"dexa_plus": {"encoder.pairs": 64}}


def curve(name: str, encoder: Path, dataset: Dataset) -> list[tuple[str, int, float]]:
    """Stage, epoch and mean loss of each epoch."""
    recipe = tiny_recipe(encoder, name=name).changed(TRAINED[name])
    model = Dexa(recipe, seed=108, device="cpu").fit(dataset).model
    return [(record["stage"], record["epoch"], record["loss"]) for record in model.history]


def written(lines: list[tuple[str, int, float]]) -> str:
    return "".join(f"{stage} {epoch} {float(f'{loss:.6g}')!r}\n" for stage, epoch, loss in lines)


def read(text: str) -> list[tuple[str, int, float]]:
    rows = [line.split() for line in text.splitlines()]
    return [(stage, int(epoch), float(loss)) for stage, epoch, loss in rows]


@pytest.mark.parametrize("name", TRAINED)
def test_the_losses_are_those_of_before(name: str, tiny_encoder, tiny_dataset) -> None:
    lines, path = curve(name, tiny_encoder, tiny_dataset), GOLDEN / f"{name}.txt"
    if os.environ.get(WRITE):
        path.write_text(written(lines))
    expected = read(path.read_text())
    assert [line[:2] for line in lines] == [line[:2] for line in expected]
    for (stage, epoch, loss), (_, _, golden) in zip(lines, expected, strict=True):
        assert loss == pytest.approx(golden, rel=1e-4), (stage, epoch)


def test_the_curves_of_the_recipes_differ() -> None:
    curves = [read((GOLDEN / f"{name}.txt").read_text()) for name in TRAINED]
    assert all(one != two for one, two in itertools.combinations(curves, 2))
    assert all(loss > 0 for curve in curves for _, _, loss in curve)


def test_the_files_are_written_as_they_are_read() -> None:
    for path in GOLDEN.iterdir():
        assert written(read(path.read_text())) == path.read_text()
