"""FOLDOC: an entry of the Free On-line Dictionary of Computing → its subjects and see-also entries.

An entry names its subjects in angle brackets (``<networking, protocol>``), and links to other
entries in braces. The subjects, few and frequent, are labels beside the entries that are linked to.
"""

from __future__ import annotations

import re
from pathlib import Path

from builders import dictd
from dexa.data import Linked, write_linked

NAME = "FOLDOC"
_SUBJECTS = re.compile(r"^\s*(?:\d\.\s+)?<([a-z][^<>@:]*)>", re.MULTILINE)
_SUBJECT = "subject:"
_DATE = re.compile(r"\s*\(\d{4}(?:-\d\d){0,2}\)$")
_WEB = re.compile(r"\{[^{}]*\([^{}]*\)\}")


def build(root: Path, folder: Path) -> None:
    """Write the data set.

    Raises:
        MissingFileError: Debian's package dict-foldoc is not there.
        DataError: its index is malformed.
    """
    articles = dictd.read_articles(root, "foldoc")
    places = {word: article.words[0] for article in articles for word in article.words}
    entries = [_entry(article, places) for article in articles]
    subjects = {
        target: Linked(uid=target, title=target.removeprefix(_SUBJECT), content="")
        for entry in entries
        for target in entry.targets
        if target.startswith(_SUBJECT)
    }
    write_linked(entries, {entry.uid: entry for entry in entries} | subjects, folder)


def _entry(article: dictd.Article, places: dict[str, str]) -> Linked:
    head, _, body = article.text.partition("\n")
    uid = article.words[0]
    subjects = {
        _SUBJECT + dictd.one_line(subject)
        for listed in _SUBJECTS.findall(body)
        for subject in listed.split(",")
        if subject.strip()
    }
    linked = dictd.targets_of(dictd.links(body), places, uid)
    text = dictd.without_braces(_WEB.sub("", _SUBJECTS.sub("", body)))
    return Linked(
        uid=uid,
        title=dictd.one_line(head),
        content=_DATE.sub("", text),
        targets=tuple(sorted({*linked, *subjects})),
    )
