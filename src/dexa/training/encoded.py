"""Vectors of a whole corpus by a trained encoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dexa.auxiliary import AuxiliaryBank
from dexa.encoders import TextEncoder, encode
from dexa.recipe import Recipe
from dexa.training.corpus import Corpus
from dexa.training.devices import place, precision
from dexa.training.label_vectors import label_vectors
from dexa.types import Progress


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """Unit vectors by a trained encoder.

    Attributes:
        documents: of the training documents, ``[N, D]``.
        label_vectors: what stands for a label, ``[L, D]``.
        held_out: of the held-out documents, ``[V, D]``.
    """

    documents: torch.Tensor
    label_vectors: torch.Tensor
    held_out: torch.Tensor


def encoded(
    corpus: Corpus,
    encoder: TextEncoder,
    bank: AuxiliaryBank,
    recipe: Recipe,
    memory: float | None,
    progress: Progress,
) -> Encoded:
    """All vectors, where they fit: on the device, or in host memory."""
    device, width = corpus.texts.ids.device, encoder.dimension
    moments = 2 if recipe.classifier_stage.moments == "bfloat16" else 4
    where = place(
        device,
        memory,
        documents=4 * corpus.documents * width,
        classifiers=(4 + 2 * moments + 4) * corpus.label_count * width,
    )
    if where.documents_on_host or where.classifiers_on_host:
        progress.note(f"GPU memory: {where.told()}")
    with precision(device):
        documents = encode(
            encoder, corpus.document_tokens(), on_host=where.documents_on_host, progress=progress
        )
        texts = encode(
            encoder, corpus.label_tokens(), on_host=where.classifiers_on_host, progress=progress
        )
        held_out = encode(encoder, corpus.held_out)
    labels = label_vectors(corpus, recipe, bank, documents, texts)
    return Encoded(documents=documents, label_vectors=labels, held_out=held_out)
