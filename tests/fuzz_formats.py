"""Feeds broken bytes to every reader: each gives a value, or one error that names file and line.

    python tests/fuzz_formats.py --seconds 600

With atheris installed it follows the coverage of the readers; without, it draws bytes from the
grammar of the formats at random, seeded. What reads is written and read again, to the same value.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

WORDS = [
    b"1 3\n", b"2 3\n", b"1 3 2\n", b"2 2\n", b"0:1.0", b"2:0.5", b"1:", b":", b"1", b"0,1", b",",
    b" ", b"  ", b"\n", b"\r\n", b"\t", b"#", b"qid:3 ", b"-", b"+", b"e9", b"1e39", b"nan", b"inf",
    b"0x1", b"\xff", b"\0", b"\xef\xbb\xbf", b"the 0.5 1", b"a 1 2 ", b"{", b'{"title": "a"}\n',
    b'"target_ind": [0]', b"99999999999999999999",
]  # fmt: skip


def same(one: csr_array, other: csr_array) -> bool:
    return one.shape == other.shape and all(
        np.array_equal(getattr(one, part), getattr(other, part))
        for part in ("indptr", "indices", "data")
    )


def rows_of(path: Path) -> list[Any]:
    from dexa.data.raw import RawSource

    lines = path.with_name("lbl.json")
    lines.write_text(json.dumps({"title": "a"}) + "\n")
    path.replace(path.with_name("trn.json"))
    return list(RawSource(path.parent, "fuzz", ("title",)).rows("trn"))


def check_matrix(path: Path) -> None:
    from dexa.data import read_matrix, write_matrix

    matrix = read_matrix(path)
    write_matrix(path, matrix)
    assert same(matrix, read_matrix(path))


def check_bare_matrix(path: Path) -> None:
    from dexa.data import read_matrix, write_npz
    from dexa.data.npz import read_npz

    matrix = read_matrix(path, header=False, strict=False)
    write_npz(path, matrix)
    assert same(matrix, read_npz(path))


def check_single_file(path: Path) -> None:
    from dexa.data import read_single_file, write_single_file

    features, labels = read_single_file(path)
    write_single_file(path, features, labels)
    again = read_single_file(path)
    assert same(features, again.features)
    assert same(labels, again.labels)


def check_token_vectors(path: Path) -> None:
    from dexa.data import read_token_vectors

    tokens, vectors = read_token_vectors(path)
    assert len(tokens) == len(set(tokens)) == len(vectors)
    assert np.isfinite(vectors).all()


def check_filter(path: Path) -> None:
    from dexa.data import read_filter_pairs, write_filter_pairs

    pairs = read_filter_pairs(path, 5, 5)
    write_filter_pairs(path, pairs)
    assert np.array_equal(pairs, read_filter_pairs(path, 5, 5))


def check_vocabulary(path: Path) -> None:
    from dexa.data import read_vocabulary, write_vocabulary

    words = read_vocabulary(path)
    write_vocabulary(path, words)
    if not (words and words[0].startswith("\ufeff")):  # a mark at the head is taken away again
        assert words == read_vocabulary(path)


CHECKS: tuple[Callable[[Path], object], ...] = (
    check_matrix,
    check_bare_matrix,
    check_single_file,
    check_token_vectors,
    check_filter,
    check_vocabulary,
    rows_of,
)


def check(data: bytes, folder: Path) -> None:
    """The first byte says which reader the others are for."""
    import warnings

    from dexa.errors import DataError

    if not data:
        return
    path = folder / "fuzz"
    path.write_bytes(data[1:])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            CHECKS[data[0] % len(CHECKS)](path)
    except DataError as error:
        assert error.line is not None or "not a finite" in error.given, error
        assert error.line is None or 1 <= error.line <= data.count(b"\n") + 2, error


def draw(source: random.Random) -> bytes:
    """A reader, and words of the formats in any order, now and then with a byte changed."""
    data = bytearray(b"".join(source.choices(WORDS, k=source.randint(0, 14))))
    if data and source.random() < 0.3:
        data[source.randrange(len(data))] = source.randrange(256)
    return bytes([source.randrange(256)]) + bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if importlib.util.find_spec("atheris") is None:
            source, count, end = random.Random(given.seed), 0, time.monotonic() + given.seconds
            while time.monotonic() < end:
                check(draw(source), folder)
                count += 1
            sys.stdout.write(f"{count} inputs, no crash; atheris is not installed\n")
            return
        import atheris

        with atheris.instrument_imports(include=["dexa"]):
            import dexa.data  # noqa: F401
        corpus = folder / "corpus"
        corpus.mkdir()
        source = random.Random(given.seed)
        for number in range(2000):
            (corpus / str(number)).write_bytes(draw(source))
        limits = [f"-max_total_time={given.seconds}", f"-seed={given.seed + 1}", "-max_len=200"]
        atheris.Setup([sys.argv[0], str(corpus), *limits], lambda data: check(data, folder))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
