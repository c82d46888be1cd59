"""The trained parts of a recipe: what answers, and what lives in a folder."""

# Over 300 lines: all that a model answers, with what each method takes and raises.
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dexa.auxiliary import AuxiliaryBank
from dexa.encoders import TextEncoder, encode
from dexa.errors import DataError, InputError
from dexa.fusion import Calibration, Fusion
from dexa.model.ensemble import summed
from dexa.model.scorers import Asked, Scorers
from dexa.recipe import Recipe
from dexa.tokens import TokenArray
from dexa.types import Allowed, Progress, TopK

FUSION = "fusion"

SHOWN, HIDDEN, REMOVED = 0, 1, 2
"""What a label can be: answered; kept, but never answered; gone for good, its id never reused."""

_TEXTS_AT_ONCE = 1_024


@dataclass(frozen=True, kw_only=True)
class Model:
    """Everything that training leaves behind.

    Attributes:
        recipe: completed, every field filled in.
        encoder: of documents and labels; None where every scorer reads words.
        bank: auxiliary vectors; none without an encoder.
        scorers: label search, classifiers, and what else the recipe names.
        fusion: of their scores.
        calibration: what fused scores are worth; None where no documents were held out, and in
            models of the format before.
        frequency: int64 ``[L]``, training documents of each label.
        label_texts: the text of every label, empty for removed ones; None when training had tokens
            only.
        states: uint8 ``[L]``, `SHOWN`, `HIDDEN` or `REMOVED`.
        facts: seed, device, data set and versions, as JSON values.
        history: a record of each epoch.
        document_texts: of the documents that vote; None where they are not kept.
        members: models of other seeds, whose fused scores are added to those of this one.
    """

    recipe: Recipe
    encoder: TextEncoder | None
    bank: AuxiliaryBank
    scorers: Scorers
    fusion: Fusion
    frequency: NDArray[np.int64]
    label_texts: Sequence[str] | None
    states: NDArray[np.uint8]
    facts: dict[str, Any]
    calibration: Calibration | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    document_texts: Sequence[str] | None = None
    members: tuple[Model, ...] = ()

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.scorers.device

    @property
    def required_encoder(self) -> TextEncoder:
        """The encoder.

        Raises:
            InputError: there is none.
        """
        if self.encoder is None:
            raise InputError(
                f"a model of the recipe {self.recipe.name}, which has no encoder",
                expected="a model that turns texts into vectors",
                do="train one with encoder.name set",
            )
        return self.encoder

    @cached_property
    def label_of_text(self) -> dict[str, int]:
        """The label that has a text, of several the first; removed ones are left out."""
        places = np.flatnonzero(self.states != REMOVED).tolist()
        texts = self.label_texts
        return {} if texts is None else {texts[label]: label for label in reversed(places)}

    @cached_property
    def shown(self) -> NDArray[np.bool_] | None:
        """Which labels may be answered, bool ``[L]``; None for all."""
        return self.states == SHOWN if self.states.any() else None

    def tokens(self, texts: Iterable[str]) -> TokenArray:
        """Texts as tokens of the encoder, on the model's device.

        Raises:
            InputError: there is no encoder.
        """
        return self.required_encoder.tokenizer(texts).to(self.device)

    def encode_documents(
        self, texts: Sequence[str] | TokenArray, *, progress: Progress | None = None
    ) -> torch.Tensor:
        """Unit vectors of documents, float32 ``[N, D]``.

        Raises:
            InputError: there is no encoder.
        """
        tokens = texts if isinstance(texts, TokenArray) else self.tokens(texts)
        return encode(self.required_encoder, tokens.to(self.device), progress=progress)

    def vectors_of(
        self, texts: Sequence[str] | TokenArray, *, progress: Progress | None = None
    ) -> torch.Tensor:
        """Unit vectors of documents, float32 ``[N, D]``; without an encoder, D is 0."""
        if self.encoder is None:
            return torch.empty(len(texts), 0)
        return self.encode_documents(texts, progress=progress)

    def second_vectors(self, texts: Sequence[str] | TokenArray) -> torch.Tensor | None:
        """Unit vectors by the re-ranker's encoder, where there is one."""
        if self.scorers.second is None:
            return None
        tokens = texts if isinstance(texts, TokenArray) else self.tokens(texts)
        return encode(self.scorers.second, tokens.to(self.device))

    def encode_labels(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors of texts as labels, float32 ``[N, D]``.

        A text that is a label of the model gets that label's embedding, auxiliary vector
        included; of several labels with one text, the first.
        """
        vectors = self.encode_documents(texts)
        known = self.label_of_text
        places = [(row, known[text]) for row, text in enumerate(texts) if text in known]
        if places:
            rows, labels = torch.tensor(places, device=self.device).unbind(dim=1)
            vectors[rows] = self.scorers.label_search.vectors[labels]
        return vectors

    def threshold(self, precision: float) -> float:
        """The lowest probability such that answers above it are right as often as asked.

        It is found on held-out documents, among the first 20 answers to each.

        Raises:
            InputError: there is no calibration, or no threshold reached this precision.
        """
        if self.calibration is None:
            raise InputError(
                "a model without calibration",
                expected="one that was trained with held-out documents",
                do="train it again with this version, and fusion.validation above 0",
            )
        return self.calibration.threshold(precision)

    def label_ids(self, labels: Sequence[str] | Sequence[int]) -> NDArray[np.int64]:
        """The ids of labels given by text or id; of several labels with one text, all.

        Raises:
            DataError: there is no such label.
        """
        by_text: dict[str, list[int]] = {}
        if any(isinstance(label, str) for label in labels):
            for label, text in enumerate(self.label_texts or ()):
                if self.states[label] != REMOVED:
                    by_text.setdefault(text, []).append(label)
        found: list[int] = []
        for number, label in enumerate(labels, start=1):
            if isinstance(label, str) and label in by_text:
                found += by_text[label]
            elif not isinstance(label, str) and 0 <= label < len(self.frequency):
                found.append(int(label))
            else:
                raise DataError(
                    f"label {number} is {label!r}",
                    expected=f"the text of a label of the model, or an id from 0 to "
                    f"{len(self.frequency) - 1}",
                )
        return np.array(found, np.int64)

    def allowed(
        self,
        labels: Sequence[str] | Sequence[int] | None = None,
        exclude: Sequence[str] | Sequence[int] | None = None,
    ) -> NDArray[np.bool_] | None:
        """Which labels may be answered, ``[L]``; None for all.

        Args:
            labels: only these, by text or id.
            exclude: all but these, by text or id.

        Raises:
            DataError: there is no such label.
        """
        if labels is None and exclude is None:
            return None
        chosen = np.full(len(self.frequency), labels is None)
        if labels is not None:
            chosen[self.label_ids(labels)] = True
        if exclude is not None:
            chosen[self.label_ids(exclude)] = False
        return chosen

    def predict(
        self,
        texts: Sequence[str] | TokenArray,
        k: int = 5,
        *,
        allowed: Allowed | None = None,
        words: Sequence[str] | None = None,
    ) -> TopK:
        """The k best labels of each text by the fused score; see `predict_scorers`."""
        return self.predict_scorers(texts, k, allowed=allowed, words=words)[FUSION]

    def predict_scorers(
        self,
        texts: Sequence[str] | TokenArray,
        k: int = 100,
        *,
        allowed: Allowed | None = None,
        words: Sequence[str] | None = None,
        progress: Progress | None = None,
    ) -> dict[str, TopK]:
        """The k best labels of each text by each scorer and by their fusion.

        Args:
            texts: themselves, or their tokens.
            k: answers a text.
            allowed: bool ``[L]``, the labels that may be answered; None for all.
            words: the texts whose tokens were given, for scorers that read words.
            progress: told of every step.

        Returns:
            Answers by the name of the scorer. Those of the fusion have probabilities where the
            model is calibrated.

        Raises:
            InputError: there are tokens alone, and a scorer reads words; or `allowed` is no
                choice of labels.
        """
        allowed = self._among_shown(allowed)
        read = words if isinstance(texts, TokenArray) else texts
        tokens = texts
        if self.encoder is not None and not isinstance(texts, TokenArray):
            tokens = self.tokens(texts)
        depth = max(k, self.recipe.fusion.candidates) if self.members else k
        answers = self._alone(tokens, depth, allowed, read, progress)
        if self.members:
            fused = [answers[FUSION]] + [
                member.predict(tokens, depth, allowed=allowed, words=read)
                for member in self.members
            ]
            answers = {name: _first(top, k) for name, top in answers.items()}
            answers[FUSION] = summed(fused, len(self.frequency), k)
        if self.calibration is not None:
            fused = answers[FUSION]
            answers[FUSION] = replace(fused, probabilities=self.calibration(fused.scores))
        return answers

    def _among_shown(self, allowed: Allowed | None) -> Allowed | None:
        """Those of the allowed labels that are not hidden."""
        if allowed is None or self.shown is None:
            return self.shown if allowed is None else allowed
        chosen = torch.as_tensor(allowed).cpu().numpy()
        fits = chosen.shape == self.shown.shape  # if not, the index says what is wrong
        return chosen & self.shown if fits else allowed

    def _alone(
        self,
        tokens: Sequence[str] | TokenArray,
        k: int,
        allowed: Allowed | None,
        read: Sequence[str] | None,
        progress: Progress | None,
    ) -> dict[str, TopK]:
        """Answers without those of members, and without probabilities."""
        vectors = self.vectors_of(tokens, progress=progress)
        second = self.second_vectors(tokens)
        parts = []
        for start in range(0, max(1, len(vectors)), _TEXTS_AT_ONCE):
            block = slice(start, start + _TEXTS_AT_ONCE)
            asked = self.scorers.ask(
                vectors[block],
                None if read is None else read[block],
                allowed,
                None if second is None else second[block],
            )
            parts.append(self._answer(asked, k))
        return {name: self._joined([part[name] for part in parts]) for name in parts[0]}

    def _joined(self, parts: list[TopK]) -> TopK:
        return TopK(
            labels=np.concatenate([part.labels for part in parts]),
            scores=np.concatenate([part.scores for part in parts]),
            label_texts=self.label_texts,
        )

    def _answer(self, asked: Asked, k: int) -> dict[str, TopK]:
        depth = max(k, self.recipe.fusion.candidates)
        found = asked.best(depth)
        used = {name: found[name] for name in self.recipe.fusion.scorers}
        fused = self.fusion(asked.candidates(used), k)
        return {**{name: _first(top, k) for name, top in found.items()}, FUSION: fused}


def _first(top: TopK, k: int) -> TopK:
    return replace(top, labels=top.labels[:, :k], scores=top.scores[:, :k])
