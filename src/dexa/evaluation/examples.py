"""Example answers for the report page: as many right as wrong, always the same ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.errors import DataError
from dexa.evaluation.markup import pair
from dexa.evaluation.tables import right_answers
from dexa.metrics.matrices import relevant
from dexa.types import NO_LABEL, TopK

EXAMPLES = 10
ANSWERS = 5
_TRUE_LABELS = 8
_CHARACTERS = 320


@dataclass(frozen=True, kw_only=True)
class Names:
    """What documents and labels are called.

    Attributes:
        texts: the N documents; None calls them by their ids.
        label_texts: the L labels; None calls them by their ids.
        label_frequency: training documents of each label, ``[L]``.
    """

    texts: Sequence[str] | None
    label_texts: Sequence[str] | None
    label_frequency: NDArray[np.integer]

    def document(self, document: int) -> str:
        """A document's text, as HTML."""
        return f"document {document}" if self.texts is None else _short(self.texts[document])

    def label(self, label: int) -> str:
        """A label's text and its frequency, as HTML."""
        name = f"label {label}" if self.label_texts is None else _short(self.label_texts[label])
        return f'{name} <span class="times">{self.label_frequency[label]:,}</span>'


def choose_examples(
    top: TopK, truth: csr_array, count: int = EXAMPLES
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Documents whose first answer is right, and documents with labels where it is wrong.

    Both are picked at even distances from all there are, so that they do not depend on chance
    and come from everywhere.

    Args:
        top: filtered answers, ``[N, K]``.
        truth: the true labels, ``[N, L]``.
        count: documents of each kind, fewer where there are not as many.
    """
    right = right_answers(top, truth)[:, 0]
    has_labels = np.diff(relevant(truth, "true labels").indptr) > 0
    return _evenly(np.flatnonzero(right), count), _evenly(
        np.flatnonzero(has_labels & ~right), count
    )


def examples_html(top: TopK, truth: csr_array, names: Names) -> str:
    """Two columns of examples: first answer right, first answer wrong.

    Raises:
        DataError: more or fewer texts than documents or labels.
    """
    for what, given, n in (
        ("documents", names.texts, len(top)),
        ("labels", names.label_texts, len(names.label_frequency)),
    ):
        if given is not None and len(given) != n:
            raise DataError(f"{len(given)} texts of {n} {what}", expected="a text for each")
    right = right_answers(top, truth)
    true = relevant(truth, "true labels")
    columns = []
    for title, documents in zip(
        ("First answer right", "First answer wrong"), choose_examples(top, truth), strict=True
    ):
        cards = [
            _card(
                names,
                document,
                true.indices[true.indptr[document] : true.indptr[document + 1]],
                _answers(top, right, names, document),
            )
            for document in documents.tolist()
        ]
        columns.append(f"<div><h3>{title}</h3>{''.join(cards) or '<p>None.</p>'}</div>")
    return pair(*columns)


def _card(names: Names, document: int, labels: NDArray[np.integer], answers: str) -> str:
    shown = "; ".join(f"<b>{names.label(label)}</b>" for label in labels[:_TRUE_LABELS])
    more = f" and {len(labels) - _TRUE_LABELS} more" if len(labels) > _TRUE_LABELS else ""
    return (
        f'<article class="card example"><p class="text">{names.document(document)}</p>'
        f'<p class="true">True: {shown}{more}</p><ol>{answers}</ol></article>'
    )


def _answers(top: TopK, right: NDArray[np.bool_], names: Names, document: int) -> str:
    items = []
    for rank, label in enumerate(top.labels[document, :ANSWERS].tolist()):
        if label == NO_LABEL:
            break
        word, mark = ("right", "tick") if right[document, rank] else ("wrong", "cross")
        items.append(
            f'<li class="{word}"><svg class="mark" aria-hidden="true"><use href="#{mark}"/></svg>'
            f'<span class="unseen">{word}:</span><span class="name">{names.label(label)}</span>'
            f'<span class="score">{top.scores[document, rank]:.3f}</span></li>'
        )
    return "".join(items) or "<li>No answer.</li>"


def _evenly(ids: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    count = min(count, len(ids))
    return ids[np.linspace(0, len(ids) - 1, count).astype(np.int64)]


def _short(text: str) -> str:
    text = " ".join(text.split())
    if len(text) > _CHARACTERS:
        text = text[:_CHARACTERS].rstrip() + " …"
    return escape(text)
