"""One data set prepared, or trained and tested, in the research code's folders."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dexa.data import Dataset, load_dataset
from dexa.encoders import reads_features
from dexa.errors import InputError, MissingFileError, ModelFolderError
from dexa.estimator import Dexa
from dexa.preparation import prepare, prepared_tokens
from dexa.research_code.config import (
    METHODS,
    ResultsChoice,
    recipe_from_config,
    results_from_config,
)
from dexa.research_code.log import LOG, LogProgress, log_file
from dexa.research_code.place import Place, RunRequest
from dexa.research_code.results import RunFacts, evaluation_text, write_predictions
from dexa.storage import atomic_file, read_json
from dexa.tokens import TextTokenizer, TokenArray
from dexa.training import feature_tokens
from dexa.types import TopK

_ENCODER = "DEXA_ENCODER"


def prepare_data(place: Place, dataset: str, max_length: int) -> dict[str, Any]:
    """Tokenise a data set, with the tokenizer of the encoder that its configuration names.

    ``$DEXA_ENCODER`` goes before the configuration; without either it is MiniLM.

    Raises:
        InputError: the data set, its configuration or the encoder is no good.
    """
    folder = place.data(dataset)
    encoder = os.environ.get(_ENCODER) or _configured_encoder(place, dataset) or "minilm"
    LOG.info("tokenizer of %s, texts of up to %d tokens", encoder, max_length)
    return prepare(folder, encoder=encoder, max_length=max_length, progress=LogProgress())


def run(place: Place, request: RunRequest) -> Path:
    """Train a model, test it, and write models and results; returns the results' folder.

    Raises:
        InputError: the data set, the configuration or the device is no good.
        RunError: training or writing failed.
    """
    _choose_gpu(request.gpu)
    _seed(request.seed)
    path = place.config(request.method, request.dataset)
    config = read_json(path)
    choice = results_from_config(config, request.dataset, path=path)
    model_folder = place.run_folder("models", request, choice.arch)
    results = place.run_folder("results", request, choice.arch)
    results.mkdir(parents=True, exist_ok=True)
    with log_file(results / "log_train.txt"):
        estimator = _estimator(config, request, path)
        dataset = _dataset(place.data(request.dataset))
        seconds = _fit(estimator, dataset, model_folder)
    predictions, milliseconds = _answer(estimator, dataset, choice.kept)
    facts = RunFacts(
        train_seconds=seconds,
        model_megabytes=_size(model_folder) / 2**20,
        milliseconds=milliseconds,
    )
    _write_results(results, predictions, dataset, choice, facts)
    return results


def _choose_gpu(gpu: int) -> None:
    """Show the one GPU to this process; it holds because CUDA is not yet awake."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "" if gpu < 0 else str(gpu)


def _seed(seed: int) -> None:
    """Seed the global generators, as the research code promises; dexa draws from its own."""
    np.random.seed(seed)  # noqa: NPY002 - it is the global one that was promised
    torch.manual_seed(seed)


def _estimator(config: Any, request: RunRequest, path: Path) -> Dexa:
    recipe, lines = recipe_from_config(config, request.method, path=path)
    LOG.info("configuration %s", path)
    for line in lines:
        LOG.info("no effect: %s", line)
    if name := os.environ.get(_ENCODER):
        LOG.info("encoder %s of %s instead of %s", name, _ENCODER, recipe.encoder.name)
        recipe = recipe.changed({"encoder.name": json.dumps(name)})
    return Dexa(recipe, seed=request.seed, device="cpu" if request.gpu < 0 else "cuda")


def _dataset(folder: Path) -> Dataset:
    dataset = load_dataset(folder)
    if dataset.train is None or dataset.test is None:
        raise InputError(
            "only one of train and test",
            expected="documents to learn from and documents to test on",
            path=folder,
        )
    return dataset


def _configured_encoder(place: Place, dataset: str) -> str | None:
    for method in METHODS:
        try:
            path = place.config(method, dataset)
        except MissingFileError:
            continue
        name = recipe_from_config(read_json(path), method, path=path)[0].encoder.name
        if not reads_features(name):  # which has no tokenizer
            return name
    return None


def _fit(estimator: Dexa, dataset: Dataset, model_folder: Path) -> float:
    """Train from the last checkpoint, if there is one, and write the model; returns seconds."""
    checkpoints = model_folder.with_name(model_folder.name + ".checkpoints")
    started = time.perf_counter()
    try:
        estimator.fit(dataset, checkpoints=checkpoints, resume=True, progress=LogProgress())
    except ModelFolderError as error:
        raise ModelFolderError(
            error.given, do=f"delete {checkpoints}, or give the run another version"
        ) from error
    seconds = time.perf_counter() - started
    for record in estimator.model.history:
        LOG.info("%(stage)s epoch: %(epoch)d, loss: %(loss).6f, time: %(seconds).2f sec", record)
    estimator.save(model_folder)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return seconds


def _answer(estimator: Dexa, dataset: Dataset, kept: int) -> tuple[dict[str, TopK], float]:
    """Answers to the test documents, and milliseconds a document."""
    tokens = _test_tokens(estimator, dataset)
    started = time.perf_counter()
    k = max(kept, estimator.model.recipe.fusion.candidates)
    predictions = estimator.predict_scorers(tokens, k, progress=LogProgress())
    return predictions, 1e3 * (time.perf_counter() - started) / len(tokens)


def _test_tokens(estimator: Dexa, dataset: Dataset) -> TokenArray:
    assert dataset.folder is not None and dataset.test is not None  # it was read from there
    encoder = estimator.model.required_encoder
    if (features := feature_tokens(dataset, encoder)) is not None:
        return features["tst_doc"]
    tokenizer = encoder.tokenizer
    assert isinstance(tokenizer, TextTokenizer)
    prepared = prepared_tokens(dataset.folder, tokenizer, dataset.fields)
    if prepared is not None:
        return prepared["tst_doc"]
    assert dataset.test.texts is not None  # else training had found no tokens
    return tokenizer(dataset.test.texts)


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _write_results(
    folder: Path,
    predictions: dict[str, TopK],
    dataset: Dataset,
    choice: ResultsChoice,
    facts: RunFacts,
) -> None:
    assert dataset.train is not None and dataset.test is not None
    write_predictions(
        folder, predictions, dataset.test.filter_pairs, dataset.n_labels, kept=choice.kept
    )
    text = evaluation_text(predictions, dataset.test, dataset.train.labels, choice, facts)
    with atomic_file(folder / "log_eval.txt") as draft:
        draft.write_text(text, encoding="utf-8")
    LOG.info("%s", text.rstrip())
