"""Token files back into memory, when they are the tokens that the encoder would make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dexa.data import Dataset
from dexa.data.files import BROKEN_ARRAYS
from dexa.data.lines import layout_of
from dexa.data.matrix import matrix_shape
from dexa.data.raw import raw_file
from dexa.data.rows import SPLITS
from dexa.data.tables import split_tables
from dexa.errors import DataError
from dexa.preparation.manifest import (
    SIDES,
    Manifest,
    changed_file,
    load_manifest,
    matrix_file,
    token_files,
    tokenizer_sha256,
)
from dexa.tokens import TextTokenizer, TokenArray
from dexa.types import Progress, Silence


def prepared_tokens(
    folder: str | Path,
    tokenizer: TextTokenizer,
    fields: Sequence[str],
    *,
    progress: Progress | None = None,
) -> dict[str, TokenArray] | None:
    """The tokens that `prepare` or the research code left in a folder.

    Where the texts lie beside them, tokens are used only if ``dataset.json`` says that they are
    what `tokenizer` makes of these texts. Without texts they are all there is: they are taken as
    they are, unless ``dataset.json`` names another tokenizer.

    Args:
        folder: of the data set.
        tokenizer: of the encoder that is to read them.
        fields: what makes up a text; empty where there are no texts.
        progress: hears why token files are not used.

    Returns:
        ``{"trn_doc": …, "tst_doc": …, "lbl": …}``, without a split that has no files; None where
        there are no files, or none to be used.

    Raises:
        DataError: a file is missing or broken, row counts differ, or, without texts, the tokens
            are of another tokenizer or longer than it allows.
    """
    folder = Path(folder)
    progress = progress or Silence()
    sides = _sides(folder)
    if not sides:
        return None
    manifest = load_manifest(folder)
    reason = _why_not(folder, manifest, tokenizer, fields)
    if _has_texts(folder, manifest):
        reason = reason or _other_length(manifest, tokenizer)
        if manifest is None:
            reason = "no dataset.json says which tokenizer made them"
        if reason is not None:
            progress.note(f"token files in {folder} are not used: {reason}")
            return None
    elif reason is not None:
        raise DataError(
            f"token files without texts, and {reason}",
            do="choose the encoder and the fields they were made for, or prepare the texts again",
            path=folder,
        )
    else:
        _check_splits(folder, sides)
    return {side: _read_side(folder, side, tokenizer, progress) for side in sides}


def _sides(folder: Path) -> list[str]:
    """The sides whose token files are there; labels and some documents must be, or none at all."""
    present = {side: [(folder / name).is_file() for name in token_files(side)] for side in SIDES}
    sides = [side for side in SIDES if all(present[side])]
    halves = [side for side in SIDES if any(present[side]) and side not in sides]
    if halves or (sides and ("lbl" not in sides or len(sides) == 1)):
        missing = [
            name
            for side in (*halves, *({"lbl", "trn_doc"} - set(sides) - set(halves)))
            for name in token_files(side)
            if not (folder / name).is_file()
        ]
        raise DataError(
            f"some token files, but no {' and no '.join(sorted(missing))}",
            expected="ids and mask of labels and of documents",
            do="prepare the data set again, or delete the token files",
            path=folder,
        )
    return sides


def _check_splits(folder: Path, sides: list[str]) -> None:
    """Refuse a split that has labels but no documents."""
    for split in SPLITS:
        if (folder / matrix_file(split)).is_file() and f"{split}_doc" not in sides:
            raise DataError(
                f"{matrix_file(split)}, but no {' and no '.join(token_files(f'{split}_doc'))}",
                do="prepare the data set again from its texts",
                path=folder,
            )


def _has_texts(folder: Path, manifest: Manifest | None) -> bool:
    """Whether the texts lie beside their tokens."""
    if layout_of(folder) is not None or any(raw_file(folder, split) for split in SPLITS):
        return True
    if split_tables(folder):
        return True
    return manifest is not None and all((folder / name).is_file() for name in manifest["inputs"])


def _why_not(
    folder: Path, manifest: Manifest | None, tokenizer: TextTokenizer, fields: Sequence[str]
) -> str | None:
    """What ``dataset.json`` has against using the tokens, or None."""
    if manifest is None:
        return None
    made_by = manifest["tokenizer"]
    if made_by["sha256"] != tokenizer_sha256(tokenizer):
        return f"they are of another tokenizer, {made_by['encoder']}"
    if fields and list(fields) != manifest["fields"]:
        return f"they are of the fields {', '.join(manifest['fields'])}, not {', '.join(fields)}"
    there = {n: r for n, r in manifest["inputs"].items() if (folder / n).is_file()}
    changed = changed_file(folder, {**there, **manifest["outputs"]})
    return None if changed is None else f"{changed} has changed since"


def _other_length(manifest: Manifest | None, tokenizer: TextTokenizer) -> str | None:
    if manifest is None or manifest["tokenizer"]["max_length"] == tokenizer.max_length:
        return None
    length = manifest["tokenizer"]["max_length"]
    return f"they are cut at {length} tokens, not at {tokenizer.max_length}"


def _read_side(folder: Path, side: str, tokenizer: TextTokenizer, progress: Progress) -> TokenArray:
    ids_path, mask_path = (folder / name for name in token_files(side))
    ids, mask = _load(ids_path), _load(mask_path)
    _check_rows(folder, side, len(ids))
    length = ids.shape[1]
    if length > tokenizer.max_length:
        raise DataError(
            f"texts of up to {length} tokens",
            expected=f"at most {tokenizer.max_length}",
            do=f"set encoder.max_length to {length}",
            path=ids_path,
        )
    if length < tokenizer.max_length:
        progress.note(f"{ids_path}: texts are cut at {length} tokens, as they were prepared")
    return tokenizer.from_padded(ids, mask, ids_path)


def _load(path: Path) -> NDArray[Any]:
    """A matrix of integers, mapped into memory."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except BROKEN_ARRAYS as error:
        raise DataError(
            f"not a whole .npy file: {error}", do="prepare the data set again", path=path
        ) from error
    if array.ndim != 2 or array.dtype.kind not in "iub":
        raise DataError(
            f"{array.dtype} of shape {list(array.shape)}",
            expected="integers [N, length]",
            do="prepare the data set again",
            path=path,
        )
    return array


def _check_rows(folder: Path, side: str, n_rows: int) -> None:
    """Compare rows of tokens with the label matrices, where there are any."""
    for split in SPLITS:
        matrix = folder / matrix_file(split)
        if side not in ("lbl", f"{split}_doc") or not matrix.is_file():
            continue
        expected = matrix_shape(matrix)[1 if side == "lbl" else 0]
        if n_rows != expected:
            raise DataError(
                f"{n_rows} rows",
                expected=f"{expected}, as {matrix.name} says",
                do="prepare the data set again",
                path=folder / token_files(side)[0],
            )


def are_tokens_of(dataset: Dataset, tokens: dict[str, TokenArray]) -> bool:
    """Whether token files have as many rows as the data set, which may be a part of its folder."""
    rows = {"lbl": dataset.n_labels}
    if dataset.train is not None:
        rows["trn_doc"] = dataset.train.n_documents
    if dataset.test is not None:
        rows["tst_doc"] = dataset.test.n_documents
    return all(name in tokens and len(tokens[name]) == count for name, count in rows.items())
