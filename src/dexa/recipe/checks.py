"""What no recipe can be."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from dexa.errors import RecipeError
from dexa.recipe.reading import leaves
from dexa.types import CLASSIFIERS, LABEL_SEARCH, SCORERS

if TYPE_CHECKING:
    from dexa.recipe.fields import EncoderChoice, FusionChoice, Recipe

_MAY_BE_ZERO = {
    *("shared_vectors", "head_labels", "initial_norm", "learning_rate", "epochs", "warmup_steps"),
    *("weight_decay", "margin", "cluster_from", "validations", "dropout", "validation"),
    *(
        "tree_weight",
        "beta",
        "texts_at_once",
        "tail_weight",
        "k1",
        "b",
        "pairs",
        "rarity",
        "keep_texts",
    ),
}


def check(recipe: Recipe) -> None:
    """Refuse values that no run could use.

    Raises:
        RecipeError: such a value, or two that do not fit each other.
    """
    for name, value in leaves(dataclasses.asdict(recipe)).items():
        last = name.rpartition(".")[2]
        if isinstance(value, int | float) and not math.isfinite(value):
            raise RecipeError(f"{name} is {value}", expected="a finite number")
        if isinstance(value, int | float) and value < (0 if last in _MAY_BE_ZERO else 1e-12):
            raise RecipeError(f"{name} is {value}", expected="a larger number")
        if last == "dropout" and value >= 1:
            raise RecipeError(f"{name} is {value}", expected="a probability below 1")
    if recipe.auxiliary.shared_vectors == 0 and recipe.auxiliary.head_labels:
        raise RecipeError(
            "auxiliary.head_labels without auxiliary.shared_vectors",
            expected="shared vectors for the labels that are not head labels",
        )
    if recipe.classifier_stage.moments not in ("float32", "bfloat16"):
        raise RecipeError(
            f"classifier_stage.moments is {recipe.classifier_stage.moments!r}",
            expected="'float32' or 'bfloat16'",
        )
    if recipe.encoder_stage.loss not in ("triplet", "softmax"):
        raise RecipeError(
            f"encoder_stage.loss is {recipe.encoder_stage.loss!r}",
            expected="'triplet' or 'softmax'",
        )
    if recipe.index.kind not in ("auto", "exact", "faiss"):
        raise RecipeError(
            f"index.kind is {recipe.index.kind!r}", expected="'auto', 'exact' or 'faiss'"
        )
    if recipe.further.b > 1:
        raise RecipeError(f"further.b is {recipe.further.b}", expected="a number from 0 to 1")
    _check_fusion(recipe.fusion)
    _check_encoder(recipe.encoder, recipe.fusion.scorers)


def _check_fusion(choice: FusionChoice) -> None:
    """Refuse scorers that there are not, and a fusion that cannot have them."""
    for name in choice.scorers:
        if name not in SCORERS:
            raise RecipeError(f"a scorer {name!r}", expected=f"of {', '.join(SCORERS)}")
    if not choice.scorers or len(set(choice.scorers)) < len(choice.scorers):
        raise RecipeError(
            f"fusion.scorers is {list(choice.scorers)}", expected="one or more, each once"
        )
    if choice.method not in ("tree", "boosted", "single"):
        raise RecipeError(
            f"fusion.method is {choice.method!r}", expected="'tree', 'boosted' or 'single'"
        )
    if choice.method == "single" and len(choice.scorers) > 1:
        raise RecipeError(
            f"fusion.method 'single' of {', '.join(choice.scorers)}",
            expected="one scorer",
            do="set fusion.method=boosted",
        )
    if choice.method == "tree" and set(choice.scorers) != {LABEL_SEARCH, CLASSIFIERS}:
        raise RecipeError(
            f"fusion.method 'tree' of {', '.join(choice.scorers)}",
            expected=f"{LABEL_SEARCH} and {CLASSIFIERS}",
            do="set fusion.method=boosted",
        )


def _check_encoder(choice: EncoderChoice, scorers: tuple[str, ...]) -> None:
    """Refuse an encoder that cannot be, or that scorers lack."""
    dense = {LABEL_SEARCH, CLASSIFIERS} & set(scorers)
    if choice.absent and dense:
        raise RecipeError(
            f"{' and '.join(sorted(dense))} without an encoder",
            expected="an encoder, or fusion.scorers that read words",
            do="set encoder.name",
        )
    if choice.initial not in ("pretrained", "random"):
        raise RecipeError(
            f"encoder.initial is {choice.initial!r}", expected="'pretrained' or 'random'"
        )
    if choice.max_length is not None and choice.max_length < 3:
        raise RecipeError(
            f"encoder.max_length is {choice.max_length}",
            expected="at least 3, room for a token between the two special ones",
        )
