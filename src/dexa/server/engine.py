"""What the model answers to each kind of request; the one thread of `Batcher` calls it.

All that is asked of a model, and all that changes it, goes through `Engine.compute`, so that no
request ever sees half a change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
import torch
from msgspec import UNSET

from dexa.errors import InputError
from dexa.estimator import Dexa
from dexa.model import REMOVED
from dexa.server.facts import model_facts
from dexa.server.jobs import Add, Ask, Draw, Encode, Explain, Find, Refresh, Remove, Replace
from dexa.server.label_map import drawn
from dexa.server.label_search import LabelNames
from dexa.server.messages import Label, Map, ModelFacts, Place, Tag, Tags
from dexa.types import NO_LABEL, TopK

_DIGITS = 5  # of scores: what float32 is good for


class UnknownLabel(Exception):  # noqa: N818 - the server's own
    """A request names a label that the model does not have."""


class Engine:
    """A model, and what it answers to requests.

    Args:
        model: to begin with.
        examples: texts to try; None for some of the labels.
    """

    def __init__(self, model: Dexa, examples: Sequence[str] | None = None) -> None:
        self._examples = examples
        # by the class of a job
        self._does: dict[type, Callable[[Any], Sequence[Any]]] = {
            Ask: self._ask,
            Encode: self._encode,
            Explain: lambda jobs: [self._explain(job) for job in jobs],
            Draw: lambda jobs: [self._draw(job) for job in jobs],
            Find: lambda jobs: [self._find(job) for job in jobs],
            Add: lambda jobs: [self._add(job) for job in jobs],
            Remove: lambda jobs: [self._remove(job) for job in jobs],
            Replace: lambda jobs: [self._replace(job.model) for job in jobs],
            Refresh: lambda jobs: [self._refresh() for _ in jobs],
        }
        self._replace(model)

    def compute(self, jobs: Sequence[Any]) -> Sequence[Any]:
        """The results of jobs of one kind, in order; an exception in place of one that failed."""
        return self._does[type(jobs[0])](jobs)

    @property
    def facts(self) -> ModelFacts:
        """What the page says of the model."""
        return self._facts

    def _replace(self, model: Dexa) -> None:
        self._model = model
        self._take_note()

    def _refresh(self) -> int:
        if changes := self._model.refresh():
            self._take_note()
        return changes

    def _take_note(self) -> None:
        """Look at the labels that there are now."""
        parts = self._model.model
        self._names: LabelNames | None = None  # takes a moment: made when somebody searches
        texts, count = parts.label_texts, len(parts.frequency)
        self._texts: Sequence[str] = list(map(str, range(count))) if texts is None else texts
        self._facts = model_facts(parts, self._texts, self._examples)

    def _ask(self, jobs: Sequence[Ask]) -> list[list[Tags] | InputError]:
        texts = list(chain.from_iterable(job.texts for job in jobs))
        top = self._model.predict(texts, max(job.k for job in jobs), labels=jobs[0].labels)
        scorers = self._scorers(texts, top) if jobs[0].details else None
        rows = self._tags(top, scorers)
        ends = accumulate((job.size for job in jobs), initial=0)
        return [
            _answered(job, rows[start:end])
            for job, (start, end) in zip(jobs, pairwise(ends), strict=True)
        ]

    def _tags(self, top: TopK, scorers: dict[str, list[list[float]]] | None) -> list[list[Tag]]:
        names, frequency = self._texts, self._model.model.frequency
        scores = top.scores.astype(np.float64).round(_DIGITS).tolist()
        chances = top.probabilities
        sure = None if chances is None else chances.astype(np.float64).round(_DIGITS).tolist()
        ids: list[list[int]] = top.labels.tolist()
        rows: list[list[Tag]] = []
        for row, labels in enumerate(ids):
            tags = [
                Tag(
                    id=label,
                    text=names[label],
                    score=scores[row][place],
                    probability=UNSET if sure is None else sure[row][place],
                )
                for place, label in enumerate(labels)
                if label != NO_LABEL
            ]
            if scorers is not None:
                for place, tag in enumerate(tags):
                    tag.frequency = int(frequency[tag.id])
                    tag.scorers = {name: said[row][place] for name, said in scorers.items()}
            rows.append(tags)
        return rows

    def _explain(self, job: Explain) -> dict[str, Any]:
        self._check(job.label)
        return self._model.explain(job.text, job.label).to_json()

    def _find(self, job: Find) -> list[Label]:
        if self._names is None:
            parts = self._model.model
            ids = np.flatnonzero(parts.states != REMOVED)
            texts = [self._texts[label] for label in ids.tolist()]
            self._names = LabelNames(ids, texts, parts.frequency[ids])
        return self._names.find(job.query, job.limit)

    def _add(self, job: Add) -> list[Label]:
        ids = self._model.add_labels(job.texts, job.documents)
        self._take_note()
        return [self._label(label) for label in ids]

    def _remove(self, job: Remove) -> Label:
        self._check(job.label)
        removed = self._label(job.label)
        self._model.remove_labels([job.label])
        self._take_note()
        return removed

    def _label(self, label: int) -> Label:
        frequency = self._model.model.frequency[label]
        return Label(int(label), self._texts[label], int(frequency))

    def _check(self, label: int) -> None:
        """Refuse ids that no label has.

        Raises:
            UnknownLabel: there is none.
        """
        states = self._model.model.states
        if label >= len(states) or states[label] == REMOVED:
            raise UnknownLabel(f"no label {label}")

    def _scorers(self, texts: Sequence[str], top: TopK) -> dict[str, list[list[float]]]:
        """What each scorer says of the answers ``[B, K]``; fillers have some score as well."""
        parts = self._model.model
        asked = parts.scorers.ask(parts.vectors_of(texts), texts)
        scores = asked.scored(torch.from_numpy(top.labels)).scores
        return {n: said.double().round(decimals=_DIGITS).tolist() for n, said in scores.items()}

    def _encode(self, jobs: Sequence[Encode]) -> list[list[list[float]]]:
        texts = list(chain.from_iterable(job.texts for job in jobs))
        rows = self._model.encode(texts, side=jobs[0].side).tolist()
        ends = accumulate((job.size for job in jobs), initial=0)
        return [rows[start:end] for start, end in pairwise(ends)]

    def _draw(self, job: Draw) -> Map:
        parts = self._model.model
        vector = parts.encode_documents([job.text])
        near = parts.scorers.label_search.search(vector, job.k, parts.shown)
        ids: list[int] = [label for label in near.labels[0].tolist() if label != NO_LABEL]
        vectors = parts.scorers.label_search.vectors[ids]
        (x, y), *places = drawn(vector[0].cpu(), vectors.cpu()).tolist()
        return Map(
            text=(x, y),
            labels=[
                Place(
                    id=label,
                    text=self._texts[label],
                    frequency=int(parts.frequency[label]),
                    cosine=round(cosine, _DIGITS),
                    x=at[0],
                    y=at[1],
                )
                for label, cosine, at in zip(ids, near.scores[0].tolist(), places, strict=False)
            ],
        )


def _answered(job: Ask, rows: list[list[Tag]]) -> list[Tags] | InputError:
    """The rows of a job, cut to what it asked for."""
    if job.threshold is None:
        return [Tags(tags[: job.k]) for tags in rows]
    cut: list[Tags] = []
    for tags in rows:
        chances = [tag.probability for tag in tags[: job.k]]
        if UNSET in chances:
            return InputError(
                "a threshold, but this model gives no probabilities",
                do="train it again with held-out documents, or leave the threshold out",
            )
        kept = [
            tag
            for tag, chance in zip(tags, chances, strict=False)
            if chance is not UNSET and chance >= job.threshold
        ]
        cut.append(Tags(kept))
    return cut
