"""The builders of further data sets, on tiny dictionaries and package lists made by hand."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from builders import debian, dictd, foldoc, gcide
from dexa.data import Linked, load_dataset, write_linked
from dexa.errors import DataError, MissingFileError

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
SCRIPT = Path(__file__).parent.parent / "benchmarks" / "build_datasets.py"


def digits(number: int) -> str:
    return (digits(number // 64) if number >= 64 else "") + DIGITS[number % 64]


def write_dictionary(root: Path, name: str, articles: list[tuple[list[str], str]]) -> None:
    """An index in alphabetical order, as dictd has it, over articles in the order given."""
    folder = root / dictd.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    content, lines = b"", []
    for words, text in articles:
        place = f"{digits(len(content))}\t{digits(len(text.encode()))}"
        lines += [f"{word}\t{place}" for word in words]
        content += text.encode()
    (folder / f"{name}.index").write_text("\n".join(sorted(lines)) + "\n", encoding="utf-8")
    (folder / f"{name}.dict.dz").write_bytes(gzip.compress(content))


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a builder would write: each document by its title, with the titles of its labels."""
    found: dict[str, Any] = {}

    def write(documents: Iterable[Linked], labels: Mapping[str, Linked], folder: Path) -> None:
        for item in documents:
            titles = [labels[target].title for target in item.targets]
            found[item.title] = (item.content, titles)

    for module in (foldoc, gcide, debian):
        monkeypatch.setattr(module, "write_linked", write)
    return found


@pytest.mark.parametrize(
    ("text", "number"), [("A", 0), ("B", 1), ("/", 63), ("BA", 64), ("Kj", 10 * 64 + 35)]
)
def test_numbers_of_dictd_are_in_base_64(text: str, number: int) -> None:
    assert dictd.number_of(text) == number


def test_articles_come_in_the_order_of_the_file_with_all_their_words(tmp_path: Path) -> None:
    articles = [
        (["00-database-info"], "about\n"),
        (["zebra", "zebras"], "zebra\n an animal\n"),
        (["ape"], "ape\n a café\n"),
    ]
    write_dictionary(tmp_path, "tiny", articles)
    assert dictd.read_articles(tmp_path, "tiny") == [
        dictd.Article(words=("zebra", "zebras"), text="zebra\n an animal\n"),
        dictd.Article(words=("ape",), text="ape\n a café\n"),
    ]


@pytest.mark.parametrize("line", ["ape\tA", "ape\tA\t!", "ape\tA\tBA"])
def test_a_malformed_index_names_its_line(tmp_path: Path, line: str) -> None:
    write_dictionary(tmp_path, "tiny", [(["bee"], "bee\n")])
    index = tmp_path / dictd.FOLDER / "tiny.index"
    index.write_text("bee\tA\tE\n" + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"tiny\.index:2: "):
        dictd.read_articles(tmp_path, "tiny")


def test_a_missing_package_says_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="apt-get install dict-gcide"):
        gcide.build(tmp_path, tmp_path / "out")


def test_foldoc_labels_are_subjects_and_linked_entries(
    tmp_path: Path, written: dict[str, Any]
) -> None:
    articles = [
        (["gunzip"], "gunzip\n\n   <tool, file> Unpacks\n   {gzip} files.\n\n   (1999-12-31)\n"),
        (["gzip", "gnu zip"], "gzip\n\n   1. <tool> {gunzip}, {gzip},\n   {web (http://x)}.\n"),
        (["zip"], "zip\n\n   Unlike {GNU\n   zip}, {nowhere}.\n"),
    ]
    write_dictionary(tmp_path, "foldoc", articles)
    foldoc.build(tmp_path, tmp_path / "out")
    assert written == {
        "gunzip": ("Unpacks gzip files.", ["gzip", "file", "tool"]),
        "gzip": ("gunzip, gzip, .", ["gunzip", "tool"]),
        "zip": ("Unlike GNU zip, nowhere.", ["gzip"]),
    }


def test_gcide_entries_of_one_head_word_are_one_document(
    tmp_path: Path, written: dict[str, Any]
) -> None:
    articles = [
        (["dog", "dogs"], "Dog \\Dog\\ (d[o^]g), n. [See {Hound}.]\n A beast. [1913 Webster]\n"),
        (["dog"], "Dog \\Dog\\, v. t.\n To hunt; to {Hound}, as {Dogs} do.\n"),
        (["hound"], "Hound \\Hound\\, n.\n A {dog}.\n"),
        (["bark"], "Bark \\Bark\\, v.\n What {Dogs}, and {Wolf} do.\n"),
    ]
    write_dictionary(tmp_path, "gcide", articles)
    gcide.build(tmp_path, tmp_path / "out")
    dog = "n. [See Hound.] A beast. Dog v. t. To hunt; to Hound, as Dogs do."
    assert written == {
        "Dog": (dog, ["Hound"]),
        "Hound": ("n. A dog.", ["Dog"]),
        "Bark": ("v. What Dogs, and Wolf do.", ["Dog"]),
    }


LONG = " ".join(f"word{i}" for i in range(80))
PACKAGES = """\
Package: ed
Description: line editor
Description-md5: 1
Depends: libc6 (>= 2.3), ted | fred, nowhere, ed
Suggests: vi
Tag: devel::lang:c, implemented-in::c,
 role::program

Package: ed-doc
Source: ed (1.0)
Description: its manual
Description-md5: 1
Depends: libc6
Recommends: ed,
 ted
Tag: role::documentation

Package: libc6
Description: the C library
Description-md5: 2

Package: ted
Description: another
Description-md5: 3
Depends: libc6

Package: vi
Description: a third
Description-md5: 1
Depends: libc6, ted
Suggests: ed
"""
TRANSLATION = f"""\
Package: ed
Description-md5: 1
Description-en: line editor
 {LONG}
 .
 The end.

Package: libc6
Description-md5: 2
Description-en: the C library
 {LONG}

Package: ted
Description-md5: 3
Description-en: another
 short
"""


def write_lists(root: Path, packed: bool = False) -> Path:
    lists = root / "var/lib/apt/lists"
    lists.mkdir(parents=True)
    start = "deb.debian.org_debian_dists_"
    for name, text in (
        (f"{start}bookworm_main_binary-amd64_Packages", PACKAGES),
        (f"{start}bookworm_main_i18n_Translation-en", TRANSLATION),
        (f"{start}bookworm-updates_main_binary-amd64_Packages", "Package: none\n"),
    ):
        if packed:
            (lists / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
        else:
            (lists / name).write_text(text, encoding="utf-8")
    return lists


@pytest.mark.parametrize("packed", [False, True])
def test_packages_are_read_with_their_long_descriptions(tmp_path: Path, packed: bool) -> None:
    packages = debian.read_packages(write_lists(tmp_path, packed))
    assert list(packages) == ["ed", "ed-doc", "libc6", "ted", "vi"]
    assert packages["ed"]["Long"] == f"{LONG} The end."
    assert debian.related(packages["ed"]["Depends"]) == ["libc6", "ted", "nowhere", "ed"]
    assert debian.related(packages["ed-doc"]["Recommends"]) == ["ed", "ted"]


def test_depends_has_a_package_of_each_source_with_a_long_description(
    tmp_path: Path, written: dict[str, Any]
) -> None:
    write_lists(tmp_path)
    debian.build_depends(tmp_path, tmp_path / "out")
    needed = ["libc6: the C library", "ted: another"]
    assert written == {
        "ed: line editor": (f"{LONG} The end.", needed),
        "vi: a third": (f"{LONG} The end.", needed),
    }


def test_suggests_has_titles_alone(tmp_path: Path, written: dict[str, Any]) -> None:
    write_lists(tmp_path)
    debian.build_suggests(tmp_path, tmp_path / "out")
    assert written == {
        "ed: line editor": ("", ["vi: a third"]),
        "ed-doc: its manual": ("", ["ed: line editor", "ted: another"]),
        "libc6: the C library": ("", []),
        "ted: another": ("", []),
        "vi: a third": ("", ["ed: line editor"]),
    }


def test_tags_are_those_of_a_package_of_each_source_as_words(
    tmp_path: Path, written: dict[str, Any]
) -> None:
    write_lists(tmp_path)
    debian.build_tags(tmp_path, tmp_path / "out")
    tags = ["devel: lang: c", "implemented in: c", "role: program"]
    assert written == {"ed: line editor": (f"{LONG} The end.", tags)}


def test_missing_lists_say_how_to_fetch_them(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"Acquire::Languages=en update"):
        debian.build_depends(tmp_path, tmp_path / "out")


def test_a_malformed_list_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":2: 'neither field nor continuation'"):
        list(debian.paragraphs(["Package: a", "neither field nor continuation"], tmp_path / "list"))


def test_the_rules_of_linked_things(tmp_path: Path) -> None:
    things = [
        Linked(uid=f"{i:02d}", title=f"t{i}", content="", targets=("00", f"{i + 1:02d}"))
        for i in range(1, 20)
    ]
    everything = {f"{i:02d}": Linked(uid=f"{i:02d}", title=f"t{i}", content="") for i in range(21)}
    for name in ("first", "second"):
        write_linked(things, everything, tmp_path / name)
    dataset = load_dataset(tmp_path / "first")
    assert dataset.train is not None and dataset.test is not None
    assert (dataset.train.n_documents, dataset.test.n_documents) == (14, 5)
    assert set(dataset.train.labels.indices) == set(range(dataset.n_labels))
    own = dataset.train.labels[dataset.train.filter_pairs[:, 0], dataset.train.filter_pairs[:, 1]]
    assert own.sum() == 0
    for row, label in dataset.train.filter_pairs:
        assert (dataset.train.texts or ())[row] == (dataset.label_texts or ())[label]
    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def test_linked_things_too_few_to_test_on_are_refused(tmp_path: Path) -> None:
    things = {uid: Linked(uid=uid, title=uid, content="", targets=("b",)) for uid in "ab"}
    with pytest.raises(DataError, match="none to test on"):
        write_linked(things.values(), things, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_script_prints_facts_and_refuses_politely(tmp_path: Path) -> None:
    entries = [([f"w{i}"], f"w{i}\n\n   <even> {{w{i + 1}}}\n") for i in range(20)]
    write_dictionary(tmp_path, "foldoc", entries)
    command = [sys.executable, str(SCRIPT), "--root", str(tmp_path), "--output", str(tmp_path)]
    done = subprocess.run(
        [*command, "FOLDOC", "GCIDE"], check=False, capture_output=True, text=True
    )
    assert "| FOLDOC | 14 | 6 |" in done.stdout
    assert done.returncode == 1
    assert "apt-get install dict-gcide" in done.stderr
    assert "Traceback" not in done.stderr
