"""Recipes: a method as a frozen description of its parts and stages.

A field that is ``None`` is filled in from the data set's size by `completed`; the rule stands in
the comment beside the field. Everything else is a number one can read, change and save.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
import typing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dexa.errors import RecipeError
from dexa.storage import read_json, write_json


@dataclass(frozen=True, kw_only=True)
class EncoderChoice:
    """Which encoder, and how its texts are cut.

    Attributes:
        name: a path, ``minilm``, a hub id, or ``bag`` / ``bag:NAME`` for a bag of tokens over the
            vocabulary of one of these; ``auto`` is ``bag`` on a CPU and ``minilm`` on a GPU.
        max_length: tokens of a text, special tokens included.
        dropout: probability inside a transformer while it trains.
        initial: token vectors of a bag, ``pretrained`` or ``random``.
    """

    name: str = "auto"
    max_length: int | None = None  # 32 for titles, 128 for full text
    dropout: float = 0.0
    initial: str = "pretrained"


@dataclass(frozen=True, kw_only=True)
class AuxiliaryChoice:
    """The free vectors that are added to label embeddings (DEXA, section 3).

    Attributes:
        shared_vectors: number of clusters of labels that share a vector; 0 for none.
        head_labels: most frequent labels that get a vector of their own.
        initial_norm: expected length of a vector at the start; label texts have length 1.
        learning_rate: of the vectors, following the same schedule as the encoder's.
    """

    shared_vectors: int | None = None  # a third of the labels, at most 65,536
    head_labels: int | None = None  # a hundredth of the labels, at most 1,000
    initial_norm: float = 0.15
    learning_rate: float | None = None  # 5e-4 beside a transformer, 1e-4 beside a bag of tokens


@dataclass(frozen=True, kw_only=True)
class EncoderStage:
    """Module I: the siamese encoder, trained on clustered batches (NGAME).

    Attributes:
        epochs: passes over the documents.
        batch_size: documents of a batch.
        learning_rate: highest rate of AdamW.
        warmup_steps: steps of linear growth before the linear decay to zero.
        weight_decay: of dense weights but biases and layer norms.
        margin: by how much a positive should beat a negative, in cosine.
        negatives: hardest in-batch negatives of a document that enter the loss.
        temperature: of the softmax that weighs those negatives.
        cluster_size: documents of a cluster at the start.
        cluster_from: first epoch with clustered batches; before it documents are shuffled.
        cluster_every: epochs between two clusterings of the embedding memory.
        curriculum: epochs at which the clusters double in size.
        validations: how often the stage is validated on its way.
    """

    epochs: int | None = None  # 40 for a transformer, 20 for a bag of tokens
    batch_size: int | None = None  # 1,600; an eighth of the documents when there are few
    learning_rate: float | None = None  # 1e-2 for a bag; 1e-3 up to 384 dimensions, 2e-4 above
    warmup_steps: int = 100
    weight_decay: float = 0.01
    margin: float = 0.3
    negatives: int = 10
    temperature: float = 0.1
    cluster_size: int = 4
    cluster_from: int | None = None  # a thirtieth of the epochs
    cluster_every: int = 5
    curriculum: tuple[int, ...] | None = None  # at {10,25,50,75,100,125,150,200}/300 of the epochs
    validations: int = 2


@dataclass(frozen=True, kw_only=True)
class ClassifierStage:
    """Modules II to IV: one classifier a label on the frozen encoder.

    Attributes:
        epochs: passes over the documents; 0 leaves the classifiers at the label embeddings.
        batch_size: documents of a batch.
        learning_rate: highest rate of row-wise Adam.
        warmup_steps: steps of linear growth before the linear decay to zero.
        dropout: probability on the documents' embeddings.
        margin: by how much a positive should beat a negative, in cosine.
        positives: least similar positives of a document that enter the loss.
        negatives: hardest negatives of a document that enter the loss.
        cluster_size: documents of a cluster.
        cluster_every: epochs between two clusterings of the documents.
        curriculum: epochs at which the clusters double in size.
    """

    epochs: int | None = None  # 20 for a transformer, 6 for a bag of tokens
    batch_size: int | None = None  # 2,048; an eighth of the documents when there are few
    learning_rate: float = 1e-3
    warmup_steps: int = 100
    dropout: float = 0.5
    margin: float = 0.2
    positives: int = 3
    negatives: int = 5
    cluster_size: int = 32
    cluster_every: int = 5
    curriculum: tuple[int, ...] | None = None  # at {20}/100 of the epochs


@dataclass(frozen=True, kw_only=True)
class FusionChoice:
    """How the scores of label search and classifiers become one.

    Attributes:
        validation: documents held out from training, on which the fusion is fitted.
        candidates: answers of each scorer that are fused.
        depth: of the decision tree.
        leaf: candidates in a leaf of the tree at least.
        tree_weight: of the tree's probability beside label search.
        beta: weight of both beside the classifiers.
    """

    validation: int | None = None  # a twentieth of the documents, at most 5,000
    candidates: int = 100
    depth: int = 7
    leaf: int = 50
    tree_weight: float = 2.0
    beta: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A method, completely described; `dexa.recipes` holds the published ones."""

    name: str
    encoder: EncoderChoice = field(default_factory=EncoderChoice)
    auxiliary: AuxiliaryChoice = field(default_factory=AuxiliaryChoice)
    encoder_stage: EncoderStage = field(default_factory=EncoderStage)
    classifier_stage: ClassifierStage = field(default_factory=ClassifierStage)
    fusion: FusionChoice = field(default_factory=FusionChoice)

    def __post_init__(self) -> None:
        _check(self)

    def to_json(self) -> dict[str, Any]:
        """The recipe as plain JSON values."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @staticmethod
    def from_json(value: Any, *, path: str | Path | None = None) -> Recipe:
        """A recipe from plain JSON values; missing keys take their defaults.

        Raises:
            RecipeError: a key is unknown (the nearest is named) or a value has the wrong type.
        """
        return _build(Recipe, value, "", path)

    def save(self, path: Path) -> None:
        """Write the recipe as a JSON file."""
        write_json(path, self.to_json())

    @staticmethod
    def load(path: Path) -> Recipe:
        """Read a recipe from a JSON file."""
        return Recipe.from_json(read_json(path), path=path)

    def changed(self, settings: typing.Mapping[str, Any]) -> Recipe:
        """The recipe with some fields changed.

        Args:
            settings: ``{"encoder_stage.epochs": 40}``; texts are read as JSON where they are JSON.

        Raises:
            RecipeError: no such field, or a value it cannot take.
        """
        tree = self.to_json()
        for key, value in settings.items():
            *parents, last = key.split(".")
            node: Any = tree
            for parent in parents:
                node = node.get(parent) if isinstance(node, dict) else None
            if not isinstance(node, dict) or isinstance(node.get(last), dict):
                raise _unknown(key, _leaves(self.to_json()))
            if last not in node:
                raise _unknown(key, _leaves(self.to_json()))
            node[last] = _parsed(value)
        return Recipe.from_json(tree)


@dataclass(frozen=True, kw_only=True)
class Size:
    """What `completed` has to know of a data set and its encoder.

    Attributes:
        documents: training documents with a label.
        labels: L.
        width: dimensions of the transformer; None for a bag of tokens.
        titles: whether texts are titles rather than full texts.
    """

    documents: int
    labels: int
    width: int | None
    titles: bool


_ENCODER_CURRICULUM = (10, 25, 50, 75, 100, 125, 150, 200)
_PUBLISHED_EPOCHS = 300


def completed(recipe: Recipe, size: Size) -> Recipe:
    """The recipe with every field filled in that was left to the data set's size."""
    first, second = recipe.encoder_stage, recipe.classifier_stage
    bag = size.width is None
    epochs = _or(first.epochs, 20 if bag else 40)
    few = max(1, size.documents // 8)
    return dataclasses.replace(
        recipe,
        encoder=_filled(recipe.encoder, max_length=32 if size.titles else 128),
        auxiliary=_filled(
            recipe.auxiliary,
            shared_vectors=min(65_536, math.ceil(size.labels / 3)),
            head_labels=min(1_000, size.labels // 100),
            learning_rate=1e-4 if bag else 5e-4,
        ),
        encoder_stage=_filled(
            first,
            epochs=epochs,
            batch_size=min(1_600, few),
            learning_rate=_learning_rate(size.width),
            cluster_from=max(1, epochs // 30),
            curriculum=_scaled(_ENCODER_CURRICULUM, epochs, _PUBLISHED_EPOCHS),
        ),
        classifier_stage=_filled(
            second,
            epochs=6 if bag else 20,
            batch_size=min(2_048, few),
            curriculum=_scaled((20,), _or(second.epochs, 6 if bag else 20), 100),
        ),
        fusion=_filled(recipe.fusion, validation=min(5_000, size.documents // 20)),
    )


def _learning_rate(width: int | None) -> float:
    """Small transformers bear, and want, five times the published rate."""
    if width is None:
        return 1e-2
    return 1e-3 if width <= 384 else 2e-4


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _filled(part: Any, **defaults: Any) -> Any:
    missing = {key: value for key, value in defaults.items() if getattr(part, key) is None}
    return dataclasses.replace(part, **missing)


def _scaled(epochs: tuple[int, ...], total: int, published: int) -> tuple[int, ...]:
    return tuple(sorted({max(1, round(e * total / published)) for e in epochs}))


def _check(recipe: Recipe) -> None:
    """Refuse values that no run could use."""
    at_least_zero = {"warmup_steps", "dropout", "initial_norm", "shared_vectors", "head_labels"}
    at_least_zero |= {
        "tree_weight",
        "weight_decay",
        "validations",
        "beta",
        "margin",
        "learning_rate",
    }
    at_least_zero |= {"cluster_from", "validation", "epochs"}
    for name, value in _leaves(dataclasses.asdict(recipe)).items():
        last = name.rpartition(".")[2]
        if isinstance(value, int | float) and not math.isfinite(value):
            raise RecipeError(f"{name} is {value}", expected="a finite number")
        if isinstance(value, int | float) and value < (0 if last in at_least_zero else 1e-12):
            raise RecipeError(f"{name} is {value}", expected="a larger number")
        if last == "dropout" and value >= 1:
            raise RecipeError(f"{name} is {value}", expected="a probability below 1")
    if recipe.encoder.initial not in ("pretrained", "random"):
        raise RecipeError(
            f"encoder.initial is {recipe.encoder.initial!r}", expected="'pretrained' or 'random'"
        )
    if recipe.encoder.max_length is not None and recipe.encoder.max_length < 3:
        raise RecipeError(
            f"encoder.max_length is {recipe.encoder.max_length}",
            expected="at least 3, room for a token between the two special ones",
        )


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            leaves |= _leaves(value, f"{prefix}{key}.")
        else:
            leaves[prefix + key] = value
    return leaves


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _unknown(key: str, known: typing.Iterable[str], path: str | Path | None = None) -> RecipeError:
    known = list(known)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return RecipeError(f"no recipe field {key!r}", do=f"did you mean {near[0]!r}?", path=path)


def _build(cls: type, value: Any, prefix: str, path: str | Path | None) -> Any:
    if not isinstance(value, dict):
        raise RecipeError(
            f"{prefix.rstrip('.') or 'the recipe'} is {json.dumps(value)}",
            expected="a JSON object",
            path=path,
        )
    hints = typing.get_type_hints(cls)
    names = {f.name for f in fields(cls)}
    for key in value:
        if key not in names:
            raise _unknown(prefix + key, (prefix + name for name in names), path)
    if "name" in names and not prefix and "name" not in value:
        raise RecipeError("a recipe without a name", do='add "name": "…"', path=path)
    built = {key: _value(hints[key], item, prefix + key, path) for key, item in value.items()}
    return cls(**built)


def _value(hint: Any, value: Any, name: str, path: str | Path | None) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast("type", hint), value, name + ".", path)
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for choice in choices:
        if choice is type(None) and value is None:
            return None
        if choice is str and isinstance(value, str):
            return value
        if choice is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if choice is int and isinstance(value, int) and not isinstance(value, bool):
            return value
        if typing.get_origin(choice) is tuple and _is_int_list(value):
            return tuple(typing.cast("list[int]", value))
    wanted = " or ".join(_spoken(choice) for choice in choices)
    raise RecipeError(f"{name} is {json.dumps(value)}", expected=wanted, path=path)


def _is_int_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(type(item) is int for item in value)


def _spoken(hint: Any) -> str:
    if typing.get_origin(hint) is tuple:
        return "a list of whole numbers"
    return {str: "a text", int: "a whole number", float: "a number", type(None): "null"}[hint]
