"""Changes of a model's labels: as values, and what a model is after them.

A change holds everything it needs as arrays, so that it can be written down and made again without
the encoder: the model is then the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from dexa import metrics
from dexa.auxiliary import AuxiliaryBank
from dexa.lexical import SparseLinear, with_values
from dexa.model.parts import HIDDEN, REMOVED, SHOWN, Model
from dexa.model.scorers import Scorers, WordScorers
from dexa.types import CLASSIFIERS, LABEL_SEARCH, LABEL_WORDS, LINEAR, Index

ADD, RENAME, REMOVE, HIDE, SHOW = "add", "rename", "remove", "hide", "show"
KINDS = (ADD, RENAME, REMOVE, HIDE, SHOW)

_STATES = {REMOVE: REMOVED, HIDE: HIDDEN, SHOW: SHOWN}


@dataclass(frozen=True, kw_only=True, eq=False)
class Documents:
    """M documents that come with new labels, to vote as neighbours.

    Attributes:
        vectors: unit vectors, float32 ``[M, D]``.
        labels: their labels, ``[M, n]``, by place among the labels of the change.
        texts: themselves, where the model keeps texts.
    """

    vectors: torch.Tensor
    labels: csr_array
    texts: Sequence[str] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelRows:
    """All that a model holds of n labels.

    Attributes:
        texts: n.
        embeddings: unit label embeddings, float32 ``[n, D]``.
        classifiers: unit classifiers, float32 ``[n, D]``.
        vector_of_label: int64 ``[n]``, as `AuxiliaryBank` has it.
        frequency: int64 ``[n]``, documents of each.
        linear: weights of words ``[n, V]`` and biases; None where no scorer has them.
        documents: that came with them; None without.
    """

    texts: Sequence[str]
    embeddings: torch.Tensor
    classifiers: torch.Tensor
    vector_of_label: NDArray[np.int64]
    frequency: NDArray[np.int64]
    linear: SparseLinear | None
    documents: Documents | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelChange:
    """One change of some labels.

    Attributes:
        kind: of `KINDS`.
        labels: int64 ``[n]``; those of an addition follow the last label without a gap.
        rows: what they are from now on, where labels are added or renamed.
    """

    kind: str
    labels: NDArray[np.int64]
    rows: LabelRows | None = None


def of_state(kind: str, labels: NDArray[np.int64]) -> LabelChange:
    """The change that removes, hides or shows some labels."""
    assert kind in _STATES
    return LabelChange(kind=kind, labels=labels)


def applied(model: Model, changes: Sequence[LabelChange]) -> Model:
    """The model after some changes, in their order.

    Indexes take in new vectors in place, so the old model must not be asked any more.
    """
    for kind, several in groupby(changes, key=lambda change: change.kind):
        run = list(several)
        if kind == RENAME:  # of each label, the last counts
            run = list({int(change.labels[0]): change for change in run}.values())
        if kind in _STATES:
            labels = np.unique(np.concatenate([change.labels for change in run]))
            model = _after(model, of_state(kind, labels))
        else:
            model = _after(model, _at_once(run))
    return model


def _after(model: Model, change: LabelChange) -> Model:
    if change.rows is not None:
        return _with_rows(model, change.labels, change.rows)
    states = model.states.copy()
    states[change.labels] = _STATES[change.kind]
    if change.kind != REMOVE:
        return replace(model, states=states)
    for index in model.scorers.dense.values():
        index.remove(change.labels)
    texts = model.label_texts
    if texts is not None:
        gone = set(change.labels.tolist())
        texts = ["" if label in gone else text for label, text in enumerate(texts)]
    return replace(model, states=states, label_texts=texts)


def _with_rows(model: Model, labels: NDArray[np.int64], rows: LabelRows) -> Model:
    counts = with_values(model.frequency, labels, rows.frequency)
    rarity = metrics.inverse_propensity_of(
        rows.frequency, training_documents(model), model.facts["A"], model.facts["B"]
    )
    weights = with_values(model.fusion.inverse_propensity, labels, rarity)
    vectors = with_values(model.bank.vector_of_label, labels, rows.vector_of_label)
    texts = None if model.label_texts is None else [*model.label_texts]
    if texts is not None:
        texts += [""] * (len(counts) - len(texts))
        for label, text in zip(labels.tolist(), rows.texts, strict=True):
            texts[label] = text
    known = model.document_texts
    if known is not None and rows.documents is not None:
        known = [*known, *(rows.documents.texts or ())]
    return replace(
        model,
        scorers=_scorers(model.scorers, labels, rows),
        fusion=replace(model.fusion, inverse_propensity=weights),
        bank=AuxiliaryBank(model.bank.vectors, vectors),
        frequency=counts,
        label_texts=texts,
        states=np.append(model.states, np.zeros(len(counts) - len(model.states), np.uint8)),
        document_texts=known,
    )


def _scorers(scorers: Scorers, labels: NDArray[np.int64], rows: LabelRows) -> Scorers:
    count = len(scorers.label_search)
    votes, words = scorers.neighbours, scorers.words
    vectors = {LABEL_SEARCH: rows.embeddings, CLASSIFIERS: rows.classifiers}
    dense = {n: _indexed(index, labels, vectors[n]) for n, index in scorers.dense.items()}
    if votes is not None and labels.max() >= count:
        votes = votes.of_labels(int(labels.max()) + 1)
    if votes is not None and rows.documents is not None:
        by_place = rows.documents.labels
        shape = (by_place.indptr.size - 1, len(dense[LABEL_SEARCH]))
        own = csr_array((by_place.data, labels[by_place.indices], by_place.indptr), shape=shape)
        votes = votes.joined_by(rows.documents.vectors, own)
    if words is not None:
        words = _words(words, labels, rows)
    return Scorers(dense=dense, neighbours=votes, words=words)


def _words(words: WordScorers, labels: NDArray[np.int64], rows: LabelRows) -> WordScorers:
    by_name = dict(words.by_name)
    if words.label_words is not None:
        texts = words.features.transform(rows.texts)
        by_name[LABEL_WORDS] = words.label_words.changed(labels, texts)
    if words.linear is not None:
        assert rows.linear is not None
        by_name[LINEAR] = words.linear.changed(labels, rows.linear)
    return replace(words, by_name=by_name)


def _indexed(index: Index, labels: NDArray[np.int64], vectors: torch.Tensor) -> Index:
    if labels.min() < len(index):
        return index.changed(labels, vectors)
    index.add(vectors)
    return index


def _at_once(changes: Sequence[LabelChange]) -> LabelChange:
    """Changes of one kind, of other labels each, as one.

    An index of a million labels is then copied, or its graph built anew, once and not each time.
    """
    if len(changes) == 1:
        return changes[0]
    every = [cast("LabelRows", change.rows) for change in changes]
    linear = [rows.linear for rows in every if rows.linear is not None]
    came = [rows.documents for rows in every]
    documents = [some for some in came if some is not None]
    return LabelChange(
        kind=changes[0].kind,
        labels=np.concatenate([change.labels for change in changes]),
        rows=LabelRows(
            texts=[text for rows in every for text in rows.texts],
            embeddings=torch.cat([rows.embeddings for rows in every]),
            classifiers=torch.cat([rows.classifiers for rows in every]),
            vector_of_label=np.concatenate([rows.vector_of_label for rows in every]),
            frequency=np.concatenate([rows.frequency for rows in every]),
            linear=_stacked(linear) if linear else None,
            documents=_gathered(documents, came, every) if documents else None,
        ),
    )


def _stacked(linear: Sequence[SparseLinear]) -> SparseLinear:
    weights = csr_array(vstack([some.weights for some in linear], format="csr"))
    return replace(linear[0], weights=weights, bias=np.concatenate([some.bias for some in linear]))


def _gathered(
    documents: Sequence[Documents], came: Sequence[Documents | None], every: Sequence[LabelRows]
) -> Documents:
    starts = np.cumsum([0, *(len(rows.texts) for rows in every)])
    parts = [
        csr_array(
            (some.labels.data, some.labels.indices + start, some.labels.indptr),
            shape=(some.labels.indptr.size - 1, int(starts[-1])),
        )
        for some, start in zip(came, starts[:-1], strict=True)
        if some is not None
    ]
    kept = all(some.texts is not None for some in documents)
    return Documents(
        vectors=torch.cat([some.vectors for some in documents]),
        labels=csr_array(vstack(parts, format="csr")),
        texts=[text for some in documents for text in some.texts or ()] if kept else None,
    )


def training_documents(model: Model) -> int:
    """Documents that a model was trained on: with a label, and not held out."""
    facts = model.facts
    skipped, held_out = facts["documents_without_label"], facts["held_out_documents"]
    return facts["dataset"]["documents"] - skipped - held_out
