"""Training: from tokens and a completed recipe to a model, in stages that can be resumed."""

from __future__ import annotations

import copy
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.auxiliary import AuxiliaryBank, initial_bank, no_vectors
from dexa.encoders import TextEncoder, encode
from dexa.model import Model, Scorers
from dexa.recipe import Recipe
from dexa.tokens import TokenArray
from dexa.training.checkpoints import Checkpoints
from dexa.training.corpus import Corpus, make_corpus
from dexa.training.devices import (
    Resources,
    choose_device,
    precision,
    told_when_full,
)
from dexa.training.encoded import Encoded, encoded
from dexa.training.further_scorers import Texts, check_texts, with_further
from dexa.training.loop import run
from dexa.training.stages import (
    make_classifier_stage,
    make_encoder_stage,
    make_reranker_stage,
    with_reranker,
)
from dexa.training.starting import feature_tokens, starting_encoder
from dexa.training.validation import fit_fusion
from dexa.types import NEIGHBOURS, WORD_NEIGHBOURS, Progress

__all__ = [
    "Examples",
    "Resources",
    "choose_device",
    "feature_tokens",
    "starting_encoder",
    "told_when_full",
    "train",
]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """What a model is trained on.

    Attributes:
        documents: tokens of N documents.
        labels: tokens of L labels.
        truth: positives, ``[N, L]``.
        filter_pairs: int64 ``[F, 2]``, document and label that are no pair to learn from or tell.
        document_texts: of the documents, for scorers that read words; None where only tokens are
            known.
        label_texts: what the model shows for a label; None where only tokens are known.
        label_titles: what labels are called in a text; None where only tokens are known.
        facts: of the data set, as JSON values.
        propensity: constants A and B.
    """

    documents: TokenArray
    labels: TokenArray
    truth: csr_array
    filter_pairs: NDArray[np.int64]
    document_texts: Sequence[str] | None
    label_texts: Sequence[str] | None
    label_titles: Sequence[str] | None
    facts: dict[str, Any]
    propensity: tuple[float, float]

    def checksum(self) -> str:
        """A fingerprint of texts and pairs, by which a resumed run knows its data again."""
        digest = hashlib.sha256()
        for tokens in (self.documents, self.labels):
            digest.update(tokens.ids.numpy().tobytes())
            digest.update(tokens.offsets.tobytes())
            if tokens.weights is not None:
                digest.update(tokens.weights.numpy().tobytes())
        for pairs in (self.truth.indptr, self.truth.indices, self.filter_pairs):
            digest.update(pairs.tobytes())
        return digest.hexdigest()


def train(
    examples: Examples,
    encoder: TextEncoder | None,
    recipe: Recipe,
    *,
    seed: int,
    on: Resources,
    checkpoints: Path | None,
    resume: bool,
    progress: Progress,
) -> Model:
    """Train all stages of a recipe.

    Args:
        examples: to learn from.
        encoder: where training starts; changed in place. None where every scorer reads words.
        recipe: completed.
        seed: of every random draw.
        on: device and memory.
        checkpoints: folder of checkpoints; None keeps none.
        resume: whether to go on from the checkpoints in that folder; else they are removed.
        progress: told of every step.

    Raises:
        DataError: no document has a label, or a scorer reads words and there are tokens alone.
        ModelFolderError: the checkpoints are of another run.
        DivergenceError: a loss is no longer a finite number.
    """
    texts = Texts(examples.document_texts, examples.label_texts, examples.label_titles)
    check_texts(recipe, texts)
    started = time.perf_counter()
    where = torch.device("cpu") if encoder is None else choose_device(on.device)
    corpus = make_corpus(
        examples.documents,
        examples.labels,
        examples.truth,
        examples.filter_pairs,
        validation=recipe.fusion.validation or 0,
        seed=seed,
        device=where,
    )
    facts = {"seed": seed, "device": where.type, "dataset": examples.facts}
    run_of = {"recipe": recipe.to_json(), **facts, "content": examples.checksum()}
    kept = Checkpoints(checkpoints, run_of)
    if not resume:
        kept.clear()
    stages = (
        _no_stages(corpus)
        if encoder is None
        else _run_stages(corpus, encoder, recipe, seed, on.memory, kept, progress)
    )
    scorers = with_further(
        stages.scorers,
        recipe,
        corpus,
        stages.arrays,
        texts,
        seed,
        progress,
    )
    a, b = examples.propensity
    progress.note(f"fusion is fitted on {len(corpus.held_out_rows):,} held-out documents")
    read = examples.document_texts
    held_out = None if read is None else [read[int(row)] for row in corpus.held_out_rows]
    second = None if scorers.second is None else encode(scorers.second, corpus.held_out)
    asked = scorers.ask(stages.arrays.held_out, held_out, second=second)
    fusion, calibration = fit_fusion(corpus, asked, recipe, examples.propensity, seed)
    scorers = scorers.searched_by(recipe.index.kind, progress)
    progress.note(f"trained in {time.perf_counter() - started:.0f} s")
    return Model(
        recipe=recipe,
        encoder=None if encoder is None else encoder.eval(),
        bank=stages.bank,
        scorers=scorers,
        fusion=fusion,
        calibration=calibration,
        frequency=np.bincount(examples.truth.indices, minlength=corpus.label_count),
        label_texts=examples.label_texts,
        states=np.zeros(corpus.label_count, np.uint8),
        document_texts=_kept_texts(recipe, corpus, read),
        facts={
            **facts,
            "documents_without_label": corpus.skipped,
            "held_out_documents": len(corpus.held_out_rows),
            "held_out_label_search": _last_figures(stages.history),
            "A": a,
            "B": b,
        },
        history=stages.history,
    )


@dataclass(frozen=True, kw_only=True)
class _Stages:
    """What the stages leave: bank, scorers, a record of each epoch, vectors."""

    bank: AuxiliaryBank
    scorers: Scorers
    history: list[dict[str, Any]]
    arrays: Encoded


def _no_stages(corpus: Corpus) -> _Stages:
    """Without an encoder there are no vectors, and nothing that stands on them."""
    return _Stages(
        bank=no_vectors(0, corpus.label_count, torch.device("cpu")),
        scorers=Scorers(),
        history=[],
        arrays=Encoded(
            documents=torch.empty(corpus.documents, 0),
            label_vectors=torch.empty(corpus.label_count, 0),
            held_out=torch.empty(len(corpus.held_out_rows), 0),
        ),
    )


def _run_stages(
    corpus: Corpus,
    encoder: TextEncoder,
    recipe: Recipe,
    seed: int,
    memory: float | None,
    kept: Checkpoints,
    progress: Progress,
) -> _Stages:
    """Train the encoder with its auxiliary vectors, and the classifiers on what it makes."""
    where = corpus.texts.ids.device
    encoder.to(where)
    bank = _initial_bank(corpus, encoder, recipe, seed)
    fresh = copy.deepcopy(encoder) if recipe.reranker.epochs else None
    history = run(make_encoder_stage(corpus, encoder, bank, recipe, seed), kept, progress)
    arrays = encoded(corpus, encoder, bank, recipe, memory, progress)
    stage = make_classifier_stage(corpus, arrays, (encoder, bank), recipe, seed)
    history = history + run(stage, kept, progress)
    if recipe.classifier_stage.encoder_share:
        arrays = encoded(corpus, encoder, bank, recipe, memory, progress)
    scorers = Scorers.over(
        arrays.label_vectors.to(where), stage.trained().to(where), stage.trained_head()
    )
    if fresh is not None:
        again = make_reranker_stage(corpus, arrays, scorers, fresh, recipe, seed)
        history = history + run(again, kept, progress)
        scorers = with_reranker(scorers, again)
    return _Stages(bank=bank, scorers=scorers, history=history, arrays=arrays)


def _kept_texts(
    recipe: Recipe, corpus: Corpus, texts: Sequence[str] | None
) -> Sequence[str] | None:
    """Texts of the documents that vote, where the recipe keeps them."""
    voting = {NEIGHBOURS, WORD_NEIGHBOURS} & set(recipe.fusion.scorers)
    if not recipe.fusion.keep_texts or not voting or texts is None:
        return None
    return [texts[int(row)] for row in corpus.rows]


def _last_figures(history: list[dict[str, Any]]) -> dict[str, float]:
    """The newest figures on held-out documents, in percent; none where there were none."""
    figures = [{k: v for k, v in record.items() if "@" in k} for record in history]
    return next((found for found in reversed(figures) if found), {})


def _initial_bank(corpus: Corpus, encoder: TextEncoder, recipe: Recipe, seed: int) -> Any:
    """The bank before training: clusters of what the untrained encoder makes of the labels."""
    choice = recipe.auxiliary
    assert choice.shared_vectors is not None
    assert choice.head_labels is not None
    assert choice.initial_norm is not None
    with precision(corpus.texts.ids.device):
        label_texts = encode(encoder, corpus.label_tokens())
    return initial_bank(
        label_texts,
        corpus.frequency,
        shared_vectors=choice.shared_vectors,
        head_labels=choice.head_labels,
        norm=choice.initial_norm,
        seed=seed,
    )
