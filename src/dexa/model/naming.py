"""Labels by id or by exact text, and clear errors where there is none."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dexa.errors import InputError
from dexa.model.parts import REMOVED, Model
from dexa.types import LABEL_SEARCH

LabelName: TypeAlias = int | str
"""A label: its id, or its exact text."""

_NEAR = 50  # labels by label search or the first scorer, of which the one most alike is named


def named_labels(model: Model, names: Sequence[LabelName]) -> NDArray[np.int64]:
    """The ids of some labels, ``[n]``.

    Raises:
        InputError: there is no such label, several have this text, or one is named twice.
    """
    if isinstance(names, str):
        raise InputError("one label", expected="a list of labels", do=f"write [{names[:20]!r}]")
    if len(names) == 0:
        raise InputError("no labels", expected="at least one")
    texts = {name for name in names if isinstance(name, str)}
    found = _of_texts(model, texts)
    ids = [
        _of_text(model, name, found) if isinstance(name, str) else _of_id(model, name)
        for name in names
    ]
    twice = next((label for label in ids if ids.count(label) > 1), None) if _repeats(ids) else None
    if twice is not None:
        raise InputError(f"label {twice} is named twice", expected="each label once")
    return np.array(ids, np.int64)


def check_new_texts(model: Model, texts: Sequence[str], *, but: int | None = None) -> None:
    """Refuse texts that no new label can have.

    Args:
        model: that is to have them.
        texts: to be looked at.
        but: a label that may have such a text by now.

    Raises:
        InputError: the model knows no texts, a text is empty, stands twice among `texts`, or is
            that of a label.
    """
    if isinstance(texts, str):
        raise InputError("one text", expected="a list of texts", do=f"write [{texts[:20]!r}]")
    if model.label_texts is None:
        raise InputError(
            "a model that was trained on token files alone",
            expected="one that knows the texts of its labels",
            do="train it again with texts",
        )
    seen: set[str] = set()
    for place, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise InputError(
                f"text {place + 1} is {text!r}", expected="a text that says what the label means"
            )
        label = model.label_of_text.get(text)
        if label is not None and label != but:
            raise InputError(
                f"label {label} already has the text {text!r}",
                expected="a text that no label has",
                do="say more, so that the two can be told apart, or remove the other label first",
            )
        if text in seen:
            raise InputError(f"the text {text!r} is given twice", expected="each text once")
        seen.add(text)


def _repeats(ids: Sequence[int]) -> bool:
    return len(set(ids)) < len(ids)


def _of_texts(model: Model, wanted: set[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    if wanted:
        for label, text in enumerate(model.label_texts or ()):
            if text in wanted and model.states[label] != REMOVED:
                found.setdefault(text, []).append(label)
    return found


def _of_text(model: Model, text: str, found: dict[str, list[int]]) -> int:
    labels = found.get(text, [])
    if len(labels) == 1:
        return labels[0]
    if labels:
        shown = ", ".join(map(str, labels[:5])) + (", …" if len(labels) > 5 else "")
        raise InputError(
            f"{len(labels)} labels have the text {text!r}", do=f"name one by its id: {shown}"
        )
    raise InputError(f"no label {text!r}", do=_nearest(model, text))


def _of_id(model: Model, label: LabelName) -> int:
    if isinstance(label, bool) or not isinstance(label, int | np.integer):
        raise InputError(f"a label named {label!r}", expected="its id or its text")
    count = len(model.states)
    if not 0 <= label < count:
        raise InputError(
            f"no label {label}",
            expected=f"an id from 0 to {count - 1}",
            do=f"the nearest is {min(max(int(label), 0), count - 1)}",
        )
    if model.states[label] == REMOVED:
        raise InputError(f"label {label} was removed", do="its id is never given again")
    return int(label)


def _nearest(model: Model, text: str) -> str:
    """What to do about a text that no label has."""
    if model.label_texts is None:
        return "this model knows no texts of labels: name them by id"
    if (model.states == REMOVED).all():
        return "all labels were removed"
    scorers = model.scorers.ask(model.vectors_of([text]), [text], model.states != REMOVED)
    found = scorers.best(_NEAR)
    top = found.get(LABEL_SEARCH, next(iter(found.values())))
    near = [model.label_texts[label] for label in top.labels[0] if label >= 0]
    if not near:
        return "dexa labels list MODEL_DIR shows all"
    alike = str(difflib.get_close_matches(text, near, n=1, cutoff=0.0)[0])
    return f"did you mean {alike!r}, label {model.label_of_text[alike]}?"
