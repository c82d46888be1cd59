"""A data set of things that link to one another: the rules that make documents and labels of them.

The bundled data set and those of ``benchmarks/builders`` are made by these rules, so that each is
told by what its things are and where their links lead.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dexa.data.filters import write_filter_pairs
from dexa.errors import DataError
from dexa.storage import atomic_file

_SEED = 7
_TEST_TENTHS = 3


@dataclass(frozen=True, kw_only=True)
class Linked:
    """A thing with text, and where it links to.

    Attributes:
        uid: tells it from all others.
        title: its short text.
        content: the rest of its text.
        targets: uids it links to, sorted, itself excluded; a thing that is only a label has none.
    """

    uid: str
    title: str
    content: str
    targets: Sequence[str] = ()


def write_linked(
    documents: Iterable[Linked], labels: Mapping[str, Linked], folder: str | Path
) -> None:
    """Write ``{trn,tst,lbl}.json.gz`` and ``filter_labels_{train,test}.txt``.

    Documents without targets are left out. Three tenths of the rest, drawn by ``random.Random(7)``,
    are test, and each part keeps the order of `documents`. Labels are the targets of train, sorted
    by uid; test documents left without one are dropped. A document never has its own label, which
    the filter files say. Equal input gives equal bytes; other files of the folder stay as they are.

    Args:
        documents: in the order in which they are to be written.
        labels: each target, by its uid.
        folder: where to write; made when it is not there.

    Raises:
        DataError: no test document is left.
        StorageError: the disk refused.
    """
    train, test = _split([document for document in documents if document.targets])
    label_uids = sorted({target for document in train for target in document.targets})
    ids = {uid: i for i, uid in enumerate(label_uids)}
    test = [document for document in test if any(target in ids for target in document.targets)]
    folder = Path(folder)
    if not test:
        raise DataError(
            f"{len(train)} documents to train on, none to test on",
            expected="at least 4 things that link, with targets in common",
            path=folder,
        )
    _write_json_lines(folder / "lbl.json.gz", (_item(labels[uid]) for uid in label_uids))
    for stem, word, part in (("trn", "train", train), ("tst", "test", test)):
        _write_json_lines(folder / f"{stem}.json.gz", (_document(item, ids) for item in part))
        own = [(row, ids[item.uid]) for row, item in enumerate(part) if item.uid in ids]
        pairs = np.array(own, np.int64).reshape(-1, 2)
        write_filter_pairs(folder / f"filter_labels_{word}.txt", pairs)


def _split(documents: list[Linked]) -> tuple[list[Linked], list[Linked]]:
    """Train and test, three tenths of them, each in the order given."""
    order = list(range(len(documents)))
    random.Random(_SEED).shuffle(order)
    n_test = len(order) * _TEST_TENTHS // 10
    test, train = sorted(order[:n_test]), sorted(order[n_test:])
    return [documents[i] for i in train], [documents[i] for i in test]


def _item(item: Linked) -> dict[str, Any]:
    return {"uid": item.uid, "title": item.title, "content": item.content}


def _document(item: Linked, ids: dict[str, int]) -> dict[str, Any]:
    labels = [ids[target] for target in item.targets if target in ids]
    return {**_item(item), "target_ind": labels, "target_rel": [1.0] * len(labels)}


def _write_json_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Gzipped JSON lines; without name and time in the header, equal records give equal bytes."""
    with (
        atomic_file(path) as draft,
        draft.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file,
    ):
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False).encode("utf-8") + b"\n")
