"""A data set as training takes it: tokens, pairs, texts, facts."""

from __future__ import annotations

import itertools

import numpy as np

from dexa import metrics
from dexa.data import Dataset
from dexa.data.dataset import ADD_TEXTS
from dexa.encoders import TextEncoder
from dexa.errors import DataError
from dexa.preparation import are_tokens_of, prepared_tokens
from dexa.recipe import EncoderChoice
from dexa.tokens import TextTokenizer, TokenArray, no_tokens
from dexa.training import Examples, feature_tokens, starting_encoder
from dexa.types import Progress

_TITLE_WORDS = 20


def holds_titles(dataset: Dataset) -> bool:
    """Whether texts are titles: by the fields that were chosen, else by their length."""
    if "title" in dataset.fields:
        return tuple(dataset.fields) == ("title",)
    assert dataset.train is not None
    if dataset.train.texts is None:
        return False
    words = [len(text.split()) for text in itertools.islice(dataset.train.texts, 1_000)]
    return bool(np.quantile(words, 0.95) <= _TITLE_WORDS)


def encoder_of(choice: EncoderChoice, dataset: Dataset) -> TextEncoder | None:
    """The encoder that a completed recipe names; None where it names none.

    Raises:
        EncoderError: it cannot be found or opened.
        DataError: it reads features, and the data set has neither features nor texts.
    """
    return None if choice.absent else starting_encoder(choice, dataset)


def examples_of(dataset: Dataset, encoder: TextEncoder | None, progress: Progress) -> Examples:
    """The training split of a data set, with the tokens of an encoder."""
    tokens = tokens_of(dataset, encoder, progress)
    split = dataset.train
    assert split is not None
    return Examples(
        documents=tokens["trn_doc"],
        labels=tokens["lbl"],
        truth=split.labels,
        filter_pairs=split.filter_pairs,
        document_texts=split.texts,
        label_texts=dataset.label_texts,
        label_titles=dataset.label_titles or dataset.label_texts,
        facts={
            "name": dataset.name,
            "fields": list(dataset.fields),
            "documents": split.n_documents,
            "labels": dataset.n_labels,
            "pairs": int(split.labels.nnz),
        },
        propensity=metrics.propensity_constants(dataset.name),
    )


def tokens_of(
    dataset: Dataset, encoder: TextEncoder | None, progress: Progress
) -> dict[str, TokenArray]:
    """Tokens of all texts: those `dexa prepare` wrote where they fit, else made now.

    Without an encoder, texts have no tokens.
    """
    if encoder is None:
        splits = {"trn_doc": dataset.train, "tst_doc": dataset.test}
        counts = {name: split.n_documents for name, split in splits.items() if split is not None}
        return {n: no_tokens(count) for n, count in (counts | {"lbl": dataset.n_labels}).items()}
    if (features := feature_tokens(dataset, encoder)) is not None:
        return features
    prepared = None
    if dataset.folder is not None:
        assert isinstance(encoder.tokenizer, TextTokenizer)
        prepared = prepared_tokens(
            dataset.folder, encoder.tokenizer, dataset.fields, progress=progress
        )
    if prepared is not None and are_tokens_of(dataset, prepared):
        return prepared
    texts = {
        "trn_doc": dataset.train and dataset.train.texts,
        "tst_doc": dataset.test and dataset.test.texts,
        "lbl": dataset.label_texts,
    }
    if texts["lbl"] is None:
        raise DataError(
            "neither label texts nor token files that fit the encoder and the label files",
            do=f"prepare the data set with this encoder, from its texts; {ADD_TEXTS}",
            path=dataset.folder,
        )
    progress.note("texts are tokenised; `dexa prepare` does that once and for all")
    return {
        name: encoder.tokenizer(several) for name, several in texts.items() if several is not None
    }
