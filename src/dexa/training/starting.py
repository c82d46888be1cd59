"""The encoder that training starts from, and what it reads of a data set, where that is features.

A bag of sparse features reads those that the data set's folder holds (``trn_X_Xf.txt`` …), or words
and sub-words that are chosen from its texts.
"""

from __future__ import annotations

from pathlib import Path

import torch
from scipy.sparse import csr_array

from dexa.data import (
    Dataset,
    TextFeatures,
    read_dense,
    read_features,
    read_token_vectors,
    read_vocabulary,
)
from dexa.encoders import (
    FeatureReader,
    SparseBag,
    TextEncoder,
    open_encoder,
    open_sparse_bag,
    reads_features,
)
from dexa.errors import DataError
from dexa.recipe import EncoderChoice
from dexa.tokens import TokenArray

_VOCABULARY = "Xf.txt"


def starting_encoder(choice: EncoderChoice, dataset: Dataset) -> TextEncoder:
    """The encoder of a recipe, before training.

    Raises:
        EncoderError: it cannot be found or opened.
        DataError: the data set has neither features nor texts, or token vectors do not fit.
    """
    if not reads_features(choice.name) or Path(choice.name).is_dir():
        return open_encoder(
            choice.name,
            max_length=choice.max_length or 0,
            dropout=choice.dropout,
            initial=choice.initial,
            pairs=choice.pairs or 0,
        )
    reader = _reader(dataset)
    if choice.initial in ("pretrained", "random"):
        return open_sparse_bag(
            choice.name,
            reader,
            dropout=choice.dropout,
            activation=choice.activation,
            initial=choice.initial,
        )
    table = _table(Path(choice.initial), reader, dataset.folder)
    return SparseBag(reader, table, activation=choice.activation, dropout=choice.dropout)


def feature_tokens(dataset: Dataset, encoder: TextEncoder) -> dict[str, TokenArray] | None:
    """What an encoder of features reads of a data set: ``trn_doc``, ``tst_doc``, ``lbl``.

    Labels without features have none. None where the encoder reads tokens.

    Raises:
        DataError: features are missing, or are not those that the encoder knows.
    """
    if not isinstance(encoder, SparseBag):
        return None
    reader = encoder.tokenizer
    splits = {"trn_doc": dataset.train, "tst_doc": dataset.test}
    documents = {name: split for name, split in splits.items() if split is not None}
    if reader.features is not None:
        texts = {name: split.texts for name, split in documents.items()}
        texts["lbl"] = dataset.label_texts
        known = {name: some for name, some in texts.items() if some is not None}
        if len(known) < len(texts):
            raise DataError(
                "a data set without texts", expected="the texts whose features are to be counted"
            )
        return {name: reader(some) for name, some in known.items()}
    rows = {name: split.n_documents for name, split in documents.items()}
    return _given_tokens(dataset, rows | {"lbl": dataset.n_labels}, reader.vocabulary_size)


def _given_tokens(dataset: Dataset, rows: dict[str, int], width: int) -> dict[str, TokenArray]:
    given = {} if dataset.folder is None else read_features(dataset.folder)
    given.setdefault("lbl", csr_array((dataset.n_labels, width), dtype="float32"))
    for name, count in rows.items():
        shape = given[name].shape if name in given else None
        if shape != (count, width):
            raise DataError(
                f"features of {name} of shape {shape}",
                expected=f"{count} rows of {width} features",
                path=dataset.folder,
            )
    return {name: TokenArray.of_matrix(given[name]) for name in rows}


def _reader(dataset: Dataset) -> FeatureReader:
    """A reader of the features that the folder holds, else of words and sub-words of the texts."""
    given = {} if dataset.folder is None else read_features(dataset.folder)
    if given:
        _, width = next(iter(given.values())).shape  # pyright: ignore[reportGeneralTypeIssues]
        return FeatureReader(vocabulary_size=width, features=None)
    assert dataset.train is not None
    if dataset.train.texts is None or dataset.label_texts is None:
        raise DataError(
            "neither features nor texts",
            expected="trn_X_Xf.txt and tst_X_Xf.txt, or texts to count words in",
            path=dataset.folder,
        )
    return FeatureReader.of(TextFeatures.fit(dataset.train.texts, dataset.label_texts))


def _table(path: Path, reader: FeatureReader, folder: Path | None) -> torch.Tensor:
    """Vectors of features from a file: row by row, or by the names of the features."""
    if path.suffix == ".npy":
        vectors = read_dense(path)
    else:
        names = _names(reader, folder, path)
        vectors = read_token_vectors(path).of(names)
    if len(vectors) != reader.vocabulary_size:
        raise DataError(
            f"{len(vectors)} vectors",
            expected=f"one for each of the {reader.vocabulary_size} features",
            path=path,
        )
    return torch.from_numpy(vectors)


def _names(reader: FeatureReader, folder: Path | None, path: Path) -> list[str]:
    if reader.features is not None:
        return list(reader.features.vocabulary)
    if folder is None or not (folder / _VOCABULARY).is_file():
        raise DataError(
            f"features without names for {path.name}",
            expected=f"{_VOCABULARY} beside the features",
            path=folder,
        )
    return read_vocabulary(folder / _VOCABULARY)
