"""What no recipe can be."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from dexa.errors import RecipeError
from dexa.recipe.reading import leaves
from dexa.types import CLASSIFIERS, LABEL_SEARCH, NEIGHBOURS, RERANKER, SCORERS, SHORTLIST

if TYPE_CHECKING:
    from dexa.recipe.fields import EncoderChoice, Recipe
    from dexa.recipe.scoring_fields import FusionChoice

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
    *("frequency_power", "mixed", "votes_weight", "encoder_share", "random_negatives", "restart"),
    *("shortlist_every", "probes"),
}

LOSSES = {
    "documents": ("triplet", "softmax"),
    "labels": ("likelihood", "softmax"),
    "clusters": ("bce",),
}
"""Those of each task of the encoder stage, the first by default."""

_VECTOR_FILES = (".npy", ".vec", ".vec.gz")

_CHOICES = {
    "encoder.activation": ("relu", "gelu"),
    "encoder.label_side": ("text", "centroid"),
    "encoder_stage.task": ("documents", "labels", "clusters"),
    "classifier_stage.start": ("label_vectors", "smoothed", "zero"),
    "classifier_stage.compared_with": ("batch", "shortlist", "all"),
    "classifier_stage.loss": ("triplet", "prob", "bce"),
    "classifier_stage.moments": ("float32", "bfloat16"),
    "index.kind": ("auto", "exact", "pq", "faiss"),
    "fusion.method": ("tree", "boosted", "blend", "single"),
}


def check(recipe: Recipe) -> None:
    """Refuse values that no run could use.

    Raises:
        RecipeError: such a value, or two that do not fit each other.
    """
    for name, value in leaves(dataclasses.asdict(recipe)).items():
        last = name.rpartition(".")[2]
        if value is None or isinstance(value, bool):
            continue
        if isinstance(value, int | float) and not math.isfinite(value):
            raise RecipeError(f"{name} is {value}", expected="a finite number")
        if isinstance(value, int | float) and value < (0 if last in _MAY_BE_ZERO else 1e-12):
            raise RecipeError(f"{name} is {value}", expected="a larger number")
        if last in ("dropout", "ceiling") and value >= 1:
            raise RecipeError(f"{name} is {value}", expected="a probability below 1")
        if last in ("mixed", "votes_weight", "restart") and value > 1:
            raise RecipeError(f"{name} is {value}", expected="a share, 1 at most")
    if recipe.auxiliary.shared_vectors == 0 and recipe.auxiliary.head_labels:
        raise RecipeError(
            "auxiliary.head_labels without auxiliary.shared_vectors",
            expected="shared vectors for the labels that are not head labels",
        )
    for name, choices in _CHOICES.items():
        part, _, field = name.partition(".")
        if (value := getattr(getattr(recipe, part), field)) not in choices:
            expected = f"{', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}"
            raise RecipeError(f"{name} is {value!r}", expected=expected)
    if recipe.further.b > 1:
        raise RecipeError(f"further.b is {recipe.further.b}", expected="a number from 0 to 1")
    _check_fusion(recipe.fusion)
    _check_encoder(recipe.encoder, recipe.fusion.scorers)
    _check_encoder_stage(recipe)
    _check_classifiers(recipe)


def _check_fusion(choice: FusionChoice) -> None:
    """Refuse scorers that there are not, and a fusion that cannot have them."""
    for name in choice.scorers:
        if name not in SCORERS:
            raise RecipeError(f"a scorer {name!r}", expected=f"of {', '.join(SCORERS)}")
    if not choice.scorers or len(set(choice.scorers)) < len(choice.scorers):
        raise RecipeError(
            f"fusion.scorers is {list(choice.scorers)}", expected="one or more, each once"
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
    dense = {LABEL_SEARCH, CLASSIFIERS, NEIGHBOURS, SHORTLIST, RERANKER} & set(scorers)
    if choice.absent and dense:
        raise RecipeError(
            f"{' and '.join(sorted(dense))} without an encoder",
            expected="an encoder, or fusion.scorers that read words",
            do="set encoder.name",
        )
    initial = choice.initial
    if initial not in ("pretrained", "random") and not initial.endswith(_VECTOR_FILES):
        raise RecipeError(
            f"encoder.initial is {initial!r}",
            expected=f"'pretrained' or 'random', or a file {', '.join(_VECTOR_FILES)}",
        )
    if choice.max_length is not None and choice.max_length < 3:
        raise RecipeError(
            f"encoder.max_length is {choice.max_length}",
            expected="at least 3, room for a token between the two special ones",
        )


def _check_encoder_stage(recipe: Recipe) -> None:
    """Refuse a loss that its task does not have, and auxiliary vectors that nothing trains."""
    stage = recipe.encoder_stage
    losses = LOSSES[stage.task]
    if stage.loss is not None and stage.loss not in losses:
        raise RecipeError(
            f"encoder_stage.loss {stage.loss!r} for the task {stage.task!r}",
            expected=" or ".join(map(repr, losses)),
            do=f"set encoder_stage.loss={losses[0]}",
        )
    if stage.task != "documents" and recipe.auxiliary.shared_vectors:
        raise RecipeError(
            f"auxiliary.shared_vectors for the task {stage.task!r}",
            expected="batches of documents, which train them",
            do="set auxiliary.shared_vectors=0, auxiliary.head_labels=0",
        )


def _check_classifiers(recipe: Recipe) -> None:
    """Refuse a loss that does not go with the labels compared, and parts that contradict."""
    stage, sources = recipe.classifier_stage, recipe.shortlist.sources
    if (stage.loss == "triplet") != (stage.compared_with == "batch"):
        raise RecipeError(
            f"classifier_stage.loss {stage.loss!r} with labels of {stage.compared_with!r}",
            expected="'triplet' in a batch, 'prob' or 'bce' elsewhere",
        )
    if stage.start == "zero" and stage.loss != "bce":
        raise RecipeError(
            f"classifier_stage.start 'zero' for the loss {stage.loss!r}",
            expected="a direction to start with: a cosine with nothing is none",
            do="set classifier_stage.start=label_vectors",
        )
    if stage.own_block and stage.compared_with == "batch":
        raise RecipeError(
            "classifier_stage.own_block with labels of a batch",
            expected="classifiers that see the encoder's vectors themselves",
            do="set classifier_stage.own_block=false",
        )
    known = ("centroids", "label_vectors")
    if not sources or not set(sources) <= set(known):
        raise RecipeError(
            f"shortlist.sources is {list(sources)}", expected=f"one or both of {', '.join(known)}"
        )
    if (RERANKER in recipe.fusion.scorers) != (recipe.reranker.epochs > 0):
        raise RecipeError(
            f"reranker.epochs {recipe.reranker.epochs}, and fusion.scorers "
            f"{', '.join(recipe.fusion.scorers)}",
            expected="a re-ranker that is trained and asked, or neither",
            do=f"add {RERANKER!r} to fusion.scorers, or set reranker.epochs=0",
        )
