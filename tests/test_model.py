"""The trained parts, and the folder they live in."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import dataclasses
import errno
import json
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dexa import Dexa
from dexa.errors import (
    DataError,
    DexaError,
    InputError,
    MissingFileError,
    ModelFolderError,
    StorageError,
)
from dexa.index import ExactIndex, FaissIndex
from dexa.model import (
    FUSION,
    Model,
    check_files,
    folder,
    load_model,
    parts,
    save_model,
)
from dexa.storage import sha256
from dexa.types import CLASSIFIERS, LABEL_SEARCH, NO_LABEL, Silence, TopK
from tiny import LABELS
from tiny_models import contents

CPU = torch.device("cpu")
ASKED = ["amber bridge at the market", "violet flower black castle", "engine", "", "zzz 日本"]

BAG = [
    "encoder/0_StaticEmbedding/model.safetensors",
    "encoder/0_StaticEmbedding/tokenizer.json",
    "encoder/1_Dense/config.json",
    "encoder/1_Dense/model.safetensors",
    "encoder/config_sentence_transformers.json",
    "encoder/modules.json",
]
CHECKED = [
    *BAG,
    "README.md",
    "auxiliary.safetensors",
    "calibration.safetensors",
    "fusion.safetensors",
    "index/classifiers/index.json",
    "index/label_search/index.json",
    "labels.jsonl",
    "labels.safetensors",
]


@pytest.fixture(scope="module")
def model(fitted: Dexa) -> Model:
    return fitted.model


@pytest.fixture(scope="module")
def transformer(tiny_encoder, tiny_recipe, tiny_dataset) -> Model:
    """A model with a transformer, trained for an epoch."""
    changes = {"encoder.name": str(tiny_encoder), "encoder_stage.epochs": 1}
    return Dexa(tiny_recipe.changed(changes), device="cpu").fit(tiny_dataset).model


@pytest.fixture(scope="module")
def saved(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model"
    save_model(model, path)
    return path


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def assert_same(one: dict[str, TopK], two: dict[str, TopK]) -> None:
    for name in (LABEL_SEARCH, CLASSIFIERS, FUSION):
        assert np.array_equal(one[name].labels, two[name].labels), name
        assert np.array_equal(one[name].scores, two[name].scores), name


def described(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Rewrite ``model.json``."""
    value = json.loads((path / "model.json").read_text())
    change(value)
    (path / "model.json").write_text(json.dumps(value))


def forge(path: Path, name: str) -> None:
    """Make ``model.json`` believe in a changed file."""
    described(path, lambda value: value["files"].update({name: sha256(path / name)}))
    described(path, lambda value: value["bytes"].update({name: (path / name).stat().st_size}))


def flip(path: Path) -> None:
    """Change a bit in the middle of a file."""
    value = bytearray(path.read_bytes())
    value[len(value) // 2] ^= 1
    path.write_bytes(value)


# answers


def test_scorers_against_plain_cosines(model: Model) -> None:
    found = model.predict_scorers(ASKED, k=6)
    documents = model.encode_documents(ASKED)
    for name, index in (
        (LABEL_SEARCH, model.scorers.label_search),
        (CLASSIFIERS, model.scorers.classifiers),
    ):
        torch.testing.assert_close(index.vectors.norm(dim=1), torch.ones(24))
        cosines = (documents.double() @ index.vectors.double().T).numpy()
        for row, top in enumerate(found[name].labels):
            best = sorted(range(24), key=lambda label: (-cosines[row, label], label))[:6]
            assert top.tolist() == best
            np.testing.assert_allclose(found[name].scores[row], cosines[row, best], atol=1e-6)


def test_fusion_against_a_loop(model: Model) -> None:
    """Candidates are what either scorer finds to the depth of the recipe: here 10 of 24."""
    k = 5
    depth = model.recipe.fusion.candidates
    assert depth == 10
    found, fused = model.predict_scorers(ASKED, k=depth), model.predict(ASKED, k=k)
    documents = model.encode_documents(ASKED)
    for row in range(len(ASKED)):
        scores = {}
        for label in {*found[LABEL_SEARCH].labels[row], *found[CLASSIFIERS].labels[row]}:
            searched = float(documents[row] @ model.scorers.label_search.vectors[label])
            classified = float(documents[row] @ model.scorers.classifiers.vectors[label])
            propensity = float(model.fusion.inverse_propensity[label])
            chance = float(model.fusion.tree(torch.tensor([[classified, searched, propensity]])))
            weighed = model.fusion.tree_weight * chance
            scores[int(label)] = model.fusion.beta * (weighed + searched) + classified
        best = sorted(scores, key=lambda label: (-scores[label], label))[:k]
        assert fused.labels[row].tolist() == best
        np.testing.assert_allclose(fused.scores[row], [scores[label] for label in best], atol=1e-5)


def test_more_answers_than_labels(model: Model) -> None:
    for top in model.predict_scorers(ASKED, k=30).values():
        assert top.labels.shape == top.scores.shape == (5, 30)
        assert sorted(top.labels[0, :24].tolist()) == list(range(24))
        assert (top.labels[:, 24:] == NO_LABEL).all()
        assert np.isneginf(top.scores[:, 24:]).all()
        assert len(top.named()[0]) == 24


def test_answers_beyond_the_candidates_of_the_recipe(model: Model) -> None:
    assert model.predict(ASKED, k=20).labels.min() >= 0


def test_only_chosen_labels_are_answered(model: Model) -> None:
    allowed = model.allowed(labels=[LABELS[3], LABELS[7], LABELS[11]], exclude=[11])
    assert allowed is not None
    for name, top in model.predict_scorers(ASKED, k=5, allowed=allowed).items():
        assert set(top.labels.ravel()) == {3, 7, NO_LABEL}, name
    assert model.allowed() is None
    all_but_one = model.allowed(exclude=["amber bridge"])
    assert all_but_one is not None
    assert all_but_one.tolist() == [text != "amber bridge" for text in LABELS]
    for wrong in (["amber brigde"], [24], [-1]):
        with pytest.raises(DataError, match="label 1 is"):
            model.allowed(labels=wrong)
    twins = dataclasses.replace(model, label_texts=["one", "one", *LABELS[2:]])
    assert twins.label_ids(["one", LABELS[5]]).tolist() == [0, 1, 5]


def test_removed_labels_are_answered_by_no_scorer(copy: Path) -> None:
    model = load_model(copy, CPU)
    gone = int(model.predict(ASKED[:1]).labels[0, 0])
    for index in model.scorers.indexes().values():
        index.remove([gone])
    for name, top in model.predict_scorers(ASKED, k=24).items():
        assert gone not in top.labels, name


def test_probabilities_rise_with_the_fused_score(model: Model) -> None:
    answers = model.predict_scorers(ASKED, k=10)
    fused = answers.pop(FUSION)
    assert all(top.probabilities is None for top in answers.values())
    assert fused.probabilities is not None
    assert ((fused.probabilities >= 0) & (fused.probabilities <= 1)).all()
    assert (np.diff(fused.probabilities) <= 0).all()
    kept = fused.above(float(fused.probabilities[0, 0]))
    assert kept.labels[0, 0] == fused.labels[0, 0]
    assert fused.above(1.1).named() == [[]] * len(ASKED)
    uncalibrated = dataclasses.replace(model, calibration=None)
    with pytest.raises(InputError, match="a threshold, but answers without probabilities"):
        uncalibrated.predict(ASKED).above(0.5)
    with pytest.raises(InputError, match=r"a model without calibration; .*train it again"):
        uncalibrated.threshold(0.5)


def test_texts_in_pieces_get_the_same_answers(model: Model, monkeypatch) -> None:
    whole = model.predict_scorers(ASKED, k=5)
    monkeypatch.setattr(parts, "_TEXTS_AT_ONCE", 2)
    assert_same(model.predict_scorers(ASKED, k=5), whole)


def test_no_texts(model: Model) -> None:
    for top in model.predict_scorers([], k=3).values():
        assert top.labels.shape == (0, 3)


def test_texts_may_come_as_tokens(model: Model) -> None:
    assert_same(model.predict_scorers(model.tokens(ASKED), 4), model.predict_scorers(ASKED, 4))


def test_answers_have_names(model: Model) -> None:
    (answers,) = model.predict([LABELS[7]], k=3).named()
    assert len(answers) == 3
    assert all(name in LABELS for name, _ in answers)


def test_a_label_is_encoded_with_its_auxiliary_vector(model: Model) -> None:
    vectors = model.encode_labels([LABELS[3], "something else", LABELS[0], LABELS[3]])
    known = model.scorers.label_search.vectors
    assert torch.equal(vectors[[0, 2, 3]], known[[3, 0, 3]])
    torch.testing.assert_close(vectors[1], model.encode_documents(["something else"])[0])
    expected = model.bank.added_to(model.encode_documents(LABELS))
    torch.testing.assert_close(torch.nn.functional.normalize(expected, dim=1), known)


def test_of_labels_with_one_text_the_first_is_encoded(model: Model) -> None:
    doubled = dataclasses.replace(model, label_texts=[*LABELS[:23], LABELS[0]])
    vectors = doubled.encode_labels([LABELS[0]])
    assert torch.equal(vectors[0], model.scorers.label_search.vectors[0])


def test_a_model_without_label_texts(model: Model, tmp_path: Path) -> None:
    nameless = dataclasses.replace(model, label_texts=None)
    save_model(nameless, tmp_path / "model")
    assert not (tmp_path / "model" / "labels.jsonl").exists()
    again = load_model(tmp_path / "model", CPU)
    assert again.label_texts is None
    assert all(name.isdigit() for name, _ in again.predict(ASKED).named()[0])
    assert torch.equal(again.encode_labels(ASKED), again.encode_documents(ASKED))


# the folder


@pytest.mark.parametrize("name", ["model", "transformer"])
def test_a_saved_model_gives_the_same_bits(name: str, request, tmp_path: Path) -> None:
    model: Model = request.getfixturevalue(name)
    save_model(model, tmp_path / "model")
    again = load_model(tmp_path / "model", CPU)
    assert_same(again.predict_scorers(ASKED, 10), model.predict_scorers(ASKED, 10))
    assert torch.equal(again.encode_documents(ASKED), model.encode_documents(ASKED))
    assert torch.equal(again.bank.vectors, model.bank.vectors)
    assert np.array_equal(again.bank.vector_of_label, model.bank.vector_of_label)
    assert np.array_equal(again.frequency, model.frequency)
    assert again.label_texts == list(LABELS)
    assert again.recipe == model.recipe
    assert again.facts == model.facts
    assert again.history == model.history
    assert not again.encoder.training
    save_model(again, tmp_path / "again")
    assert contents(tmp_path / "again", log=True) == contents(tmp_path / "model", log=True)


def test_the_folder_holds_what_this_file_checks(saved: Path) -> None:
    names = set(contents(saved, log=True))
    assert names == {*CHECKED, "model.json", "run.jsonl"}
    assert set(json.loads((saved / "model.json").read_text())["files"]) == set(CHECKED)


def test_nothing_in_the_folder_is_a_pickle(saved: Path, transformer: Model, tmp_path: Path) -> None:
    save_model(transformer, tmp_path / "model")
    for name, value in {**contents(saved), **contents(tmp_path / "model")}.items():
        assert Path(name).suffix in {".json", ".jsonl", ".safetensors", ".md", ".txt"}, name
        assert not value.startswith((b"\x80", b"PK")), name


def test_the_encoder_opens_with_sentence_transformers(transformer: Model, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    save_model(transformer, tmp_path / "model")
    theirs = SentenceTransformer(str(tmp_path / "model" / "encoder"), device="cpu")
    expected = theirs.encode(ASKED, convert_to_tensor=True)
    torch.testing.assert_close(transformer.encode_documents(ASKED), expected, rtol=0, atol=1e-5)


def test_the_card_is_written_from_the_run(saved: Path, model: Model) -> None:
    card = (saved / "README.md").read_text()
    assert card.startswith("# LF-TinyTitles-24: dexa\n")
    assert "24 labels" in card
    assert "recipe | dexa, seed 108" in card
    assert f"{len(model.bank.vectors)} |" in card
    assert "{" not in card


@pytest.mark.parametrize("name", CHECKED)
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ModelFolderError, match="missing file; copy the model again") as raised:
        load_model(copy, CPU)
    assert raised.value.path == copy / name


@pytest.mark.parametrize("name", CHECKED)
def test_a_changed_file_is_named(copy: Path, name: str) -> None:
    flip(copy / name)
    with pytest.raises(ModelFolderError, match="changed since it was written") as raised:
        load_model(copy, CPU)
    assert raised.value.path == copy / name


@pytest.mark.parametrize("path", ["nothing", "."])
def test_no_model_in_a_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(MissingFileError, match="no model folder; expected a folder that `dexa"):
        load_model(tmp_path / path, CPU)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[]", b"3", b"{}", b'{"format": 1}', b'{"files": {}}']
)
def test_a_damaged_description(copy: Path, content: bytes) -> None:
    (copy / "model.json").write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"model\.json is damaged"):
        load_model(copy, CPU)


@pytest.mark.parametrize("key", ["format", "recipe", "facts", "files"])
def test_a_description_that_lacks_a_part(copy: Path, key: str) -> None:
    described(copy, lambda value: value.pop(key))
    with pytest.raises(ModelFolderError, match=r"model\.json"):
        load_model(copy, CPU)


def test_a_folder_of_another_version(copy: Path) -> None:
    described(copy, lambda value: value.update({"format": 99}))
    with pytest.raises(ModelFolderError, match="format 99; expected format 1 or 2; open it with"):
        load_model(copy, CPU)


def test_the_format_before_is_read_in_full(copy: Path, model: Model, monkeypatch: Any) -> None:
    """It has no sizes, so that even large files are compared with their checksums."""
    monkeypatch.setattr(folder, "_LARGE", 100)
    described(copy, lambda value: (value.update({"format": 1}), value.pop("bytes")))
    assert_same(load_model(copy, CPU).predict_scorers(ASKED), model.predict_scorers(ASKED))
    flip(copy / "labels.safetensors")
    with pytest.raises(ModelFolderError, match="changed since it was written"):
        load_model(copy, CPU)


def test_large_files_are_mapped_and_checked_on_demand(copy: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(folder, "_LARGE", 100)
    assert check_files(copy) == len(CHECKED)
    flip(copy / "labels.safetensors")
    load_model(copy, CPU)
    with pytest.raises(ModelFolderError, match="changed since it was written"):
        load_model(copy, CPU, mmap=False)
    with pytest.raises(ModelFolderError, match="changed since it was written"):
        check_files(copy)
    with (copy / "labels.safetensors").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ModelFolderError, match="changed since it was written"):
        load_model(copy, CPU)


@pytest.mark.skipif(find_spec("faiss") is None, reason="needs dexa-xc[faiss]")
def test_a_graph_is_saved_and_mapped(model: Model, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(folder, "_LARGE", 100)
    scorers = model.scorers.searched_by("faiss", Silence())
    assert {type(index) for index in scorers.indexes().values()} == {FaissIndex}
    searched = dataclasses.replace(model, scorers=scorers)
    save_model(searched, tmp_path / "model")
    expected, exact = searched.predict_scorers(ASKED), model.predict_scorers(ASKED)
    for name, top in exact.items():
        assert np.array_equal(expected[name].labels, top.labels)
        np.testing.assert_allclose(expected[name].scores, top.scores, atol=1e-6)
    for mmap in (True, False):
        loaded = load_model(tmp_path / "model", CPU, mmap=mmap)
        assert isinstance(loaded.scorers.classifiers, FaissIndex)
        assert_same(loaded.predict_scorers(ASKED), expected)
    again = loaded.scorers.searched_by("exact", Silence())
    assert isinstance(again.label_search, ExactIndex)
    graph = tmp_path / "model" / "index" / "label_search" / "graph.faiss"
    graph.write_bytes(b"IHNs")
    forge(tmp_path / "model", "index/label_search/graph.faiss")
    with pytest.raises(ModelFolderError, match="no index of faiss"):
        load_model(tmp_path / "model", CPU)


def test_a_recipe_that_no_run_could_use(copy: Path) -> None:
    described(copy, lambda value: value["recipe"]["fusion"].update({"beta": -1}))
    with pytest.raises(DexaError, match=r"fusion\.beta"):
        load_model(copy, CPU)


def test_label_texts_that_do_not_fit_the_labels(copy: Path) -> None:
    lines = (copy / "labels.jsonl").read_text().splitlines(keepends=True)
    (copy / "labels.jsonl").write_text("".join(lines[:-1]))
    forge(copy, "labels.jsonl")
    with pytest.raises(ModelFolderError, match=r"labels\.jsonl: 23 label texts; expected 24"):
        load_model(copy, CPU)


@pytest.mark.parametrize("name", ["labels", "auxiliary", "fusion"])
def test_tensors_that_cannot_be_read(copy: Path, name: str) -> None:
    (copy / f"{name}.safetensors").write_bytes(b"rubbish")
    forge(copy, f"{name}.safetensors")
    with pytest.raises(ModelFolderError, match="cannot be read"):
        load_model(copy, CPU)


@pytest.mark.parametrize("name", ["labels", "auxiliary", "fusion"])
def test_tensors_that_lack_one(copy: Path, name: str) -> None:
    path = copy / f"{name}.safetensors"
    tensors = load_file(path)
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, path)
    forge(copy, path.name)
    with pytest.raises(ModelFolderError, match=r"cannot be read: .*; copy the model again"):
        load_model(copy, CPU)


def test_another_kind_of_index(copy: Path) -> None:
    name = "index/label_search/index.json"
    (copy / name).write_text('{"kind": "other"}')
    forge(copy, name)
    with pytest.raises(ModelFolderError, match="other"):
        load_model(copy, CPU)


def test_the_log_may_be_missing_but_not_broken(copy: Path) -> None:
    (copy / "run.jsonl").write_text('{"stage": ')
    with pytest.raises(ModelFolderError, match="cannot be read: Expecting value"):
        load_model(copy, CPU)
    (copy / "run.jsonl").unlink()
    assert load_model(copy, CPU).history == []


def test_label_texts_of_every_kind_come_back(model: Model, tmp_path: Path) -> None:
    strange = ["a\nb", "\u2028", "\x85", '"', "日本", "", *LABELS[6:]]
    save_model(dataclasses.replace(model, label_texts=strange), tmp_path / "model")
    assert load_model(tmp_path / "model", CPU).label_texts == strange


# writing


def test_a_save_replaces_the_old_model_as_a_whole(copy: Path, transformer: Model) -> None:
    save_model(transformer, copy)
    assert not (copy / "encoder/0_StaticEmbedding").exists()
    assert torch.equal(
        load_model(copy, CPU).encode_documents(ASKED), transformer.encode_documents(ASKED)
    )
    assert [path.name for path in copy.parent.iterdir()] == ["model"]


def test_a_save_that_fails_leaves_the_old_model(copy: Path, model: Model, monkeypatch) -> None:
    before = contents(copy, log=True)

    def broken(path: Path) -> None:
        (path / "half").write_text("half")
        raise RuntimeError("broken")

    monkeypatch.setattr(model.encoder, "save", broken)
    with pytest.raises(RuntimeError, match="broken"):
        save_model(model, copy)
    assert contents(copy, log=True) == before
    assert [path.name for path in copy.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("step", ["save_file", "write_json", "model_card", "_write_lines"])
def test_a_full_disk_leaves_the_old_model(copy: Path, model: Model, monkeypatch, step) -> None:
    before = contents(copy, log=True)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder, step, full)
    with pytest.raises(StorageError, match="No space left on device"):
        save_model(model, copy)
    assert contents(copy, log=True) == before
    assert [path.name for path in copy.parent.iterdir()] == ["model"]


def test_a_kill_while_the_folder_is_replaced_loses_no_model(copy: Path, model: Model) -> None:
    copy.rename(copy.with_name(".model.old"))
    assert_same(load_model(copy, CPU).predict_scorers(ASKED, 3), model.predict_scorers(ASKED, 3))
