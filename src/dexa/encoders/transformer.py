"""Transformers of Hugging Face, fed with packed rows of whole texts."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch.nn import functional as F

from dexa.encoders.base import TextEncoder
from dexa.encoders.masks import PACKABLE
from dexa.encoders.pooling import pooled, read_pooling, write_pooling
from dexa.encoders.post_norm import WIDEST, first_of_texts, is_post_norm, post_norm
from dexa.errors import EncoderError
from dexa.kernels import send
from dexa.storage import read_json
from dexa.tokens import (
    TextTokenizer,
    TokenArray,
    TokenGroups,
    group_width,
    grouped,
    offsets_of,
)
from dexa.types import TokenBatch

_log = logging.getLogger(__name__)

# These count positions from behind their padding id.
_SHIFTED_POSITIONS = {"roberta", "xlm-roberta", "mpnet"}


class Transformer(TextEncoder):
    """A pretrained transformer, its own pooling, scaled to unit length.

    Args:
        trunk: a Hugging Face encoder.
        tokenizer: its tokenizer, special tokens included.
        writable_tokenizer: the same as a transformers tokenizer, to be saved beside the trunk.
        pooling: ``mean`` over tokens or the first token (``cls``).
    """

    tokenizer: TextTokenizer

    def __init__(
        self, trunk: Any, tokenizer: TextTokenizer, writable_tokenizer: Any, pooling: str
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer  # pyright: ignore[reportIncompatibleVariableOverride]
        self.trunk, self.pooling = trunk, pooling
        self._writable_tokenizer = writable_tokenizer
        self.dimension = int(trunk.config.hidden_size)
        self._masks = PACKABLE.get(trunk.config.model_type)
        self._is_post_norm = self._masks is not None and is_post_norm(trunk.config)
        values = trunk.config.to_dict()
        self._has_dropout = any(values[key] > 0 for key in _numbers_of_dropout(values))
        if self._masks is None:
            _log.warning(
                "%s texts are padded in length buckets: only %s are packed",
                trunk.config.model_type,
                ", ".join(PACKABLE),
            )

    @property
    def padding(self) -> int:
        """The id that stands behind the end of a text in padded rows."""
        return int(self.trunk.config.pad_token_id or 0)

    @property
    def has_budgets(self) -> bool:
        """As `TextEncoder.has_budgets`."""
        return self._masks is not None

    def batches(
        self, tokens: TokenArray, rows: Sequence[NDArray[np.int64]], *, budget: bool
    ) -> list[TokenBatch] | list[TokenGroups]:
        """As `TextEncoder.batches`: groups of whole texts, for the families that take them."""
        if self._masks is None:
            return super().batches(tokens, rows, budget=budget)
        longest = int(tokens.lengths.max(initial=0))
        dropped = self.training and self._has_dropout
        in_rows = dropped or not self._is_post_norm or group_width(longest) > WIDEST
        return grouped(
            tokens,
            rows,
            first_position=_first_position(self.trunk.config),
            in_rows=in_rows,
            budget=budget,
        )

    def forward(self, batch: TokenBatch | TokenGroups) -> torch.Tensor:
        """Unit-norm vectors ``[B, D]``."""
        if isinstance(batch, TokenBatch):
            if self._masks is None:
                return self._in_buckets(batch)
            tokens = TokenArray(batch.ids, offsets_of(batch.lengths))
            batch = self.batches(tokens, [np.arange(len(batch))], budget=False)[0]
            assert isinstance(batch, TokenGroups)
        pooled = (
            self._in_rows(batch) if batch.in_rows else post_norm(self.trunk, self.pooling, batch)
        )
        return F.normalize(pooled, dim=1).index_select(0, batch.places)

    def _in_rows(self, groups: TokenGroups) -> torch.Tensor:
        """Pooled vectors of groups of one width, by Hugging Face's own modules."""
        assert self._masks is not None
        ids, positions, texts = (
            part.view(-1, groups.width) for part in (groups.ids, groups.positions, groups.texts)
        )
        mask = self._masks(texts, self.trunk.config)
        states = self.trunk(input_ids=ids, position_ids=positions, attention_mask=mask)
        hidden = states.last_hidden_state.flatten(0, 1)
        if self.pooling == "cls":
            return first_of_texts(hidden, groups)
        owners = torch.where(groups.texts < 0, len(groups.counts), groups.texts)
        sums = hidden.new_zeros(len(groups.counts) + 1, self.dimension, dtype=torch.float32)
        sums = sums.index_add(0, owners, hidden.float())[:-1]
        return sums / groups.counts.clamp(min=1)[:, None]

    def padded(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The vectors that `forward` gives, of padded rows, by operations that ONNX has.

        Args:
            ids: int64 ``[B, T]``; `padding` behind the end of a text.
            mask: int64 ``[B, T]``, 1 for the tokens of a text.
        """
        places = {}
        if self._masks is not None:  # else a family finds positions itself
            first = _first_position(self.trunk.config)
            positions = torch.arange(first, first + ids.shape[1], device=ids.device)
            places = {"position_ids": positions.expand_as(ids)}
        hidden = self.trunk(input_ids=ids, attention_mask=mask, **places).last_hidden_state
        return F.normalize(pooled(hidden, mask[:, :, None], self.pooling).float(), dim=1)

    def _in_buckets(self, batch: TokenBatch) -> torch.Tensor:
        """Unit vectors by any family: texts of like length, padded to the longest of a bucket."""
        device = batch.ids.device
        buckets = np.clip(-(-batch.lengths // 8) * 8, 1, self.tokenizer.max_length)
        order, parts = [], []
        for width in np.unique(buckets):
            chosen = np.flatnonzero(buckets == width)
            places = batch.offsets[:-1][send(chosen, device)].unsqueeze(1) + torch.arange(
                int(width), device=device
            )
            lengths = send(batch.lengths[chosen], device).unsqueeze(1)
            mask = torch.arange(int(width), device=device) < lengths
            ids = F.pad(batch.ids, (0, 1))[places.clamp(max=len(batch.ids))] * mask
            parts.append(self.padded(ids + ~mask * self.padding, mask.long()))
            order.append(chosen)
        back = np.argsort(np.concatenate(order))
        return torch.cat(parts).index_select(0, send(back, device))

    def token_vectors(self) -> torch.Tensor:
        """The vectors ``[V, D]`` in which the trunk looks its tokens up."""
        return self.trunk.get_input_embeddings().weight.detach().float().cpu()

    def save(self, folder: Path) -> None:
        """Write a sentence-transformers folder: the trunk, its pooling, normalisation."""
        with _no_bars():
            self.trunk.save_pretrained(folder)
        self._writable_tokenizer.model_max_length = self.tokenizer.max_length
        self._writable_tokenizer.save_pretrained(folder)
        kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
        modules = [
            {
                "idx": index,
                "name": str(index),
                "path": path,
                "type": f"sentence_transformers.models.{kind}",
            }
            for index, (path, kind) in enumerate(kinds.items())
        ]
        for name in ("1_Pooling", "2_Normalize"):
            (folder / name).mkdir(exist_ok=True)
        write_pooling(folder / "1_Pooling", self.pooling, self.dimension)
        _write(folder / "modules.json", modules)
        _write(
            folder / "sentence_bert_config.json",
            {"max_seq_length": self.tokenizer.max_length, "do_lower_case": False},
        )
        _write(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})


def load_transformer(folder: Path, *, max_length: int, dropout: float) -> Transformer:
    """Open a sentence-transformers or Hugging Face folder.

    Raises:
        EncoderError: files are missing or broken, the pooling is unknown, or the model cannot
            take texts of `max_length`.
    """
    from transformers import AutoModel

    pooling = read_pooling(folder)
    changed = dict.fromkeys(_dropout_keys(folder), dropout)
    try:
        with _no_bars():
            trunk, told = AutoModel.from_pretrained(
                folder, dtype=torch.float32, output_loading_info=True, **changed
            )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise EncoderError(
            f"not a transformer that can be opened: {str(error).splitlines()[0]}",
            expected="a folder of sentence-transformers or Hugging Face",
            path=folder,
        ) from error
    # Hugging Face fills what is missing with random numbers; a pooler is not used here.
    if missing := sorted(key for key in told["missing_keys"] if "pooler" not in key):
        raise EncoderError(f"weights without {missing[0]}", expected="all of them", path=folder)
    room = getattr(trunk.config, "max_position_embeddings", max_length)
    if max_length > room - _first_position(trunk.config):
        raise EncoderError(
            f"a max_length of {max_length} tokens",
            expected=f"at most the {room - _first_position(trunk.config)} this encoder can read",
            do="set encoder.max_length",
            path=folder,
        )
    writable = load_writable_tokenizer(folder)
    tokenizer = TextTokenizer(writable.backend_tokenizer, max_length, special_tokens=True)
    return Transformer(trunk, tokenizer, writable, pooling)


def read_dimension(folder: Path) -> int:
    """D of the transformer in a folder, without opening its weights.

    Raises:
        EncoderError: there is no configuration, or it cannot be read.
    """
    from transformers import AutoConfig

    try:
        return int(AutoConfig.from_pretrained(folder).hidden_size)
    except (OSError, ValueError, AttributeError) as error:
        raise EncoderError(
            f"not a transformer: {str(error).splitlines()[0]}", path=folder
        ) from error


def load_writable_tokenizer(folder: Path) -> Any:
    """The transformers tokenizer of a folder.

    Raises:
        EncoderError: there is none, or it cannot be opened.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(
            f"no tokenizer that can be opened: {str(error).splitlines()[0]}", path=folder
        ) from error
    if tokenizer.vocab_size <= len(tokenizer.all_special_ids):  # made up where no file is found
        raise EncoderError("no vocabulary", expected="tokenizer.json or vocab.txt", path=folder)
    return tokenizer


@contextlib.contextmanager
def _no_bars() -> Iterator[None]:
    """Keep transformers from drawing a bar for every file it opens."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _first_position(config: Any) -> int:
    return config.pad_token_id + 1 if config.model_type in _SHIFTED_POSITIONS else 0


def _dropout_keys(folder: Path) -> list[str]:
    """The names under which a family keeps its dropout probabilities."""
    config = folder / "config.json"
    if not config.is_file():
        raise EncoderError(
            "no config.json",
            expected="a folder of sentence-transformers or Hugging Face",
            path=folder,
        )
    return _numbers_of_dropout(read_json(config))


def _numbers_of_dropout(values: dict[str, Any]) -> list[str]:
    return [k for k, v in values.items() if "dropout" in k and isinstance(v, int | float)]


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
