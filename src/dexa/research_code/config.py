"""The research code's JSON configurations: what each key says here, and which say nothing.

A configuration has the sections ``global``, ``siamese`` (the encoder stage) and ``extreme`` (the
classifier stage). As in the research code, a stage takes a key that it does not give itself from
the sections before it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dexa import recipes
from dexa.errors import RecipeError
from dexa.metrics import propensity_constants
from dexa.recipe import Recipe
from dexa.research_code.no_effect import HEAD_LABELS, NO_EFFECT, VECTORS

METHODS = {
    "DEXA": recipes.dexa,
    "DEXA++": recipes.dexa_joint,
    "NGAME": recipes.ngame,
    "NGAME++": recipes.ngame_joint,
    "SiameseXML": recipes.siamesexml,
    "SiameseXML++": recipes.siamesexml_joint,
    "DeepXML": recipes.deepxml,
    "DeepXML-OVA": recipes.deepxml_ova,
    "DeepXML-ANNS": recipes.deepxml_anns,
}
"""The research code's types and the recipes they stand for."""

Sections: TypeAlias = dict[str, dict[str, Any]]

_LOOKS_IN = {
    "global": ("global",),
    "siamese": ("siamese", "global"),
    "extreme": ("extreme", "siamese", "global"),
}

_FIELDS: dict[str, dict[str, str]] = {
    "global": {"beta": "fusion.beta"},
    "siamese": {
        "encoder_name": "encoder.name",
        "max_length": "encoder.max_length",
        "num_epochs": "encoder_stage.epochs",
        "batch_size": "encoder_stage.batch_size",
        "learning_rate": "encoder_stage.learning_rate",
        "warmup_steps": "encoder_stage.warmup_steps",
        "weight_decay": "encoder_stage.weight_decay",
        "margin": "encoder_stage.margin",
        "loss_num_negatives": "encoder_stage.negatives",
        "sampling_init_cluster_size": "encoder_stage.cluster_size",
        "sampling_refresh_interval": "encoder_stage.cluster_every",
        "sampling_curr_epochs": "encoder_stage.curriculum",
    },
    "extreme": {
        "num_epochs": "classifier_stage.epochs",
        "batch_size": "classifier_stage.batch_size",
        "learning_rate": "classifier_stage.learning_rate",
        "warmup_steps": "classifier_stage.warmup_steps",
        "margin": "classifier_stage.margin",
        "loss_num_positives": "classifier_stage.positives",
        "loss_num_negatives": "classifier_stage.negatives",
        "sampling_init_cluster_size": "classifier_stage.cluster_size",
        "sampling_refresh_interval": "classifier_stage.cluster_every",
        "sampling_curr_epochs": "classifier_stage.curriculum",
        "num_nbrs": "fusion.candidates",
    },
}

_OF_SHORTLISTS = {"num_nbrs": "shortlist.length", "num_centroids": "shortlist.centroids"}
"""What keys of the classifier stage say where it learns from shortlists."""


_RESULTS_KEYS = ("arch", "A", "B", "top_k")


@dataclass(frozen=True, kw_only=True)
class ResultsChoice:
    """What a configuration says of folders and results.

    Attributes:
        arch: name of the folder of models and results.
        a: constant A of the propensities.
        b: constant B of the propensities.
        kept: fused answers of a document that ``score.npz`` keeps.
    """

    arch: str
    a: float
    b: float
    kept: int


def recipe_from_config(
    config: Any, method: str, *, path: Path | None = None
) -> tuple[Recipe, list[str]]:
    """The recipe that a configuration of the research code describes.

    Published values are taken as they are given; what a configuration leaves out is filled in
    from the data set's size.

    Args:
        config: the configuration, as JSON values.
        method: of `METHODS`.
        path: the file it was read from, for errors.

    Returns:
        The recipe, and a line for each key that has no effect here, with the reason.

    Raises:
        RecipeError: the method or a section is missing, or a value cannot be; the key is named.
    """
    if method not in METHODS:
        raise RecipeError(f"type {method!r}", expected=" or ".join(METHODS))
    sections = sections_of(config, path)
    recipe = METHODS[method]()
    used = set()
    for name, field, value in _settings(sections, method, path):
        used.add(name)
        try:
            # as JSON text, so that "5" stays the text it is
            recipe = recipe.changed({field: json.dumps(value)})
        except RecipeError as error:
            raise _bad(name, value, error.expected, path) from error
    return recipe, list(_lines_without_effect(sections, used))


def results_from_config(config: Any, dataset: str, *, path: Path | None = None) -> ResultsChoice:
    """What a configuration says of folders and results.

    Args:
        config: the configuration, as JSON values.
        dataset: its name gives A and B where the configuration does not.
        path: the file it was read from, for errors.

    Raises:
        RecipeError: a value cannot be; the key is named.
    """
    chosen = sections_of(config, path)["global"]
    a, b = propensity_constants(dataset)
    arch = chosen.get("arch", "STransformer")
    if not isinstance(arch, str) or Path(arch).name != arch:
        raise _bad("global.arch", arch, "a folder's name", path)
    return ResultsChoice(
        arch=arch,
        a=_number("global.A", chosen.get("A", a), 0, path),
        b=_number("global.B", chosen.get("B", b), 0, path),
        kept=_whole("global.top_k", chosen.get("top_k", 200), 1, path),
    )


def sections_of(config: Any, path: Path | None) -> Sections:
    """The three sections of a configuration.

    Raises:
        RecipeError: a section is missing or not a JSON object.
    """
    if isinstance(config, dict) and "surrogate" in config:  # DeepXML's name of the section
        config = {"siamese": config["surrogate"], **config}
        del config["surrogate"]
    for name in _LOOKS_IN:
        if not isinstance(config, dict) or not isinstance(config.get(name), dict):
            raise RecipeError(
                f"no section {name!r}",
                expected="the research code's sections 'global', 'siamese' and 'extreme'",
                path=path,
            )
    return config


def _found(sections: Sections, stage: str, key: str) -> tuple[str, Any] | None:
    """Where a stage finds a key, and its value."""
    for name in _LOOKS_IN[stage]:
        if key in sections[name]:
            return f"{name}.{key}", sections[name][key]
    return None


def _settings(sections: Sections, method: str, path: Path | None) -> Iterator[tuple[str, str, Any]]:
    """Each key that has a meaning: its name, the recipe field and that field's value."""
    for stage, known in _FIELDS.items():
        if stage == "extreme" and METHODS[method]().classifier_stage.loss != "triplet":
            known = known | _OF_SHORTLISTS
        for key, field in known.items():
            if found := _found(sections, stage, key):
                name, value = found
                yield name, field, hub_name(value) if key == "encoder_name" else value
    if found := _found(sections, "siamese", "sampling_curr_epochs"):
        name, epochs = found  # the research code clusters from the first of them on
        if epochs:
            yield name, "encoder_stage.cluster_from", epochs[0]
    if method.startswith("DEXA"):
        yield from _auxiliary_settings(sections, path)
    yield from _validation_settings(sections, path)


def _auxiliary_settings(sections: Sections, path: Path | None) -> Iterator[tuple[str, str, Any]]:
    own = _found(sections, "siamese", HEAD_LABELS) or (f"global.{HEAD_LABELS}", 0)
    for key in VECTORS:
        if found := _found(sections, "siamese", key):
            name, total = found
            shared = _whole(name, total, 0, path) - _whole(*own, 0, path)
            if shared < 0:
                raise _bad(name, total, f"at least the {own[1]} of {own[0]}", path)
            yield name, "auxiliary.shared_vectors", shared
            yield own[0], "auxiliary.head_labels", own[1]
            return


def _validation_settings(sections: Sections, path: Path | None) -> Iterator[tuple[str, str, Any]]:
    field = "encoder_stage.validations"
    wanted = _found(sections, "siamese", "validate") or ("siamese.validate", True)
    every = _found(sections, "siamese", "validate_after")
    epochs = _found(sections, "siamese", "num_epochs")
    if not isinstance(wanted[1], bool):
        raise _bad(*wanted, "true or false", path)
    if not wanted[1]:
        yield wanted[0], field, 0
    elif every is not None and epochs is not None:
        times = -(-_whole(*epochs, 0, path) // _whole(*every, 1, path))
        yield wanted[0], field, times
        yield every[0], field, times


def _lines_without_effect(sections: Sections, used: set[str]) -> Iterator[str]:
    used = used | {f"global.{key}" for key in _RESULTS_KEYS}
    for section, keys in sections.items():
        if section not in _LOOKS_IN:
            yield f"{section}: unknown section"
            continue
        for key, value in keys.items():
            if f"{section}.{key}" not in used:
                shown = json.dumps(value, ensure_ascii=False)
                yield f"{section}.{key} = {shown}: {NO_EFFECT.get(key) or _why_unused(key)}"


def _why_unused(key: str) -> str:
    known = {key for keys in _FIELDS.values() for key in keys} | {*_RESULTS_KEYS}
    if key in known:
        return "another section says it"
    near = difflib.get_close_matches(key, known | set(NO_EFFECT), n=1)
    return f"unknown key; did you mean {near[0]!r}?" if near else "unknown key"


def hub_name(name: Any) -> Any:
    """An encoder's name, where a bare hub name stands for one of sentence-transformers' own."""
    own = ("minilm", "bag", "sparse", "cnn", "rnn")
    if not isinstance(name, str) or "/" in name or name.partition(":")[0] in own:
        return name
    return name if Path(name).exists() else f"sentence-transformers/{name}"


def _whole(name: str, value: Any, least: int, path: Path | None) -> int:
    if type(value) is not int or value < least:
        raise _bad(name, value, f"a whole number of at least {least}", path)
    return value


def _number(name: str, value: Any, least: float, path: Path | None) -> float:
    if type(value) not in (int, float) or not value >= least:
        raise _bad(name, value, f"a number of at least {least}", path)
    return float(value)


def _bad(name: str, value: Any, expected: str, path: Path | None) -> RecipeError:
    shown = json.dumps(value, ensure_ascii=False)
    return RecipeError(f"{name} is {shown}", expected=expected, path=path)
