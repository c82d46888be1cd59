"""Dictionaries of dictd: a text file of articles, and an index that says where each begins.

A line of the index is ``word TAB offset TAB length``, both numbers in base 64, in bytes of the
unpacked ``.dict.dz``, which is a gzip file. Several words may lead to one article.
"""

from __future__ import annotations

import gzip
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from dexa.errors import DataError, MissingFileError

FOLDER = "usr/share/dictd"
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}
_LINK = re.compile(r"\{([^{}]*)\}")
_ABOUT_ITSELF = "00-database"


@dataclass(frozen=True, kw_only=True)
class Article:
    """An article as it stands in the file.

    Attributes:
        words: the words of the index that lead to it, in its order.
        text: its first line is its head.
    """

    words: tuple[str, ...]
    text: str


def read_articles(root: Path, name: str) -> list[Article]:
    """The articles of a dictionary, in the order of the file; those about the dictionary left out.

    Args:
        root: the folder that Debian's package ``dict-NAME`` was unpacked in, ``/`` if installed.
        name: of the dictionary.

    Raises:
        MissingFileError: the package is not there; says how to install it.
        DataError: a line of the index is malformed, or leads out of the file.
    """
    index, packed = (root / FOLDER / f"{name}.{ending}" for ending in ("index", "dict.dz"))
    for path in (index, packed):
        if not path.exists():
            raise MissingFileError(
                "no such file",
                expected=f"what Debian's package dict-{name} ships",
                do=f"apt-get install dict-{name}, or apt-get download dict-{name}, "
                f"dpkg-deb -x dict-{name}_*.deb FOLDER and --root FOLDER",
                path=path,
            )
    content = gzip.decompress(packed.read_bytes())
    words: dict[tuple[int, int], list[str]] = defaultdict(list)
    for number, line in enumerate(index.read_text(encoding="utf-8").split("\n"), start=1):
        if line and not line.startswith(_ABOUT_ITSELF):
            word, start, length = _index_line(line, index, number, len(content))
            words[start, length].append(word)
    return [
        Article(words=tuple(found), text=content[start : start + length].decode(errors="replace"))
        for (start, length), found in sorted(words.items())
    ]


def _index_line(line: str, path: Path, number: int, size: int) -> tuple[str, int, int]:
    try:
        word, start, length = line.split("\t")[:3]
        place = number_of(start), number_of(length)
    except (ValueError, KeyError) as error:
        raise DataError(
            f"{line[:60]!r}",
            expected="a word, an offset and a length in base 64, with tabs between",
            path=path,
            line=number,
        ) from error
    if sum(place) > size:
        raise DataError(
            f"bytes {place[0]} to {sum(place)}",
            expected=f"a place in the {size} bytes of the dictionary",
            path=path,
            line=number,
        )
    return word, *place


def number_of(digits: str) -> int:
    """A number from dictd's base 64, the most significant digit first."""
    value = 0
    for digit in digits:
        value = value * 64 + _VALUES[digit]
    return value


def one_line(text: str) -> str:
    """All white space as single spaces."""
    return " ".join(text.split())


def links(text: str) -> list[str]:
    """What stands in braces, as a word of the index."""
    return [one_line(found).casefold() for found in _LINK.findall(text)]


def without_braces(text: str) -> str:
    """The text as a reader sees it: links as plain words, on one line."""
    return one_line(_LINK.sub(r"\1", text))


def targets_of(found: list[str], places: dict[str, str], own: str) -> tuple[str, ...]:
    """The uids that links lead to, sorted; those that lead nowhere, or home, left out."""
    return tuple(sorted({places[word] for word in found if word in places} - {own}))
