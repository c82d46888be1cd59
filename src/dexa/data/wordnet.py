"""LF-WordNet-98K, made anew from the WordNet 3.0 database: the provenance of a data set as code.

The task: given a synset, find the synsets it points to. The rules are those of the data set's
README; what they give is equal byte for byte to the bundled files, once those are unpacked.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dexa.data.files import text_lines
from dexa.data.filters import write_filter_pairs
from dexa.errors import DataError, MissingFileError
from dexa.storage import atomic_file

_PARTS = ("noun", "verb", "adj", "adv")
_SEED = 7
_TEST_TENTHS = 3
_MARKER = re.compile(r"\((?:a|p|ip)\)$")
_LICENCE = "  "


class _Synset(NamedTuple):
    """A set of synonyms; `targets` are the uids its pointers lead to, sorted, itself excluded."""

    uid: str
    title: str
    content: str
    targets: list[str]
    path: Path
    line: int


def build_wordnet(dict_folder: str | Path, output_folder: str | Path) -> None:
    """Write ``{trn,tst,lbl}.json.gz`` and ``filter_labels_{train,test}.txt``.

    Other files of the output folder, such as its README, stay as they are.

    Args:
        dict_folder: WordNet's ``dict`` folder, with ``data.noun``, ``data.verb``, ``data.adj`` and
            ``data.adv`` (``/usr/share/wordnet`` of Debian's package wordnet-base).
        output_folder: where to write; made when it is not there.

    Raises:
        MissingFileError: a database file is missing.
        DataError: a database line is malformed, or points to a synset that does not exist.
        StorageError: the disk refused.
    """
    synsets = _read_synsets(Path(dict_folder))
    linked = [synset for synset in synsets if synset.targets]
    train, test = _split(linked)
    label_uids = sorted({target for synset in train for target in synset.targets})
    ids = {uid: i for i, uid in enumerate(label_uids)}
    test = [synset for synset in test if any(target in ids for target in synset.targets)]
    by_uid = {synset.uid: synset for synset in synsets}
    folder = Path(output_folder)
    _write_json_lines(folder / "lbl.json.gz", (_item(by_uid[uid]) for uid in label_uids))
    for stem, word, part in (("trn", "train", train), ("tst", "test", test)):
        _write_json_lines(folder / f"{stem}.json.gz", (_document(synset, ids) for synset in part))
        own = [(row, ids[synset.uid]) for row, synset in enumerate(part) if synset.uid in ids]
        pairs = np.array(own, np.int64).reshape(-1, 2)
        write_filter_pairs(folder / f"filter_labels_{word}.txt", pairs)


def _read_synsets(folder: Path) -> list[_Synset]:
    """All synsets in file order; their pointers lead to one another."""
    paths = [folder / f"data.{part}" for part in _PARTS]
    for path in paths:
        if not path.exists():
            raise MissingFileError(
                "no such file",
                expected=f"a WordNet 3.0 dict folder with {', '.join(p.name for p in paths)}",
                do="install Debian's package wordnet-base and give /usr/share/wordnet",
                path=path,
            )
    synsets = [synset for path in paths for synset in _parse_file(path)]
    known = {synset.uid for synset in synsets}
    for synset in synsets:
        for target in synset.targets:
            if target not in known:
                raise DataError(
                    f"a pointer to {target}, which is not there",
                    expected="pointers to synsets of the same database",
                    path=synset.path,
                    line=synset.line,
                )
    return synsets


def _parse_file(path: Path) -> Iterator[_Synset]:
    for number, line in text_lines(path):
        if line.startswith(_LICENCE):
            continue
        try:
            yield _parse(line, path, number)
        except (ValueError, IndexError) as error:
            raise DataError(
                f"not a synset: {line.strip()[:60]!r}",
                expected="offset, file, type, words, pointers | gloss",
                path=path,
                line=number,
            ) from error


def _parse(line: str, path: Path, number: int) -> _Synset:
    """One line of a data file, as wndb(5WN) describes it.

    ``offset lex_filenum ss_type w_cnt (word lex_id)… p_cnt (symbol offset pos src/tgt)… | gloss``,
    with ``w_cnt`` in hexadecimal.
    """
    head, gloss = line.split("|", maxsplit=1)
    words = head.split()
    n_lemmas = int(words[3], 16)
    lemmas = words[4 : 4 + 2 * n_lemmas : 2]
    place = 4 + 2 * n_lemmas
    n_pointers = int(words[place])
    pointers = words[place + 1 : place + 1 + 4 * n_pointers]
    if len(pointers) != 4 * n_pointers:
        raise IndexError("the pointers are cut short")
    uid = _uid(words[0], words[2])
    targets = {_uid(*pair) for pair in zip(pointers[1::4], pointers[2::4], strict=True)}
    names = dict.fromkeys(_MARKER.sub("", lemma).replace("_", " ") for lemma in lemmas)
    return _Synset(
        uid=uid,
        title=", ".join(names),
        content=gloss.strip(),
        targets=sorted(targets - {uid}),
        path=path,
        line=number,
    )


def _uid(offset: str, part_of_speech: str) -> str:
    """``OFFSET-POS``; satellite adjectives are adjectives."""
    letter = "a" if part_of_speech == "s" else part_of_speech
    if letter not in ("n", "v", "a", "r"):
        raise ValueError(part_of_speech)
    return f"{int(offset):08d}-{letter}"


def _split(synsets: list[_Synset]) -> tuple[list[_Synset], list[_Synset]]:
    """Train and test, three tenths of them, each in file order."""
    order = list(range(len(synsets)))
    random.Random(_SEED).shuffle(order)
    n_test = len(order) * _TEST_TENTHS // 10
    test, train = sorted(order[:n_test]), sorted(order[n_test:])
    return [synsets[i] for i in train], [synsets[i] for i in test]


def _item(synset: _Synset) -> dict[str, Any]:
    return {"uid": synset.uid, "title": synset.title, "content": synset.content}


def _document(synset: _Synset, ids: dict[str, int]) -> dict[str, Any]:
    labels = [ids[target] for target in synset.targets if target in ids]
    return {**_item(synset), "target_ind": labels, "target_rel": [1.0] * len(labels)}


def _write_json_lines(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Gzipped JSON lines; without name and time in the header, equal records give equal bytes."""
    with (
        atomic_file(path) as draft,
        draft.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file,
    ):
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False).encode("utf-8") + b"\n")
