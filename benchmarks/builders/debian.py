"""Data sets from the package lists of a Debian release: what a package needs, what suits it, is.

``DebianDepends``: a long description → the packages that it depends on, of which a few (the C
library, Perl, Python) are needed by most. ``DebianSuggestsTitles``: a name and a line → the
packages that it recommends or suggests, most of them rare. ``DebianTags``: name, line and long
description → the tags that it bears, a few hundred, many of them frequent.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from builders.dictd import one_line
from dexa.data import Linked, write_linked
from dexa.data.files import text_lines
from dexa.errors import DataError, MissingFileError

DEPENDS, SUGGESTS, TAGS = "DebianDepends", "DebianSuggestsTitles", "DebianTags"
_LISTS = "var/lib/apt/lists"
_HELPER = "/usr/lib/apt/apt-helper"
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_PACKED = (".lz4", ".xz", ".bz2", ".zst")
_LONG = 80

Paragraph = dict[str, str]


def build_depends(root: Path, folder: Path) -> None:
    """Write ``DebianDepends``: one package of each source, with a description of 80 words at least.

    Raises:
        MissingFileError: the package lists are not there.
        DataError: one is malformed.
    """
    packages = read_packages(root / _LISTS)
    chosen = _one_a_source(
        packages,
        lambda package: _linked(package, packages, ("Pre-Depends", "Depends"), package["Long"]),
        least=_LONG,
    )
    labels = {name: _linked(package, packages, (), "") for name, package in packages.items()}
    write_linked(chosen, labels, folder)


def build_suggests(root: Path, folder: Path) -> None:
    """Write ``DebianSuggestsTitles``.

    Raises:
        MissingFileError: the package lists are not there.
        DataError: one is malformed.
    """
    packages = read_packages(root / _LISTS)
    documents = {
        name: _linked(package, packages, ("Recommends", "Suggests"), "")
        for name, package in packages.items()
    }
    write_linked(documents.values(), documents, folder)


def build_tags(root: Path, folder: Path) -> None:
    """Write ``DebianTags``: one package of each source, and its tags (``facet::value``).

    Raises:
        MissingFileError: the package lists are not there.
        DataError: one is malformed.
    """
    documents = _one_a_source(read_packages(root / _LISTS), _tagged)
    tags = {tag for document in documents for tag in document.targets}
    labels = {tag: Linked(uid=tag, title=_spoken(tag), content="") for tag in tags}
    write_linked(documents, labels, folder)


def read_packages(lists: Path) -> dict[str, Paragraph]:
    """The packages of a release by name, in alphabetical order.

    Of each, the fields as the list has them; ``Long`` is its long description in English.

    Raises:
        MissingFileError: the lists, or the descriptions, are not there.
        DataError: a list is malformed.
    """
    found = _list(lists, "_main_binary-*_Packages*")
    texts = _list(lists, "_main_i18n_Translation-en*")
    described = {
        paragraph["Description-md5"]: paragraph["Description-en"]
        for paragraph in paragraphs(_lines(texts), texts)
    }
    packages = {
        paragraph["Package"]: paragraph
        | {"Long": _long(described.get(paragraph.get("Description-md5", ""), ""))}
        for paragraph in paragraphs(_lines(found), found)
    }
    return dict(sorted(packages.items()))


def _list(lists: Path, pattern: str) -> Path:
    """The one list of the release itself, without its updates and security fixes."""
    found = sorted(lists.glob(f"*_debian_dists_*{pattern}"))
    found = [path for path in found if not re.search(r"_dists_[^_]*-", path.name)]
    if not found:
        raise MissingFileError(
            f"no list *{pattern}",
            expected="Debian's package lists with English descriptions",
            do=f"apt-get -o Dir::State::lists={lists} -o Acquire::Languages=en update "
            f"(after mkdir -p {lists}/partial), or give another --root",
            path=lists,
        )
    return found[0]


def _lines(path: Path) -> Iterable[str]:
    """The lines of a list, however apt has packed it."""
    if not path.name.endswith(_PACKED):
        return (line for _, line in text_lines(path))
    command = [_HELPER, "cat-file", str(path)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return output.decode().split("\n")


def paragraphs(lines: Iterable[str], path: Path) -> Iterator[Paragraph]:
    r"""The paragraphs of a control file: ``Field: value`` lines, goes on after a space.

    Raises:
        DataError: a line is neither.
    """
    fields: Paragraph = {}
    last = ""
    for number, line in enumerate(lines, start=1):
        name, colon, value = line.partition(":")
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0] == " " and last:
            fields[last] += "\n" + line.strip()
        elif colon and line[0] != " ":
            last = name
            fields[name] = value.strip()
        else:
            raise DataError(
                f"{line[:60]!r}",
                expected="a field, or a line after a space",
                path=path,
                line=number,
            )
    if fields:
        yield fields


def _long(description: str) -> str:
    """All but the first line; a dot alone stands for an empty line."""
    return one_line(" ".join(line for line in description.split("\n")[1:] if line != "."))


def _one_a_source(
    packages: Mapping[str, Paragraph], linked: Callable[[Paragraph], Linked], least: int = 0
) -> list[Linked]:
    """The first package of each source that links to something, of so many words at least."""
    chosen: dict[str, Linked] = {}
    for package in packages.values():
        source = package.get("Source", package["Package"]).split()[0]
        if source not in chosen and len(package["Long"].split()) >= least:
            document = linked(package)
            if document.targets:
                chosen[source] = document
    return list(chosen.values())


def _tagged(package: Paragraph) -> Linked:
    tags = {tag.strip() for tag in package.get("Tag", "").split(",")} - {""}
    return replace(_linked(package, {}, (), package["Long"]), targets=tuple(sorted(tags)))


def _spoken(tag: str) -> str:
    """A tag as words: ``implemented-in::perl`` is "implemented in: perl"."""
    return re.sub(":+", ": ", tag).replace("-", " ")


def _linked(
    package: Paragraph, packages: Mapping[str, Paragraph], fields: tuple[str, ...], content: str
) -> Linked:
    name = package["Package"]
    named = {target for field in fields for target in related(package.get(field, ""))}
    return Linked(
        uid=name,
        title=f"{name}: {package.get('Description', '')}",
        content=content,
        targets=tuple(sorted(target for target in named if target in packages and target != name)),
    )


def related(field: str) -> list[str]:
    """The packages of a relation field, versions left out; of alternatives the first."""
    names = [_NAME.match(relation.strip()) for relation in field.split(",")]
    return [name.group() for name in names if name]
