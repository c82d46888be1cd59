"""The model folder: written as a whole, checked when it is read, no pickle.

::

    model.json            recipe, versions, facts, and of every other file but run.jsonl its
                          checksum and size
    encoder/              opens with SentenceTransformer(path), where the recipe has an encoder; a
                          bag with pairs needs dexa, trusted
    labels.jsonl          the text of each label, in the order of their ids
    labels.safetensors    frequency, inverse propensity; of an encoder, embeddings, classifiers
    auxiliary.safetensors vectors, and which vector each label has
    fusion.safetensors    the trees as arrays
    calibration.safetensors  what fused scores are worth, where documents were held out
    neighbours.safetensors  vectors and labels of the training documents, where they vote
    documents.jsonl.gz    their texts, where the recipe keeps them
    blocks.safetensors    blocks between encoder and classifiers, where there are any
    shortlist.safetensors vectors of labels and of documents that vote, where there is a shortlist
    second_encoder/       that of the re-ranker, where there is one
    members/              models of other seeds, whose fused scores are added
    words.safetensors     weights of words, where a scorer reads them; words.json: the words
    index/                the arguments of each index, and its graph if it has one
    labels/               changes of labels since the folder was written, see `journal`
    run.jsonl             a record of each epoch, with its seconds
    README.md             a model card, written from the run
"""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from dexa.auxiliary import AuxiliaryBank
from dexa.encoders import open_encoder
from dexa.errors import DataError, MissingFileError, ModelFolderError
from dexa.fusion import Calibration
from dexa.index import load_index
from dexa.model.card import model_card
from dexa.model.documents import DOCUMENTS, StoredTexts, write_texts
from dexa.model.further import further_tensors, opened_further
from dexa.model.fused import opened_fusion
from dexa.model.journal import no_writers
from dexa.model.line import SECOND_ENCODER, line_tensors, opened_line
from dexa.model.parts import Model
from dexa.model.scorers import Scorers
from dexa.recipe import Recipe
from dexa.storage import atomic_folder, read_json, settle_folder, sha256, write_json
from dexa.types import CLASSIFIERS, LABEL_SEARCH, RERANKER

FORMAT = 2
_WITHOUT_SIZES = 1  # the format before, which holds neither sizes nor calibration
_LARGE = 16 << 20  # bytes from which a file is mapped and not read
_VECTORS = {LABEL_SEARCH: "embeddings", CLASSIFIERS: "classifiers", RERANKER: "reranker"}
_MEMBERS = "members"
_LOG = "run.jsonl"  # holds seconds, which no two runs share


def save_model(model: Model, folder: Path) -> None:
    """Write a model folder; what was there before stays until the new one is whole.

    Raises:
        StorageError: the disk is full or read-only.
    """
    with no_writers(folder), atomic_folder(folder) as draft:
        if model.encoder is not None:
            (draft / "encoder").mkdir()
            model.encoder.save(draft / "encoder")
        if model.scorers.second is not None:
            (draft / SECOND_ENCODER).mkdir()
            model.scorers.second.save(draft / SECOND_ENCODER)
        for name, tensors in _tensors(model).items():
            on_host = {k: t.detach().cpu().contiguous() for k, t in tensors.items()}
            save_file(on_host, draft / f"{name}.safetensors")
        for name, index in model.scorers.indexes().items():
            (draft / "index" / name).mkdir(parents=True)
            index.save(draft / "index" / name)
        if model.scorers.words is not None:
            write_json(draft / "words.json", model.scorers.words.features.terms())
        if model.label_texts is not None:
            _write_lines(draft / "labels.jsonl", ({"text": text} for text in model.label_texts))
        if model.document_texts is not None:
            write_texts(draft / DOCUMENTS, model.document_texts)
        (draft / "README.md").write_text(model_card(model), encoding="utf-8")
        for number, member in enumerate(model.members):
            save_model(member, draft / _MEMBERS / str(number))
        described = _described(model)
        files = {
            path.relative_to(draft).as_posix(): path
            for path in sorted(draft.rglob("*"))
            if path.is_file() and path.name != _LOG
        }
        described["files"] = {name: sha256(path) for name, path in files.items()}
        described["bytes"] = {name: path.stat().st_size for name, path in files.items()}
        write_json(draft / "model.json", described)
        _write_lines(draft / _LOG, model.history)


def _described(model: Model) -> dict[str, Any]:
    packages = ("dexa-xc", "torch", "transformers", "tokenizers", "scikit-learn", "numpy")
    return {
        "format": FORMAT,
        "recipe": model.recipe.to_json(),
        "facts": model.facts,
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }


def _tensors(model: Model) -> dict[str, dict[str, torch.Tensor]]:
    calibration = {} if model.calibration is None else {"calibration": model.calibration.tensors()}
    dense = {_VECTORS[name]: index.vectors for name, index in model.scorers.dense.items()}
    return (
        further_tensors(model.scorers)
        | line_tensors(model.scorers)
        | calibration
        | {
            "labels": {
                **dense,
                "frequency": torch.from_numpy(model.frequency),
                "inverse_propensity": torch.from_numpy(model.fusion.inverse_propensity),
                "states": torch.from_numpy(model.states),
            },
            "auxiliary": {
                "vectors": model.bank.vectors,
                "vector_of_label": torch.from_numpy(model.bank.vector_of_label),
            },
            "fusion": model.fusion.tensors(),
        }
    )


def read_model(folder: Path, device: torch.device, *, mmap: bool = True) -> Model:
    """The model of a folder as it was written, without later changes of its labels.

    Args:
        folder: that `save_model` wrote.
        device: to compute on.
        mmap: on a CPU, map large files into memory instead of reading them, so that a model opens
            at once and processes share it. Of files above 16 MiB the size is then checked, not
            the checksum: `check_files` does that.

    Raises:
        MissingFileError: there is no model in that folder.
        ModelFolderError: it is incomplete, was changed, or comes from another version.
    """
    mmap = mmap and device.type == "cpu"
    described = _described_in(folder)
    _check(folder, described, read_large=not mmap)
    try:
        return _opened(folder, described, device, mmap=mmap)
    except (KeyError, TypeError, json.JSONDecodeError, SafetensorError) as error:
        raise ModelFolderError(
            f"cannot be read: {error}", do="copy the model again", path=folder
        ) from error


def check_files(folder: Path) -> int:
    """Compare every file of a model folder with its checksum; the number of files.

    Raises:
        MissingFileError: there is no model in that folder.
        ModelFolderError: it is incomplete, was changed, or comes from another version.
    """
    described = _described_in(folder)
    _check(folder, described, read_large=True)
    return len(described["files"])


def _opened(folder: Path, described: dict[str, Any], device: torch.device, *, mmap: bool) -> Model:
    labels, auxiliary, fusion = (
        load_file(folder / f"{name}.safetensors") for name in ("labels", "auxiliary", "fusion")
    )
    recipe = Recipe.from_json(described["recipe"], path=folder / "model.json")
    encoder, dense = None, {}
    if not recipe.encoder.absent:
        encoder = open_encoder(str(folder / "encoder"), max_length=recipe.encoder.max_length or 0)
        encoder = encoder.to(device).eval()
        dense = {
            name: load_index(folder / "index" / name, labels[vectors].to(device), mmap=mmap)
            for name, vectors in _VECTORS.items()
            if name != RERANKER or (folder / SECOND_ENCODER).is_dir()
        }
    count, further = len(labels["frequency"]), recipe.further
    return Model(
        recipe=recipe,
        encoder=encoder,
        bank=AuxiliaryBank(auxiliary["vectors"].to(device), auxiliary["vector_of_label"].numpy()),
        scorers=opened_line(
            opened_further(Scorers(dense=dense), folder, count, further, device, mmap=mmap),
            recipe,
            folder,
            count,
            device,
        ),
        fusion=opened_fusion(
            recipe, fusion, labels["inverse_propensity"].numpy().astype(np.float64)
        ),
        frequency=labels["frequency"].numpy(),
        label_texts=_label_texts(folder, count),
        calibration=_calibration(folder / "calibration.safetensors"),
        states=_states(labels),
        document_texts=StoredTexts(folder / DOCUMENTS, files[DOCUMENTS])
        if DOCUMENTS in (files := described["files"])
        else None,
        facts=described["facts"],
        history=_read_lines(folder / _LOG),
        members=tuple(
            read_model(member, device, mmap=mmap)
            for member in sorted((folder / _MEMBERS).glob("*"), key=lambda path: int(path.name))
        ),
    )


def _states(labels: dict[str, torch.Tensor]) -> NDArray[np.uint8]:
    """What labels are; format 1 had only those that are shown."""
    if "states" in labels:
        return labels["states"].numpy()
    return np.zeros(len(labels["frequency"]), np.uint8)


def _calibration(path: Path) -> Calibration | None:
    return Calibration.restored(load_file(path)) if path.is_file() else None


def _described_in(folder: Path) -> dict[str, Any]:
    """`model.json` of a format that this version reads."""
    settle_folder(folder)
    if not (folder / "model.json").is_file():
        raise MissingFileError(
            "no model folder", expected="a folder that `dexa train` wrote", path=folder
        )
    try:
        described = read_json(folder / "model.json")
        version, *_ = (described[key] for key in ("format", "files", "recipe", "facts"))
    except (DataError, KeyError, TypeError) as error:
        raise ModelFolderError(
            f"model.json is damaged: {error}", do="train or copy the model again", path=folder
        ) from error
    if version not in (_WITHOUT_SIZES, FORMAT):
        raise ModelFolderError(
            f"format {version}",
            expected=f"format {_WITHOUT_SIZES} or {FORMAT}",
            do="open it with the version of dexa that wrote it",
            path=folder,
        )
    return described


def _check(folder: Path, described: dict[str, Any], *, read_large: bool) -> None:
    """Look at every file that `model.json` names.

    Raises:
        ModelFolderError: one is missing or was changed.
    """
    sizes = described.get("bytes", {})
    for name, checksum in described["files"].items():
        path = folder / name
        if not path.is_file():
            raise ModelFolderError("missing file", do="copy the model again", path=path)
        size = path.stat().st_size
        trusted = not read_large and size > _LARGE and size == sizes.get(name)
        if not trusted and sha256(path) != checksum:
            raise ModelFolderError(
                "changed since it was written", do="copy the model again", path=path
            )


def _label_texts(folder: Path, count: int) -> list[str] | None:
    path = folder / "labels.jsonl"
    if not path.is_file():
        return None
    texts = [line["text"] for line in _read_lines(path)]
    if len(texts) != count:
        raise ModelFolderError(f"{len(texts)} label texts", expected=str(count), path=path)
    return texts


def _write_lines(path: Path, values: Any) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(value, ensure_ascii=False) + "\n" for value in values)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return json.loads(f"[{','.join(line for line in lines if line)}]")
