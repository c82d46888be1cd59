"""What a sparse bag reads: texts as features with weights, or features that a data set gives."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from dexa.data import TextFeatures
from dexa.errors import InputError
from dexa.tokens import TokenArray

_NAMES, _WEIGHTS = "features.json", "features.safetensors"


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureReader:
    """Texts to their sparse features.

    Attributes:
        vocabulary_size: number of features V.
        features: what makes texts into features; None where a data set gives features alone.
    """

    vocabulary_size: int
    features: TextFeatures | None

    @staticmethod
    def of(features: TextFeatures) -> FeatureReader:
        """A reader of texts."""
        return FeatureReader(vocabulary_size=len(features), features=features)

    def __call__(self, texts: Iterable[str]) -> TokenArray:
        """Features of texts, with weights.

        Raises:
            InputError: nobody knows which features a text has.
        """
        if self.features is None:
            raise InputError(
                "texts, but the model was trained on features that a data set gave",
                expected="a data set with *_X_Xf.txt or *_X_Xf.npz",
                do="train on texts to ask with texts",
            )
        return TokenArray.of_matrix(self.features.transform(list(texts)))

    def save(self, folder: Path) -> None:
        """Write names and weights of the features."""
        described: dict[str, object] = {"features": self.vocabulary_size}
        if self.features is not None:
            described["terms"] = self.features.terms()
            arrays = self.features.arrays().items()
            save_file({k: torch.from_numpy(v) for k, v in arrays}, folder / _WEIGHTS)
        (folder / _NAMES).write_text(json.dumps(described, ensure_ascii=False), encoding="utf-8")

    @staticmethod
    def load(folder: Path) -> FeatureReader:
        """Read what `save` wrote."""
        described = json.loads((folder / _NAMES).read_text(encoding="utf-8"))
        if "terms" not in described:
            return FeatureReader(vocabulary_size=described["features"], features=None)
        arrays = {name: tensor.numpy() for name, tensor in load_file(folder / _WEIGHTS).items()}
        return FeatureReader.of(TextFeatures.restored(described["terms"], arrays))
