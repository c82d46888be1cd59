"""What a change of labels is to be: texts and documents become the rows of a model.

A new label is scored by its text, and by the auxiliary vector of the nearest cluster where `Choice`
says so. Its classifier is the mean of its documents' vectors and `Choice.shrinkage` times its label
embedding, the closed-form minimum of the squared distances to them; without documents it is the
label embedding. Its weights of words are what the linear scorer's prior gives a label of that text
and these documents, and its centroid is made of both as in training. The fusion sees its number of
documents, and all scores as those of any label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch.nn import functional as F

from dexa.auxiliary import NO_VECTOR
from dexa.errors import InputError
from dexa.lexical import (
    LabelSearch,
    SparseLinear,
    centroids,
    unseen_labels,
    weights_of_texts,
)
from dexa.model.changes import ADD, RENAME, Documents, LabelChange, LabelRows
from dexa.model.naming import LabelName, check_new_texts, named_labels
from dexa.model.parts import Model
from dexa.model.scorers import WordScorers
from dexa.types import CENTROIDS, CLASSIFIERS, LABEL_SEARCH


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How new labels are scored; the defaults found most on held-out labels (docs/log.md).

    Attributes:
        auxiliary: whether a label gets the auxiliary vector of the nearest cluster.
        shrinkage: how many documents the label embedding counts as in a new classifier.
    """

    auxiliary: bool = False
    shrinkage: float = 3.0


def addition(
    model: Model,
    texts: Sequence[str],
    documents: Sequence[Sequence[str]] | None = None,
    choice: Choice | None = None,
) -> LabelChange:
    """The change that adds labels.

    Args:
        model: to be changed; it stays as it is.
        texts: of the n labels.
        documents: of each label the texts of its documents, any number; None for none.
        choice: how they are scored.

    Raises:
        InputError: a text is empty, or given twice, or that of a label; there are no labels;
            `documents` are not a list of texts for each label; or the model has parts that only
            training can change.
    """
    _check_parts(model)
    check_new_texts(model, texts)
    if not texts:
        raise InputError("no labels to add", expected="at least one text")
    choice = choice or Choice()
    read, belongs = _documents(texts, documents)
    chosen = np.full(len(texts), NO_VECTOR)
    dense: dict[str, torch.Tensor] = {}
    came = torch.empty(len(read), 0)
    if model.encoder is not None:
        vectors = model.encode_documents(list(texts))
        if choice.auxiliary:
            chosen = _nearest_clusters(model, vectors)
        embeddings = F.normalize(vectors + model.bank.some(chosen), dim=1)
        came = model.encode_documents(read) if read else vectors[:0]
        classifiers = _classifiers(embeddings, came, belongs, choice.shrinkage)
        dense = {LABEL_SEARCH: embeddings, CLASSIFIERS: classifiers}
    words = model.scorers.words
    return LabelChange(
        kind=ADD,
        labels=len(model.states) + np.arange(len(texts)),
        rows=LabelRows(
            texts=list(texts),
            dense=dense,
            vector_of_label=chosen,
            frequency=np.bincount(belongs.indices, minlength=len(texts)),
            linear=_linear(words, texts, read, belongs),
            centroids=_centroids(words, texts, read, belongs),
            documents=_voters(model, came, read, belongs),
        ),
    )


def _check_parts(model: Model) -> None:
    """Refuse models whose labels have more than an embedding, a classifier and words."""
    scorers = model.scorers
    if scorers.heads or scorers.shortlist is not None or model.members:
        raise InputError(
            f"a change of labels of a model of {model.recipe.name}",
            expected="a model without shortlists, a block of its classifiers, and further seeds",
            do="train again with the new labels; removing, hiding and showing work",
        )


def renaming(model: Model, label: LabelName, text: str) -> LabelChange:
    """The change that gives a label another text.

    Its auxiliary vector stays, and so do its classifier and its centroid where documents made them.
    What the old text gave to its weights of words is replaced by what the new one gives.

    Raises:
        InputError: there is no such label, or the text is empty or that of another label.
    """
    _check_parts(model)
    labels = named_labels(model, [label])
    at = int(labels[0])
    check_new_texts(model, [text], but=at)
    chosen = model.bank.vector_of_label[labels]
    dense: dict[str, torch.Tensor] = {}
    if model.encoder is not None:
        embedding = F.normalize(model.encode_documents([text]) + model.bank.some(chosen), dim=1)
        trained = model.scorers.classifiers.vectors[at : at + 1]
        classifier = trained if model.frequency[at] else embedding
        dense = {LABEL_SEARCH: embedding, CLASSIFIERS: classifier}
    return LabelChange(
        kind=RENAME,
        labels=labels,
        rows=LabelRows(
            texts=[text],
            dense=dense,
            vector_of_label=chosen,
            frequency=model.frequency[labels],
            linear=_retold(model, at, text),
            centroids=_kept_centroid(model, at, text),
        ),
    )


def _documents(
    texts: Sequence[str], documents: Sequence[Sequence[str]] | None
) -> tuple[list[str], csr_array]:
    """The distinct documents, and which label ``[M, n]`` each has."""
    given = [[] for _ in texts] if documents is None else list(documents)
    if len(given) != len(texts):
        raise InputError(
            f"documents of {len(given)} labels for {len(texts)} labels",
            expected="a list of texts for each label, empty where it has none",
        )
    places: dict[str, int] = {}
    pairs: set[tuple[int, int]] = set()
    for label, several in enumerate(given):
        if isinstance(several, str):
            raise InputError(
                f"the documents of label text {texts[label]!r} are one text",
                expected="a list of texts",
            )
        for text in several:
            if not isinstance(text, str) or not text.strip():
                raise InputError(
                    f"a document of label text {texts[label]!r} is {text!r}", expected="a text"
                )
            pairs.add((places.setdefault(text, len(places)), label))
    rows = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    entries = (np.ones(len(rows), np.float32), (rows[:, 0], rows[:, 1]))
    return list(places), csr_array(entries, shape=(len(places), len(texts)))


def _classifiers(
    embeddings: torch.Tensor, documents: torch.Tensor, belongs: csr_array, shrinkage: float
) -> torch.Tensor:
    """Unit classifiers ``[n, D]`` by the documents of each label; the label embedding without."""
    if not len(documents):
        return embeddings
    rows, labels = (torch.from_numpy(ids.astype(np.int64)) for ids in belongs.nonzero())
    sums = (shrinkage * embeddings).index_add(
        0, labels.to(embeddings.device), documents[rows.to(documents.device)]
    )
    having = torch.from_numpy(np.bincount(belongs.indices, minlength=len(sums)) > 0)
    return torch.where(having.to(sums.device)[:, None], F.normalize(sums, dim=1), embeddings)


def _linear(
    words: WordScorers | None, texts: Sequence[str], documents: Sequence[str], belongs: csr_array
) -> SparseLinear | None:
    if words is None or words.linear is None:
        return None
    features = words.features
    return unseen_labels(
        words.linear.prior,
        features.transform(documents),
        features.transform(texts),
        belongs,
        features.groups,
    )


def _centroids(
    words: WordScorers | None, texts: Sequence[str], documents: Sequence[str], belongs: csr_array
) -> csr_array | None:
    if words is None or CENTROIDS not in words.by_name:
        return None
    read = words.features.transform
    return centroids(read(documents), read(texts), belongs)


def _kept_centroid(model: Model, label: int, text: str) -> csr_array | None:
    """A label's centroid after its text has changed: that of its documents, or else the text."""
    words = model.scorers.words
    scorer = None if words is None else words.by_name.get(CENTROIDS)
    if words is None or not isinstance(scorer, LabelSearch):
        return None
    if not model.frequency[label]:
        return words.features.transform([text])
    return csr_array(scorer.by_feature[:, [label]].T.tocsr())


def _voters(
    model: Model, vectors: torch.Tensor, texts: Sequence[str], belongs: csr_array
) -> Documents | None:
    """Documents that are to vote; None where there are none, or none vote."""
    words = model.scorers.words
    by_words = words is not None and words.neighbours is not None
    by_vectors = model.scorers.neighbours is not None
    if not texts or not (by_words or by_vectors):
        return None
    return Documents(
        vectors=vectors if by_vectors else None,
        features=words.features.transform(texts) if words is not None and by_words else None,
        labels=belongs,
        texts=None if model.document_texts is None else texts,
    )


def _nearest_clusters(model: Model, vectors: torch.Tensor) -> NDArray[np.int64]:
    bank = model.bank
    known = model.scorers.label_search.vectors[: len(bank.vector_of_label)]
    own = min(model.recipe.auxiliary.head_labels or 0, len(bank.vectors))
    return bank.nearest(vectors, known, own=own)


def _retold(model: Model, label: int, text: str) -> SparseLinear | None:
    """A label's weights of words after its text has changed."""
    words = model.scorers.words
    if words is None or words.linear is None:
        return None
    assert model.label_texts is not None
    count = model.frequency[[label]]
    features, linear = words.features, words.linear
    before, after = (
        weights_of_texts(linear.prior, features.transform([said]), count, features.groups)
        for said in (model.label_texts[label], text)
    )
    kept = csr_array(linear.weights[[label]])
    moved = csr_array(kept - _where(before, kept) + after)
    return replace(linear, weights=moved, bias=linear.bias[[label]])


def _where(weights: csr_array, others: csr_array) -> csr_array:
    """Weights ``[1, V]`` at those places alone where others are."""
    here = np.isin(weights.indices, others.indices)
    data = weights.data[here]
    return csr_array((data, weights.indices[here], [0, len(data)]), shape=weights.shape)
