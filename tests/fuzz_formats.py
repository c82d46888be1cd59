"""Feeds broken bytes to every reader: each gives a value, or one error that names the file.

    python tests/fuzz_formats.py --seconds 600
    pip install atheris && python tests/fuzz_formats.py --seconds 600

With atheris installed it follows the coverage of the readers; without, it draws bytes from the
grammar of the formats at random, seeded. What reads is written and read again, to the same value;
an error of a text file names its line. Binary files are sound ones with some bytes changed.
"""

# Over 300 lines: one short check a reader, so that what is covered is seen at a glance.
from __future__ import annotations

import argparse
import functools
import gzip
import importlib.util
import io
import json
import random
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csr_array, save_npz

WORDS = [
    b"1 3\n", b"2 3\n", b"1 3 2\n", b"2 2\n", b"0:1.0", b"2:0.5", b"1:", b":", b"1", b"0,1", b",",
    b" ", b"  ", b"\n", b"\r\n", b"\t", b"#", b"qid:3 ", b"-", b"+", b"e9", b"1e39", b"nan", b"inf",
    b"0x1", b"\xff", b"\0", b"\xef\xbb\xbf", b"the 0.5 1", b"a 1 2 ", b"{", b'{"title": "a"}\n',
    b'"target_ind": [0]', b"99999999999999999999", b"text,labels\n", b"a,x;y\n", b"labels", b'"',
    b';', b'["x", 0]', b"[[", b"]", b'{"text": "a", "labels": ["x"]}\n', b"null", b"true",
    b'"uid": "7"', b'"surrogate": "1,2,2"',
]  # fmt: skip
MEMORY = 6 << 30
"""A reader that asks for more than a broken header should make it fails."""


def same(one: csr_array, other: csr_array) -> bool:
    return one.shape == other.shape and all(
        np.array_equal(getattr(one, part), getattr(other, part))
        for part in ("indptr", "indices", "data")
    )


# Readers of text


def raw_documents(folder: Path, data: bytes) -> None:
    from dexa.data.leaks import read_uids
    from dexa.data.raw import RawSource

    (folder / "lbl.json").write_text(json.dumps({"title": "a"}) + "\n")
    (folder / "trn.json").write_bytes(data)
    list(RawSource(folder, "fuzz", ("title",)).rows("trn"))
    read_uids(folder)


def raw_labels(folder: Path, data: bytes) -> None:
    from dexa.data.leaks import read_uids
    from dexa.data.raw import RawSource

    (folder / "lbl.json").write_bytes(data)
    (folder / "trn.json").write_text('{"title": "a", "target_ind": [0]}\n')
    source = RawSource(folder, "fuzz", ("title",))
    assert len(list(source.label_texts())) == source.n_labels
    list(source.rows("trn"))
    read_uids(folder)


def matrix(folder: Path, data: bytes) -> None:
    from dexa.data import read_matrix, write_matrix

    path = folder / "m.txt"
    path.write_bytes(data)
    found = read_matrix(path)
    write_matrix(path, found)
    assert same(found, read_matrix(path))


def bare_matrix(folder: Path, data: bytes) -> None:
    from dexa.data import read_matrix, read_npz, write_npz

    path = folder / "m.txt"
    path.write_bytes(data)
    found = read_matrix(path, header=False, strict=False)
    write_npz(path, found)
    assert same(found, read_npz(path))


def label_matrix(folder: Path, data: bytes) -> None:
    from dexa.data import read_label_matrix
    from dexa.data.matrix import label_rows

    path = folder / "trn_X_Y.txt"
    path.write_bytes(data)
    found = read_label_matrix(path)
    assert (found.data > 0).all()
    assert [labels for labels, _ in label_rows(path)] == [
        found.indices[start:end].tolist()
        for start, end in zip(found.indptr, found.indptr[1:], strict=False)
    ]


def single_file(folder: Path, data: bytes) -> None:
    from dexa.data import load_dataset, read_single_file, write_single_file

    path = folder / "train.txt"
    path.write_bytes(data)
    features, labels = read_single_file(path)
    write_single_file(path, features, labels)
    again = read_single_file(path)
    assert same(features, again.features)
    assert same(labels, again.labels)
    load_dataset(path)


def token_vectors(folder: Path, data: bytes) -> None:
    from dexa.data import read_token_vectors

    (folder / "x.vec").write_bytes(data)
    tokens, vectors = read_token_vectors(folder / "x.vec")
    assert len(tokens) == len(set(tokens)) == len(vectors)
    assert np.isfinite(vectors).all()


def filter_pairs(folder: Path, data: bytes) -> None:
    from dexa.data import read_filter_pairs, write_filter_pairs

    path = folder / "filter_labels_train.txt"
    path.write_bytes(data)
    pairs = read_filter_pairs(path, 5, 5)
    write_filter_pairs(path, pairs)
    assert np.array_equal(pairs, read_filter_pairs(path, 5, 5))


def vocabulary(folder: Path, data: bytes) -> None:
    from dexa.data import read_vocabulary, write_vocabulary

    path = folder / "Xf.txt"
    path.write_bytes(data)
    words = read_vocabulary(path)
    write_vocabulary(path, words)
    if not (words and words[0].startswith("\ufeff")):  # a mark at the head is taken away again
        assert words == read_vocabulary(path)


def lines(folder: Path, data: bytes) -> None:
    """Texts, label texts and their matrix at once, of the three forms with one text a line."""
    from dexa.data import load_dataset

    for names in (("trn_X.txt", "Y.txt"), ("trn.raw.txt", "lbl.raw.txt")):
        for name in names:
            (folder / name).write_bytes(data)
        (folder / "trn_X_Y.txt").write_bytes(data)
        load_dataset(folder)


def table(name: str, folder: Path, data: bytes) -> None:
    """A table of documents, then one of documents and labels."""
    from dexa.data import load_dataset

    (folder / name).write_bytes(data)
    load_dataset(folder / name)
    (folder / name.replace("train", "labels")).write_bytes(data)
    load_dataset(folder, labels_column="text")


def surrogates(part: str, folder: Path, data: bytes) -> None:
    from dexa.data import Surrogates, read_surrogates, write_surrogates

    ids = np.arange(2)
    write_surrogates(
        folder / "s",
        Surrogates(labels=2, features=1, valid=ids, mapping=ids, threshold=1, method=0),
    )
    (folder / "s" / part).write_bytes(data)
    read = read_surrogates(folder / "s")
    write_surrogates(folder / "again", read)
    assert np.array_equal(read_surrogates(folder / "again").mapping, read.mapping)


# Readers of binary files


def damaged(sound: bytes, data: bytes) -> bytes:
    """The sound bytes with as many changed as there are threes in the data: two say where."""
    changed = bytearray(sound)
    for i in range(0, len(data) - 2, 3):
        changed[int.from_bytes(data[i : i + 2]) % len(changed)] = data[i + 2]
    return bytes(changed) if len(data) % 3 != 1 else bytes(changed[: data[-1] * len(sound) // 255])


@functools.cache
def sound_file(kind: str) -> bytes:
    """A whole file of a kind."""
    out = io.BytesIO()
    if kind == "npy":
        np.save(out, np.arange(6, dtype=np.float32).reshape(2, 3))
    elif kind == "npz":
        save_npz(out, csr_array(np.float32([[0, 0.5], [1, 2]])), compressed=False)
    elif kind == "packed npz":
        save_npz(out, csr_array(np.float32([[0, 0.5], [1, 2]])).tocoo())
    elif kind == "parquet":
        pq.write_table(pa.table({"text": ["0", "1"], "labels": [["x", "y"], None]}), out)
    elif kind == "gz":
        out.write(gzip.compress(b"2 3\n0:1.0 2:0.5\n\n", mtime=0))
    else:
        assert kind == "zst"
        out.write(pa.compress(b"2 3\n0:1.0 2:0.5\n\n", "zstd", asbytes=True))
    return out.getvalue()


def dense(folder: Path, data: bytes) -> None:
    from dexa.data import read_dense

    (folder / "x.npy").write_bytes(damaged(sound_file("npy"), data))
    vectors = read_dense(folder / "x.npy")
    assert vectors.dtype == np.float32
    assert vectors.ndim == 2


def token_array(folder: Path, data: bytes) -> None:
    from dexa.preparation import reading

    (folder / "x.npy").write_bytes(damaged(sound_file("npy").replace(b"<f4", b"<i4"), data))
    assert reading._load(folder / "x.npy").dtype.kind in "iub"


def memmap(folder: Path, data: bytes) -> None:
    from dexa.data import read_memmap, write_memmap

    path = folder / "x.dat"
    path.write_bytes(data[1:])
    tokens = read_memmap(path, data[0] % 8 if data else None)
    write_memmap(folder / "again.dat", tokens)
    assert (folder / "again.dat").read_bytes() == data[1:]


def archive(kind: str, folder: Path, data: bytes) -> None:
    from dexa.data import read_npz, write_npz
    from dexa.data.npz import read_label_npz

    path = folder / "m.npz"
    path.write_bytes(damaged(sound_file(kind), data))
    found = read_npz(path)
    write_npz(folder / "again.npz", found)
    assert same(found, read_npz(folder / "again.npz"))
    assert (read_label_npz(path).data > 0).all()


def predictions(kind: str, folder: Path, data: bytes) -> None:
    from dexa.cli.predictions import read_predictions

    path = folder / "p.npz"
    path.write_bytes(damaged(sound_file(kind), data))
    top = read_predictions(path, (2, 2), 2)
    assert ((top.labels < 2) & (top.labels >= -1)).all()


def parquet(folder: Path, data: bytes) -> None:
    table("train.parquet", folder, damaged(sound_file("parquet"), data))


def packed(kind: str, folder: Path, data: bytes) -> None:
    from dexa.data import read_matrix
    from dexa.data.files import byte_lines

    path = folder / f"m.txt.{kind}"
    path.write_bytes(damaged(sound_file(kind), data))
    list(byte_lines(path))
    read_matrix(path)


Check = Callable[[Path, bytes], None]
OF_TEXT: tuple[Check, ...] = (
    raw_documents,
    raw_labels,
    matrix,
    bare_matrix,
    label_matrix,
    single_file,
    token_vectors,
    filter_pairs,
    vocabulary,
    lines,
    functools.partial(table, "train.csv"),
    functools.partial(table, "train.jsonl"),
    functools.partial(surrogates, "valid_labels.txt"),
    functools.partial(surrogates, "surrogate_mapping.txt"),
)
OF_BYTES: tuple[Check, ...] = (
    functools.partial(surrogates, "data_stats.json"),
    dense,
    token_array,
    memmap,
    functools.partial(archive, "npz"),
    functools.partial(archive, "packed npz"),
    functools.partial(predictions, "npz"),
    functools.partial(predictions, "packed npz"),
    parquet,
    functools.partial(packed, "gz"),
    functools.partial(packed, "zst"),
)
CHECKS = (*OF_TEXT, *OF_BYTES)


def check(data: bytes, folder: Path) -> None:
    """The first byte says which reader the others are for."""
    from dexa.errors import DataError, InputError

    if not data:
        return
    reader = CHECKS[data[0] % len(CHECKS)]
    place = folder / "set"
    place.mkdir()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader(place, data[1:])
    except DataError as error:
        if reader in OF_TEXT:
            of_all_lines = ("not a finite", " lines", "surrogates between")
            whole = any(words in error.given for words in of_all_lines)
            assert error.line is not None or whole, error
            assert error.line is None or 1 <= error.line <= data.count(b"\n") + 2, error
        assert error.path is not None, error
    except InputError as error:
        assert reader is memmap, error  # a length of 0
    finally:
        shutil.rmtree(place)


def draw(source: random.Random) -> bytes:
    """A reader, and words of the formats in any order, now and then with a byte changed."""
    reader = source.randrange(len(CHECKS))
    if CHECKS[reader] in OF_BYTES and source.random() < 0.7:
        return bytes([reader]) + source.randbytes(source.randint(0, 10))
    data = bytearray(b"".join(source.choices(WORDS, k=source.randint(0, 14))))
    if data and source.random() < 0.3:
        data[source.randrange(len(data))] = source.randrange(256)
    return bytes([reader]) + bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    in_memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=in_memory) as name:
        folder = Path(name)
        if importlib.util.find_spec("atheris") is None:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            source, count, end = random.Random(given.seed), 0, time.monotonic() + given.seconds
            while time.monotonic() < end:
                data = draw(source)
                try:
                    check(data, folder)
                except BaseException:
                    sys.stderr.write(f"{CHECKS[data[0]]} of {data[1:]!r}\n")
                    raise
                count += 1
            sys.stdout.write(f"{count} inputs, no crash; atheris is not installed\n")
            return
        import atheris

        with atheris.instrument_imports(include=["dexa"]):
            import dexa.cli.predictions
            import dexa.data.leaks
            import dexa.preparation.reading  # noqa: F401
        corpus = folder / "corpus"
        corpus.mkdir()
        source = random.Random(given.seed)
        for number in range(4000):
            (corpus / str(number)).write_bytes(draw(source))
        limits = [f"-max_total_time={given.seconds}", f"-seed={given.seed + 1}", "-max_len=200"]
        atheris.Setup([sys.argv[0], str(corpus), *limits], lambda data: check(data, folder))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
