"""What the stages train on: tokens of documents and labels, their pairs, a held-out part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dexa.errors import DataError
from dexa.tokens import TokenArray, joined


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Documents to train on, documents held out, labels.

    Attributes:
        texts: tokens of the N training documents and behind them those of the L labels, so that
            a batch of both is gathered at once.
        labels: positives of the training documents, ``[N, L]``, one at least in each row.
        known: positives and filtered pairs of the training documents, ``[N, L]``.
        held_out: tokens of V documents that no scorer is trained on.
        held_out_labels: their positives, ``[V, L]``.
        held_out_filter: int64 ``[F, 2]``, held-out document and label of a filtered pair.
        rows: int64 ``[N]``, where the training documents stand in the data set.
        held_out_rows: int64 ``[V]``, likewise.
        skipped: training documents without a label.
    """

    texts: TokenArray
    labels: csr_array
    known: csr_array
    held_out: TokenArray
    held_out_labels: csr_array
    held_out_filter: NDArray[np.int64]
    rows: NDArray[np.int64]
    held_out_rows: NDArray[np.int64]
    skipped: int

    @property
    def documents(self) -> int:
        """N."""
        return self.labels.indptr.size - 1

    @property
    def label_count(self) -> int:
        """L."""
        _, count = cast("tuple[int, int]", self.labels.shape)
        return count

    @property
    def frequency(self) -> NDArray[np.int64]:
        """Training documents of each label, ``[L]``."""
        return np.bincount(self.labels.indices, minlength=self.label_count)

    def document_tokens(self) -> TokenArray:
        """Tokens of the training documents."""
        return self.texts.rows(np.arange(self.documents))

    def label_tokens(self) -> TokenArray:
        """Tokens of the labels."""
        return self.texts.rows(self.documents + np.arange(self.label_count))


def make_corpus(
    documents: TokenArray,
    label_texts: TokenArray,
    labels: csr_array,
    filter_pairs: NDArray[np.int64],
    *,
    validation: int,
    seed: int,
    device: torch.device,
) -> Corpus:
    """Set documents without labels aside, hold some out, and move tokens to the device.

    Raises:
        DataError: fewer than three documents have a label.
    """
    counts = np.diff(labels.indptr)
    usable = np.flatnonzero(counts)
    if len(usable) < 3:
        raise DataError(
            f"{len(usable)} training documents with a label",
            expected="at least 3, below which propensities mean nothing",
        )
    random = np.random.default_rng([seed, *b"validation"])
    # Propensities need three documents to count labels in.
    held = np.sort(random.permutation(usable)[: min(validation, max(0, len(usable) - 3))])
    kept = np.setdiff1d(usable, held, assume_unique=True)
    filtered = csr_array(
        (np.ones(len(filter_pairs), np.float32), (filter_pairs[:, 0], filter_pairs[:, 1])),
        shape=labels.shape,
    )
    held_filter = filtered[held].tocoo()
    known = csr_array(labels[kept] + filtered[kept])
    return Corpus(
        texts=joined([documents.rows(kept), label_texts]).to(device),
        labels=csr_array(labels[kept]),
        known=known,
        held_out=documents.rows(held).to(device),
        held_out_labels=csr_array(labels[held]),
        held_out_filter=np.stack([held_filter.row, held_filter.col], axis=1).astype(np.int64),
        rows=kept,
        held_out_rows=held,
        skipped=len(counts) - len(usable),
    )
