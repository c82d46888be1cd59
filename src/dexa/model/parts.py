"""The trained parts of a recipe: what answers, and what lives in a folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.auxiliary import AuxiliaryBank
from dexa.encoders import TextEncoder, encode
from dexa.fusion import BoostedFusion, TreeFusion
from dexa.model.scorers import Scorers
from dexa.recipe import Recipe
from dexa.tokens import TokenArray
from dexa.types import Progress, TopK

FUSION = "fusion"

_TEXTS_AT_ONCE = 4_096


@dataclass(frozen=True, kw_only=True)
class Model:
    """Everything that training leaves behind.

    Attributes:
        recipe: completed, every field filled in.
        encoder: of documents and labels.
        bank: auxiliary vectors.
        scorers: label search, classifiers, and what else the recipe names.
        fusion: of their scores.
        frequency: int64 ``[L]``, training documents of each label.
        label_texts: the text of every label; None when training had tokens only.
        facts: seed, device, data set and versions, as JSON values.
        history: a record of each epoch.
    """

    recipe: Recipe
    encoder: TextEncoder
    bank: AuxiliaryBank
    scorers: Scorers
    fusion: TreeFusion | BoostedFusion
    frequency: NDArray[np.int64]
    label_texts: Sequence[str] | None
    facts: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.scorers.label_search.vectors.device

    def tokens(self, texts: Iterable[str]) -> TokenArray:
        """Texts as tokens of the encoder, on the model's device."""
        return self.encoder.tokenizer(texts).to(self.device)

    def encode_documents(
        self, texts: Sequence[str] | TokenArray, *, progress: Progress | None = None
    ) -> torch.Tensor:
        """Unit vectors of documents, float32 ``[N, D]``."""
        tokens = texts if isinstance(texts, TokenArray) else self.tokens(texts)
        return encode(self.encoder, tokens.to(self.device), progress=progress)

    def encode_labels(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors of texts as labels, float32 ``[N, D]``.

        A text that is a label of the model gets that label's embedding, auxiliary vector
        included; of several labels with one text, the first.
        """
        vectors = self.encode_documents(texts)
        known = {text: label for label, text in reversed(list(enumerate(self.label_texts or ())))}
        places = [(row, known[text]) for row, text in enumerate(texts) if text in known]
        if places:
            rows, labels = torch.tensor(places, device=self.device).unbind(dim=1)
            vectors[rows] = self.scorers.label_search.vectors[labels]
        return vectors

    def predict(self, texts: Sequence[str] | TokenArray, k: int = 5) -> TopK:
        """The k best labels of each text by the fused score."""
        return self.predict_scorers(texts, k)[FUSION]

    def predict_scorers(
        self,
        texts: Sequence[str] | TokenArray,
        k: int = 100,
        *,
        words: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> dict[str, TopK]:
        """The k best labels of each text by each scorer and by their fusion.

        Args:
            texts: themselves, or their tokens.
            k: answers a text.
            words: the texts whose tokens were given, for scorers that read words.
            progress: told of every step.

        Raises:
            InputError: there are tokens alone, and a scorer reads words.
        """
        vectors = self.encode_documents(texts, progress=progress)
        read = words if isinstance(texts, TokenArray) else texts
        parts = []
        for start in range(0, max(1, len(vectors)), _TEXTS_AT_ONCE):
            block = slice(start, start + _TEXTS_AT_ONCE)
            parts.append(self._answer(vectors[block], None if read is None else read[block], k))
        return {
            name: TopK(
                labels=np.concatenate([part[name].labels for part in parts]),
                scores=np.concatenate([part[name].scores for part in parts]),
                label_texts=self.label_texts,
            )
            for name in parts[0]
        }

    def _answer(
        self, vectors: torch.Tensor, texts: Sequence[str] | None, k: int
    ) -> dict[str, TopK]:
        depth = max(k, self.recipe.fusion.candidates)
        asked = self.scorers.ask(vectors, texts)
        found = asked.best(depth)
        used = {name: found[name] for name in self.recipe.fusion.scorers}
        fused = self.fusion(asked.candidates(used), k)
        cut = {
            name: replace(top, labels=top.labels[:, :k], scores=top.scores[:, :k])
            for name, top in found.items()
        }
        return {**cut, FUSION: fused}
