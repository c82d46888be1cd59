from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from dexa.data import build_wordnet, load_dataset
from dexa.errors import DataError, MissingFileError

BUNDLED = Path(__file__).parent.parent / "datasets" / "LF-WordNet-98K"
DICT = Path(os.environ.get("WORDNET_DICT", "/usr/share/wordnet"))

LICENCE = "  1 This software and database is being provided to you, the LICENSEE\n  2   \n"
DATA = {
    "noun": [
        "00000001 03 n 01 entity 0 002 ~ 00000002 n 0000 ~ 00000002 n 0101 | what exists  ",
        '00000002 03 n 02 Physical_entity 0 thing 0 001 @ 00000001 n 0000 | a "thing" | or two',
        "00000003 03 n 01 lonely 0 000 | points nowhere  ",
        "00000004 03 n 01 selfish 0 001 @ 00000004 n 0000 | points at itself",
    ],
    "verb": [
        '00000001 29 v 01 exist 0 001 + 00000001 n 0101 01 + 02 00 | be there; "café"',
    ],
    "adj": [
        "00000001 00 a 02 able(p) 0 able(a) 1 002 & 00000002 a 0000 = 00000001 n 0000 | can do",
        "00000002 00 s 01 up_to(ip) 0 001 & 00000001 s 0000 | equal to",
    ],
    "adv": [
        "00000001 02 r 0a a 0 b 0 c 0 d 0 e 0 f 0 g 0 h 0 i 0 a 0 001 \\ 00000001 a 0101 | ten",
    ],
}


def write_dict(folder: Path, data: dict[str, list[str]] = DATA) -> Path:
    folder.mkdir()
    for part, lines in data.items():
        (folder / f"data.{part}").write_text(LICENCE + "\n".join(lines) + "\n", encoding="utf-8")
    return folder


def json_lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


# What the rules of the README make of them, by hand; `lonely` and `selfish` have no labels.
SYNSETS = {
    "00000001-n": ("entity", "what exists", ["00000002-n"]),
    "00000002-n": ("Physical entity, thing", 'a "thing" | or two', ["00000001-n"]),
    "00000001-v": ("exist", 'be there; "café"', ["00000001-n"]),
    "00000001-a": ("able", "can do", ["00000001-n", "00000002-a"]),
    "00000002-a": ("up to", "equal to", ["00000001-a"]),
    "00000001-r": ("a, b, c, d, e, f, g, h, i", "ten", ["00000001-a"]),
}


def expected_parts() -> dict[str, list[str]]:
    uids = list(SYNSETS)
    order = list(range(len(uids)))
    random.Random(7).shuffle(order)
    test = order[: int(len(order) * 0.3)]
    return {
        "trn": [uid for i, uid in enumerate(uids) if i not in test],
        "tst": [uid for i, uid in enumerate(uids) if i in test],
    }


def test_a_small_dict_by_the_rules(tmp_path: Path) -> None:
    build_wordnet(write_dict(tmp_path / "dict"), tmp_path / "out")
    parts = expected_parts()
    labels = sorted({target for uid in parts["trn"] for target in SYNSETS[uid][2]})
    assert len(parts["tst"]) == 1
    written = json_lines(tmp_path / "out" / "lbl.json.gz")
    assert [row["uid"] for row in written] == labels
    assert [list(row) for row in written] == [["uid", "title", "content"]] * len(labels)
    for stem, filters in (("trn", "train"), ("tst", "test")):
        rows = json_lines(tmp_path / "out" / f"{stem}.json.gz")
        kept = [uid for uid in parts[stem] if set(SYNSETS[uid][2]) & set(labels)]
        assert [row["uid"] for row in rows] == kept
        own = []
        for i, row in enumerate(rows):
            title, content, targets = SYNSETS[row["uid"]]
            assert (row["title"], row["content"]) == (title, content)
            assert [labels[j] for j in row["target_ind"]] == [t for t in targets if t in labels]
            assert row["target_rel"] == [1.0] * len(row["target_ind"])
            if row["uid"] in labels:
                own.append(f"{i} {labels.index(row['uid'])}\n")
        assert (tmp_path / "out" / f"filter_labels_{filters}.txt").read_text() == "".join(own)


def test_same_bytes_every_time_and_other_files_stay(tmp_path: Path) -> None:
    write_dict(tmp_path / "dict")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "README.md").write_text("kept")
    for name in ("a", "b"):
        build_wordnet(tmp_path / "dict", tmp_path / name)
    made = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert sorted(made) == [
        "filter_labels_test.txt",
        "filter_labels_train.txt",
        "lbl.json.gz",
        "trn.json.gz",
        "tst.json.gz",
    ]
    assert {p.name: p.read_bytes() for p in (tmp_path / "b").iterdir()} == {
        **made,
        "README.md": b"kept",
    }
    head = made["lbl.json.gz"][:10]
    assert head[3] == 0  # no name
    assert head[4:8] == b"\0\0\0\0"  # no time
    assert "café".encode() in gzip.decompress(made["trn.json.gz"] + made["tst.json.gz"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("00000001 02 r 01 a 0 001 @ 00000001 n 0000 no gloss", "not a synset"),
        ("00000001 02 r 03 a 0 000 | words cut short", "not a synset"),
        ("00000001 02 r 01 a 0 002 @ 00000001 n 0000 | pointers cut short", "not a synset"),
        ("00000001 02 q 01 a 0 000 | no such part of speech", "not a synset"),
        ("00000001 02 r zz a 0 000 | no number of words", "not a synset"),
        ("offset 02 r 01 a 0 000 | no offset", "not a synset"),
        ("", "not a synset"),
        ("00000001 02 r 01 a 0 001 @ 00000099 n 0000 | nowhere", "a pointer to 00000099-n"),
    ],
)
def test_broken_databases(tmp_path: Path, line: str, words: str) -> None:
    write_dict(tmp_path / "dict", {**DATA, "adv": [line]})
    with pytest.raises(DataError, match=rf"data\.adv:3: {words}"):
        build_wordnet(tmp_path / "dict", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_file_says_what_to_install(tmp_path: Path) -> None:
    write_dict(tmp_path / "dict")
    (tmp_path / "dict" / "data.verb").unlink()
    with pytest.raises(MissingFileError, match=r"data\.verb: no such file.*wordnet-base"):
        build_wordnet(tmp_path / "dict", tmp_path / "out")


def test_the_bundled_data_set_is_read() -> None:
    dataset = load_dataset(BUNDLED)
    assert dataset.name == "LF-WordNet-98K"
    assert dataset.n_labels == 97_787
    assert dataset.train is not None
    assert dataset.test is not None
    assert dataset.train.labels.shape == (81_655, 97_787)
    assert dataset.test.labels.shape == (34_397, 97_787)
    assert len(dataset.train.filter_pairs) == 68_426
    assert len(dataset.test.filter_pairs) == 28_981


@pytest.mark.skipif(
    not (DICT / "data.noun").exists(),
    reason="no WordNet 3.0 in /usr/share/wordnet or $WORDNET_DICT (Debian package wordnet-base)",
)
def test_the_bundled_data_set_comes_from_wordnet(tmp_path: Path) -> None:
    build_wordnet(DICT, tmp_path)
    for made in sorted(tmp_path.iterdir()):
        bundled = BUNDLED / made.name
        if made.suffix == ".gz":
            assert gzip.decompress(made.read_bytes()) == gzip.decompress(bundled.read_bytes())
        else:
            assert made.read_bytes() == bundled.read_bytes()
    assert len(list(tmp_path.iterdir())) == 5
