"""From one form of a data set to another, and between a matrix as text and as an archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from scipy.sparse import csr_array

from dexa.data.cells import is_table
from dexa.data.dataset import Split
from dexa.data.features import TextFeatures
from dexa.data.filters import filter_file, read_filter_pairs
from dexa.data.lines import DEXML, LINES, OAK, RAW_TEXT
from dexa.data.matrix import read_matrix, shape_of, write_matrix
from dexa.data.npz import read_labels, read_npz, write_npz
from dexa.data.rows import SPLITS, SplitName
from dexa.data.single_file import (
    SINGLE_FILES,
    is_single_file,
    read_single_file,
    split_of,
    write_single_file,
)
from dexa.data.source import load_dataset
from dexa.data.vectors import read_vocabulary, write_vocabulary
from dexa.data.writing import (
    required_texts,
    splits_of,
    write_filters,
    write_lines,
    write_raw,
)
from dexa.errors import DataError, InputError, MissingFileError
from dexa.storage import atomic_folder

_VOCABULARY = "Xf.txt"
_LABEL_FEATURES = "lbl_X_Xf"
_SUFFIXES = (".txt", ".npz")


class Form(StrEnum):
    """What a folder can be converted to."""

    raw = "raw"
    """``trn.json.gz``, ``tst.json.gz``, ``lbl.json.gz``."""
    lines = "lines"
    """``trn_X.txt``, ``tst_X.txt``, ``Y.txt``, ``trn_X_Y.txt``, ``tst_X_Y.txt``."""
    dexml = "dexml"
    """``raw/trn_X.txt``, ``raw/tst_X.txt``, ``raw/Y.txt``, ``Y.trn.npz``, ``Y.tst.npz``."""
    raw_text = "raw-text"
    """``trn.raw.txt``, ``tst.raw.txt``, ``lbl.raw.txt``, ``trn_X_Y.txt``, ``tst_X_Y.txt``."""
    oak = "oak"
    """``raw_data/{train,test,label}.raw.txt``, ``trn_X_Y.txt``, ``tst_X_Y.txt``."""
    matrices = "matrices"
    """``trn_X_Xf.txt`` and ``trn_X_Y.txt``, ``tst_X_Xf.txt`` and ``tst_X_Y.txt``."""
    npz = "npz"
    """The same as archives, ``trn_X_Xf.npz`` and so on."""
    single = "single"
    """``train.txt``, ``test.txt``: features and labels in one file."""


_LINE_FORMS = {Form.lines: LINES, Form.dexml: DEXML, Form.raw_text: RAW_TEXT, Form.oak: OAK}


class _Featured(NamedTuple):
    """A data set of sparse features: a matrix and labels a part, and what goes with them."""

    features: dict[SplitName, csr_array]
    splits: dict[SplitName, Split]
    label_features: csr_array | None
    vocabulary: Sequence[str] | None


def convert(
    source: str | Path,
    target: str | Path,
    form: Form | str | None = None,
    *,
    fields: Sequence[str] | None = None,
) -> None:
    """Write a data set in another form, or a matrix as text or as an archive.

    A matrix file becomes the other of ``.txt`` and ``.npz``, as the target's name says. All else
    becomes a new folder of the given form. Forms with texts need texts. Forms with features take
    the features that are there (``*_X_Xf``, or the old single file), else they are made of the
    texts, by `TextFeatures` of train and label texts. Filter pairs go along.

    Args:
        source: a folder, a table, a file of the old single form, or a matrix.
        target: a new or empty folder; or a matrix file.
        form: of the folder.
        fields: what makes up a text, as for `load_dataset`.

    Raises:
        MissingFileError: there is no such source, or part of it is missing.
        DataError: the source is broken, or has no texts where some are needed.
        InputError: source and target do not go together, or the target is in use.
        StorageError: the disk refused.
    """
    source, target = Path(source), Path(target)
    if not source.exists():
        raise MissingFileError("no such folder or file", path=source)
    if form is None:
        _convert_matrix(source, target)
        return
    form = Form(form)
    _check_new(target)
    if form is Form.raw or form in _LINE_FORMS:
        dataset = load_dataset(source, fields=fields)
        with atomic_folder(target) as draft:
            if form is Form.raw:
                write_raw(dataset, draft)
            else:
                write_lines(dataset, draft, _LINE_FORMS[form])
        return
    has_features = not is_table(source) if source.is_file() else any(_places(source))
    featured = _read_features(source) if has_features else _features_of_texts(source, fields)
    with atomic_folder(target) as draft:
        _write_features(featured, draft, form)


def _convert_matrix(source: Path, target: Path) -> None:
    ways = {(".txt", ".npz"): (read_matrix, write_npz), (".npz", ".txt"): (read_npz, write_matrix)}
    way = ways.get((source.suffix, target.suffix))
    if way is None or not source.is_file():
        raise InputError(
            f"{source.name} to {target.name}",
            expected="a .txt matrix to .npz, or the other way, or a form for a folder",
            do=f"choose one of the forms {', '.join(Form)}",
            path=source,
        )
    read, write = way
    write(target, read(source))


def _check_new(target: Path) -> None:
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise InputError("exists already", expected="a new or empty folder", path=target)


class _Place(NamedTuple):
    """Where a part's features and labels are; the old form has both in one file."""

    split: SplitName
    features: Path
    labels: Path | None


def _places(source: Path) -> Iterator[_Place]:
    if source.is_file():
        yield _Place(split_of(source), source, None)
        return
    for split in SPLITS:
        single = source / SINGLE_FILES[split]
        if features := _matrix_file(source, f"{split}_X_Xf"):
            labels = _matrix_file(source, f"{split}_X_Y")
            if labels is None:
                raise MissingFileError(
                    f"no labels beside {features.name}",
                    expected=f"{split}_X_Y.txt or {split}_X_Y.npz",
                    path=source,
                )
            yield _Place(split, features, labels)
        elif single.is_file():
            yield _Place(split, single, None)


def _matrix_file(folder: Path, stem: str) -> Path | None:
    return next((p for s in _SUFFIXES if (p := folder / f"{stem}{s}").is_file()), None)


def read_features(folder: str | Path) -> dict[str, csr_array]:
    """The sparse features of documents and labels that a folder holds, ``[rows, V]`` each.

    They are read from ``trn_X_Xf``, ``tst_X_Xf`` and ``lbl_X_Xf``, ``.txt`` or ``.npz``.

    Returns:
        ``{"trn_doc": …, "tst_doc": …, "lbl": …}``, without those that have no file.

    Raises:
        DataError: a file is broken, has another number of features than the others, or is a
            pickle, which would run what is written in it.
    """
    folder, found = Path(folder), dict[str, csr_array]()
    stems = {"trn_doc": "trn_X_Xf", "tst_doc": "tst_X_Xf", "lbl": _LABEL_FEATURES}
    for name, stem in stems.items():
        pickle = folder / f"{stem}.pkl"
        if path := _matrix_file(folder, stem):
            found[name] = _read(path)
            wide = shape_of(next(iter(found.values())))[1]
            if shape_of(found[name])[1] != wide:
                raise DataError(
                    f"{shape_of(found[name])[1]} features",
                    expected=f"{wide}, as the other files have",
                    path=path,
                    line=1,
                )
        elif pickle.is_file():
            raise DataError(
                "a pickle, which runs whatever is written in it when it is opened",
                expected=f"{stem}.txt or {stem}.npz",
                do="write it with scipy.sparse.save_npz where you trust it",
                path=pickle,
            )
    return found


def _read_features(source: Path) -> _Featured:
    features: dict[SplitName, csr_array] = {}
    splits: dict[SplitName, Split] = {}
    folder = source if source.is_dir() else None
    for split, path, label_path in _places(source):
        if label_path is None:
            features[split], labels = _read_single(path)
        else:
            features[split], labels = _read(path), read_labels(label_path)
        n_rows, (n_documents, n_labels) = shape_of(features[split])[0], shape_of(labels)
        if n_rows != n_documents:
            raise DataError(
                f"{n_rows} rows of features",
                expected=f"{n_documents}, as there are of labels",
                path=path,
                line=1,
            )
        pairs = read_filter_pairs(folder and filter_file(folder, split), n_documents, n_labels)
        splits[split] = Split(labels=labels, texts=None, filter_pairs=pairs)
    label_file = folder and _matrix_file(folder, _LABEL_FEATURES)
    words = folder and folder / _VOCABULARY
    return _Featured(
        features,
        splits,
        _read(label_file) if label_file else None,
        read_vocabulary(words) if words and words.is_file() else None,
    )


def _read_single(path: Path) -> tuple[csr_array, csr_array]:
    if not is_single_file(path):
        raise DataError(
            "a file that is not of the old form",
            expected="a header `documents features labels`",
            do="to convert a matrix, give no form and a target that ends in .npz",
            path=path,
            line=1,
        )
    return read_single_file(path)


def _read(path: Path) -> csr_array:
    return read_npz(path) if path.suffix == ".npz" else read_matrix(path)


def _features_of_texts(source: Path, fields: Sequence[str] | None) -> _Featured:
    dataset = load_dataset(source, fields=fields)
    splits = dict(splits_of(dataset))
    label_texts = required_texts(dataset, dataset.label_texts)
    first = next(iter(splits.values()))
    made = TextFeatures.fit(required_texts(dataset, first.texts), label_texts)
    features: dict[SplitName, csr_array] = {
        name: made.transform(required_texts(dataset, split.texts)) for name, split in splits.items()
    }
    return _Featured(features, splits, made.transform(label_texts), made.vocabulary)


def _write_features(featured: _Featured, folder: Path, form: Form) -> None:
    write: Callable[[Path, csr_array], None] = write_npz if form is Form.npz else write_matrix
    suffix = ".npz" if form is Form.npz else ".txt"
    for name, split in featured.splits.items():
        if form is Form.single:
            write_single_file(folder / SINGLE_FILES[name], featured.features[name], split.labels)
        else:
            write(folder / f"{name}_X_Xf{suffix}", featured.features[name])
            write(folder / f"{name}_X_Y{suffix}", split.labels)
        write_filters(folder, name, split)
    if featured.label_features is not None:
        write(folder / f"{_LABEL_FEATURES}{suffix}", featured.label_features)
    if featured.vocabulary is not None:
        write_vocabulary(folder / _VOCABULARY, featured.vocabulary)
