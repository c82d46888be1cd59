"""Changes of a model's labels: as values, and what a model is after them.

A change holds everything it needs as arrays, so that it can be written down and made again without
the encoder: the model is then the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from dexa import metrics
from dexa.auxiliary import AuxiliaryBank
from dexa.lexical import Bm25, FrequentLabels, LabelSearch, SparseLinear, WordIndex, with_values
from dexa.model.parts import HIDDEN, REMOVED, SHOWN, Model
from dexa.model.scorers import Scorers, WordScorer, WordScorers
from dexa.neighbours import NeighbourVotes, SearchT
from dexa.types import CENTROIDS, Index

ADD, RENAME, REMOVE, HIDE, SHOW = "add", "rename", "remove", "hide", "show"
KINDS = (ADD, RENAME, REMOVE, HIDE, SHOW)

_STATES = {REMOVE: REMOVED, HIDE: HIDDEN, SHOW: SHOWN}


@dataclass(frozen=True, kw_only=True, eq=False)
class Documents:
    """M documents that come with new labels, to vote as neighbours.

    Attributes:
        vectors: unit vectors, float32 ``[M, D]``; None where no vectors vote.
        features: unit features ``[M, V]``; None where no words vote.
        labels: their labels, ``[M, n]``, by place among the labels of the change.
        texts: themselves, where the model keeps texts.
    """

    vectors: torch.Tensor | None
    features: csr_array | None
    labels: csr_array
    texts: Sequence[str] | None


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelRows:
    """All that a model holds of n labels.

    Attributes:
        texts: n.
        dense: unit label embeddings and classifiers by the name of their scorer, float32
            ``[n, D]``; none without an encoder.
        vector_of_label: int64 ``[n]``, as `AuxiliaryBank` has it.
        frequency: int64 ``[n]``, documents of each.
        linear: weights of words ``[n, V]`` and biases; None where there is no such scorer.
        centroids: what their documents and texts say, ``[n, V]``; None where there is no such
            scorer.
        documents: that came with them; None without.
    """

    texts: Sequence[str]
    dense: Mapping[str, torch.Tensor]
    vector_of_label: NDArray[np.int64]
    frequency: NDArray[np.int64]
    linear: SparseLinear | None
    centroids: csr_array | None
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
    for one in (model, *model.members):
        for index in one.scorers.dense.values():
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
        scorers=_scorers(model.scorers, labels, rows, len(counts)),
        fusion=replace(model.fusion, inverse_propensity=weights),
        bank=AuxiliaryBank(model.bank.vectors, vectors),
        frequency=counts,
        label_texts=texts,
        states=np.append(model.states, np.zeros(len(counts) - len(model.states), np.uint8)),
        document_texts=known,
    )


def _scorers(
    scorers: Scorers, labels: NDArray[np.int64], rows: LabelRows, n_labels: int
) -> Scorers:
    votes, words = scorers.neighbours, scorers.words
    if votes is not None:
        came = rows.documents
        if came is not None:
            assert came.vectors is not None
            votes.index.add(came.vectors)
        votes = _voted(votes.of_labels(n_labels), votes.index, came, labels)
    if words is not None:
        by_name = {
            name: _read(name, scorer, words, labels, rows, n_labels)
            for name, scorer in words.by_name.items()
        }
        mentions = words.mentions and words.mentions.changed(labels, rows.texts, words.features)
        words = replace(words, by_name=by_name, mentions=mentions)
    return Scorers(
        dense={
            name: _indexed(index, labels, rows.dense[name]) for name, index in scorers.dense.items()
        },
        neighbours=votes,
        words=words,
    )


def _read(
    name: str,
    scorer: WordScorer | FrequentLabels,
    words: WordScorers,
    labels: NDArray[np.int64],
    rows: LabelRows,
    n_labels: int,
) -> WordScorer | FrequentLabels:
    """A scorer that reads words, after its labels have changed."""
    if isinstance(scorer, NeighbourVotes):
        votes, came = scorer.of_labels(n_labels), rows.documents
        index = scorer.index
        assert isinstance(index, WordIndex)
        if came is not None:
            assert came.features is not None
            index = index.joined_by(came.features)
        return _voted(votes, index, came, labels)
    if isinstance(scorer, FrequentLabels):
        return scorer.of_labels(n_labels)
    if isinstance(scorer, SparseLinear):
        assert rows.linear is not None
        return scorer.changed(labels, rows.linear)
    if isinstance(scorer, Bm25):
        return scorer.changed(labels, words.features.word_counts(rows.texts))
    assert isinstance(scorer, LabelSearch)
    if name == CENTROIDS:
        assert rows.centroids is not None
        return scorer.changed(labels, rows.centroids)
    return scorer.changed(labels, words.features.transform(rows.texts))


def _voted(
    votes: NeighbourVotes[SearchT],
    index: SearchT,
    came: Documents | None,
    labels: NDArray[np.int64],
) -> NeighbourVotes[SearchT]:
    """Votes with those of the documents that came, which the index holds by now."""
    if came is None:
        return votes
    by_place, shape = came.labels, (came.labels.indptr.size - 1, votes.n_labels)
    own = csr_array((by_place.data, labels[by_place.indices], by_place.indptr), shape=shape)
    return votes.joined_by(index, own)


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
    centroids = [rows.centroids for rows in every if rows.centroids is not None]
    came = [rows.documents for rows in every]
    documents = [some for some in came if some is not None]
    return LabelChange(
        kind=changes[0].kind,
        labels=np.concatenate([change.labels for change in changes]),
        rows=LabelRows(
            texts=[text for rows in every for text in rows.texts],
            dense={
                name: torch.cat([rows.dense[name] for rows in every]) for name in every[0].dense
            },
            vector_of_label=np.concatenate([rows.vector_of_label for rows in every]),
            frequency=np.concatenate([rows.frequency for rows in every]),
            linear=_stacked(linear) if linear else None,
            centroids=csr_array(vstack(centroids, format="csr")) if centroids else None,
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
    dense = [some.vectors for some in documents if some.vectors is not None]
    words = [some.features for some in documents if some.features is not None]
    return Documents(
        vectors=torch.cat(dense) if dense else None,
        features=csr_array(vstack(words, format="csr")) if words else None,
        labels=csr_array(vstack(parts, format="csr")),
        texts=[text for some in documents for text in some.texts or ()] if kept else None,
    )


def training_documents(model: Model) -> int:
    """Documents that a model was trained on: with a label, and not held out."""
    facts = model.facts
    skipped, held_out = facts["documents_without_label"], facts["held_out_documents"]
    return facts["dataset"]["documents"] - skipped - held_out
