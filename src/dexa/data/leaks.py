"""Items that stand where they should not: in train and in test, or as a document and its own label.

Two items are the same when their uids are equal, or, by another count, their texts. Filter files
take such pairs out of training and of predictions. What the Extreme Classification Repository
filters: of train, each document's own label; of test, that too, and what train tells the other way
round: where train document b has label a, the answer b of test document a.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.data.dataset import Dataset, Split
from dexa.data.files import json_objects
from dexa.data.filters import filter_file, write_filter_pairs
from dexa.data.raw import raw_file
from dexa.data.rows import SPLITS, SplitName, shown
from dexa.errors import DataError, InputError

Part: TypeAlias = Literal["trn", "tst", "lbl"]
"""Train documents, test documents or labels, as their files are called."""

_WORDS: dict[SplitName, str] = {"trn": "train", "tst": "test"}
_UNKNOWN = -1


@dataclass(frozen=True, kw_only=True)
class SplitLeaks:
    """Pairs of a document and a label, by document and then by label, each ``[F, 2]``.

    Attributes:
        own: a document and the label that is the same item.
        own_true: those of them that are true: the document has itself as label.
        own_unfiltered: those of them that the split's filter does not hold.
        reversed: a document a and a label b of another item, where train document b has label a.
        reciprocal: those of them that are true: a has label b, and b has label a.
    """

    own: NDArray[np.int64]
    own_true: NDArray[np.int64]
    own_unfiltered: NDArray[np.int64]
    reversed: NDArray[np.int64]
    reciprocal: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Leaks:
    """What is found twice in a data set, by one way to tell that items are the same.

    Attributes:
        key: what equal items share, ``"uid"`` or ``"text"``.
        test_in_train: test documents that are also train documents, ascending, ``[S]``.
        splits: the pairs of each split.
    """

    key: str
    test_in_train: NDArray[np.int64]
    splits: Mapping[SplitName, SplitLeaks]

    def to_json(self) -> dict[str, int]:
        """How many there are of each kind."""
        counts = {"test documents in train": len(self.test_in_train)}
        for split, leaks in self.splits.items():
            word = _WORDS[split]
            counts |= {
                f"{word}: own labels": len(leaks.own),
                f"{word}: own labels, true": len(leaks.own_true),
                f"{word}: own labels, not filtered": len(leaks.own_unfiltered),
                f"{word}: reversed in train": len(leaks.reversed),
                f"{word}: reversed in train, true": len(leaks.reciprocal),
            }
        return counts

    def filter_pairs(self, split: SplitName, *, own_only: bool = False) -> NDArray[np.int64]:
        """The pairs ``[F, 2]`` that the repository filters, by document and then by label.

        Args:
            split: of train only the own labels; of test the pairs reversed in train too.
            own_only: of test only the own labels too.
        """
        leaks = self.splits[split]
        if own_only or split == "trn":
            return leaks.own
        pairs = np.concatenate([leaks.own, leaks.reversed])
        return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def read_uids(folder: Path) -> dict[Part, list[str]]:
    """The uids of documents and labels of a data set in raw form.

    Returns:
        Those of each part; a part without uids is left out, and none is there of other forms.

    Raises:
        DataError: a row has no uid although the first has one, or one that is neither a string nor
            an integer.
    """
    if not any(raw_file(folder, split) for split in SPLITS):
        return {}  # labels alone are no data set in raw form
    uids: dict[Part, list[str]] = {}
    for part in (*SPLITS, "lbl"):
        path = raw_file(folder, part)
        if path is not None and (found := _uids_of(path)):
            uids[part] = found
    return uids


def _uids_of(path: Path) -> list[str]:
    uids: list[str] = []
    for line, record in json_objects(path):
        if line == 1 and "uid" not in record:
            return []
        uid = record.get("uid")
        if type(uid) not in (str, int):
            raise DataError(
                f"uid is {shown(uid)}" if "uid" in record else "no uid",
                expected="a string, as in the lines before",
                path=path,
                line=line,
            )
        uids.append(str(uid))
    return uids


def find_leaks(dataset: Dataset, uids: Mapping[Part, Sequence[str]]) -> list[Leaks]:
    """Test documents in train, own labels and reciprocal pairs, by uid and by text.

    Empty uids and texts equal nothing.

    Args:
        dataset: the data set.
        uids: of its parts, as `read_uids` gives them.

    Returns:
        First by uid, then by text, each where labels and a split have them; so there may be none.

    Raises:
        DataError: more or fewer uids than rows.
    """
    texts: dict[Part, Sequence[str]] = {}
    sizes: dict[Part, int] = {"lbl": dataset.n_labels}
    splits = _splits(dataset)
    for name, split in splits.items():
        sizes[name] = split.n_documents
        if split.texts is not None:
            texts[name] = split.texts
    if dataset.label_texts is not None:
        texts["lbl"] = dataset.label_texts
    for part, given in uids.items():
        if part in sizes and len(given) != sizes[part]:
            raise DataError(
                f"{len(given)} uids of {part} for {sizes[part]} rows", expected="one a row"
            )
    keys = {"uid": uids, "text": texts}
    return [
        _leaks(splits, key, given, sizes)
        for key, given in keys.items()
        if "lbl" in given and len(given) > 1
    ]


def write_filters(folder: Path, leaks: Leaks, *, own_only: bool = False) -> list[Path]:
    """Write the filter files of the splits, under the repository's names.

    Args:
        folder: where to; it is made if it is not there.
        leaks: by the key that is to decide.
        own_only: see `Leaks.filter_pairs`.

    Returns:
        The files written.

    Raises:
        InputError: a filter file of such a split is there; nothing was written.
        StorageError: the disk refused to write.
    """
    check_no_filters(folder, list(leaks.splits))
    paths = []
    for split in leaks.splits:
        path = folder / f"filter_labels_{_WORDS[split]}.txt"
        write_filter_pairs(path, leaks.filter_pairs(split, own_only=own_only))
        paths.append(path)
    return paths


def check_no_filters(folder: Path, splits: Sequence[SplitName]) -> None:
    """Refuse a folder that holds a filter file already, under any of its names.

    Raises:
        InputError: it does.
    """
    for split in splits:
        if (there := filter_file(folder, split)) is not None:
            raise InputError(
                "a filter file is there",
                expected="a folder without",
                do="write to another folder, or move the file away first",
                path=there,
            )


def _splits(dataset: Dataset) -> dict[SplitName, Split]:
    both: dict[SplitName, Split | None] = {"trn": dataset.train, "tst": dataset.test}
    return {name: split for name, split in both.items() if split is not None}


def _leaks(
    splits: Mapping[SplitName, Split],
    key: str,
    keys: Mapping[Part, Sequence[str]],
    sizes: Mapping[Part, int],
) -> Leaks:
    items = _as_items(keys, sizes)
    own = {name: csr_array(items[name] @ items["lbl"].T) for name in splits}
    reverse, test_in_train = None, np.zeros(0, np.int64)
    if "trn" in splits:
        # [a, b]: a train document that is label b has label a.
        reverse = csr_array(splits["trn"].labels.astype(bool).T @ own["trn"])
    if len(splits) == 2:
        in_train = np.asarray(items["trn"].sum(axis=0)) > 0
        test_in_train = np.flatnonzero(items["tst"] @ in_train)
    return Leaks(
        key=key,
        test_in_train=test_in_train,
        splits={name: _split_leaks(splits[name], own[name], reverse) for name in splits},
    )


def _split_leaks(split: Split, own: csr_array, reverse: csr_array | None) -> SplitLeaks:
    codes = _codes(own)
    told = _codes(own @ reverse) if reverse is not None else codes[:0]
    told = told[~np.isin(told, codes)]  # a document that has itself as label is no second item
    true = _codes(split.labels)
    filtered = split.filter_pairs[:, 0] * split.n_labels + split.filter_pairs[:, 1]

    def pairs(chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.stack(np.divmod(chosen, split.n_labels), axis=1)

    return SplitLeaks(
        own=pairs(codes),
        own_true=pairs(codes[np.isin(codes, true)]),
        own_unfiltered=pairs(codes[~np.isin(codes, filtered)]),
        reversed=pairs(told),
        reciprocal=pairs(told[np.isin(told, true)]),
    )


def _codes(pairs: csr_array) -> NDArray[np.int64]:
    """Stored pairs (document, label) as ascending numbers ``document * L + label``."""
    n_documents, n_labels = pairs.shape  # pyright: ignore[reportGeneralTypeIssues]
    documents = np.repeat(np.arange(n_documents, dtype=np.int64), np.diff(pairs.indptr))
    return np.sort(documents * n_labels + pairs.indices)


def _as_items(
    keys: Mapping[Part, Sequence[str]], sizes: Mapping[Part, int]
) -> dict[Part, csr_array]:
    """Rows by items, ``[N, I]`` bool, over the items of all parts; no item where the key is empty.

    Rows of a part without keys are no item.
    """
    numbers: dict[str, int] = {"": _UNKNOWN}
    rows: dict[Part, NDArray[np.int64]] = {
        part: np.fromiter(
            (numbers.setdefault(key, len(numbers) - 1) for key in keys.get(part, [""] * size)),
            np.int64,
            size,
        )
        for part, size in sizes.items()
    }
    return {part: _one_hot(items, len(numbers) - 1) for part, items in rows.items()}


def _one_hot(items: NDArray[np.int64], n_items: int) -> csr_array:
    known = items != _UNKNOWN
    ends = np.concatenate([[0], np.cumsum(known)])
    ones = np.ones(ends[-1], bool)
    return csr_array((ones, items[known], ends), shape=(len(items), n_items))
