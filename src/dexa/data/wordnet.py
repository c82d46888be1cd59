"""LF-WordNet-98K, made anew from the WordNet 3.0 database: the provenance of a data set as code.

The task: given a synset, find the synsets it points to. The rules are those of the data set's
README; what they give is equal byte for byte to the bundled files, once those are unpacked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from dexa.data.files import text_lines
from dexa.data.links import Linked, write_linked
from dexa.errors import DataError, MissingFileError

_PARTS = ("noun", "verb", "adj", "adv")
_MARKER = re.compile(r"\((?:a|p|ip)\)$")
_LICENCE = "  "


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
    write_linked(synsets, {synset.uid: synset for synset in synsets}, output_folder)


def _read_synsets(folder: Path) -> list[Linked]:
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
    found = [(path, *parsed) for path in paths for parsed in _parse_file(path)]
    known = {synset.uid for _, _, synset in found}
    for path, line, synset in found:
        for target in synset.targets:
            if target not in known:
                raise DataError(
                    f"a pointer to {target}, which is not there",
                    expected="pointers to synsets of the same database",
                    path=path,
                    line=line,
                )
    return [synset for _, _, synset in found]


def _parse_file(path: Path) -> Iterator[tuple[int, Linked]]:
    """The synsets of a file, with the lines they stand on."""
    for number, line in text_lines(path):
        if line.startswith(_LICENCE):
            continue
        try:
            yield number, _parse(line)
        except (ValueError, IndexError) as error:
            raise DataError(
                f"not a synset: {line.strip()[:60]!r}",
                expected="offset, file, type, words, pointers | gloss",
                path=path,
                line=number,
            ) from error


def _parse(line: str) -> Linked:
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
    return Linked(
        uid=uid,
        title=", ".join(names),
        content=gloss.strip(),
        targets=sorted(targets - {uid}),
    )


def _uid(offset: str, part_of_speech: str) -> str:
    """``OFFSET-POS``; satellite adjectives are adjectives."""
    letter = "a" if part_of_speech == "s" else part_of_speech
    if letter not in ("n", "v", "a", "r"):
        raise ValueError(part_of_speech)
    return f"{int(offset):08d}-{letter}"
