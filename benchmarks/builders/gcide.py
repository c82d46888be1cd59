"""GCIDE: an entry of the Collaborative International Dictionary of English → entries it links to.

Entries with one head word in several parts of speech are one document, for a link names the word
alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from builders import dictd
from dexa.data import Linked, write_linked

NAME = "GCIDE"
_SOURCE = re.compile(r"\[(?:\d{4} Webster|WordNet [\d.]+|PJC|Century Dict\.[^\]]*|Webster[^\]]*)\]")
_PRONUNCIATION = re.compile(r"\\[^\\\n]*\\(?:\s*\([^()]*\))?,?")
_DOCUMENT_WORDS, _LABEL_WORDS = 120, 40


def build(root: Path, folder: Path) -> None:
    """Write the data set.

    Raises:
        MissingFileError: Debian's package dict-gcide is not there.
        DataError: its index is malformed.
    """
    heads: dict[str, list[dictd.Article]] = defaultdict(list)
    places: dict[str, str] = {}
    for article in dictd.read_articles(root, "gcide"):
        head = _head(article)
        heads[head.casefold()].append(article)
        for word in article.words:
            places.setdefault(word.casefold(), head.casefold())
    places |= {uid: uid for uid in heads}
    documents = [_entry(uid, articles, places) for uid, articles in heads.items()]
    labels = {
        entry.uid: Linked(
            uid=entry.uid, title=entry.title, content=_first(entry.content, _LABEL_WORDS)
        )
        for entry in documents
    }
    write_linked(documents, labels, folder)


def _head(article: dictd.Article) -> str:
    first = article.text.partition("\n")[0]
    return dictd.one_line(first.partition("\\")[0]) or article.words[0]


def _entry(uid: str, articles: list[dictd.Article], places: dict[str, str]) -> Linked:
    text = "\n".join(_PRONUNCIATION.sub("", article.text, count=1) for article in articles)
    found = dictd.links(text)
    seen = dictd.without_braces(_SOURCE.sub("", text))
    return Linked(
        uid=uid,
        title=_head(articles[0]),
        content=_first(seen.removeprefix(_head(articles[0])).strip(), _DOCUMENT_WORDS),
        targets=dictd.targets_of(found, places, uid),
    )


def _first(text: str, words: int) -> str:
    return " ".join(text.split()[:words])
