"""SiameseXML, DeepXML and joint training from a data set to a model folder, and their resume."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from dexa import Dataset, Dexa, load_dataset, recipes
from dexa.batches import draw_labels
from dexa.data import convert, read_features
from dexa.errors import DataError, InputError
from dexa.negatives import Pairs
from dexa.recipe import Recipe
from dexa.training import shortlist_stage
from dexa.training.checkpoints import Checkpoints
from dexa.training.classifier_stage import ClassifierStage
from dexa.training.compared import WithAll, WithShortlist, are_known, some_positives
from dexa.training.encoder_stage import EncoderStage
from dexa.training.label_stage import LabelStage
from dexa.training.shortlist_stage import ShortlistStage
from dexa.training.surrogate_stage import SurrogateStage, prior_logits
from tiny import write_dataset
from tiny_models import contents, tiny_recipe

NEW = [n for n in recipes.__all__ if n.startswith(("siamesexml", "deepxml")) or "joint" in n]
STAGES = (EncoderStage, LabelStage, SurrogateStage, ClassifierStage, ShortlistStage)
CPU = torch.device("cpu")


def recipe_of(name: str, encoder: Path) -> Recipe:
    """A tiny recipe; DeepXML with a re-ranker, so that a run has all stages that there are."""
    recipe = tiny_recipe(encoder, name=name)
    if recipe.classifier_stage.epochs != 2:
        recipe = recipe.changed({"classifier_stage.epochs": 2})
    if name != "deepxml":
        return recipe
    scorers = '["classifiers", "shortlist", "reranker"]'
    changes = {"reranker.epochs": 1, "reranker.length": 4, "fusion.scorers": scorers}
    return recipe.changed(changes)


def pairs(matrix: csr_array) -> Pairs:
    return Pairs(matrix, CPU)


def labels_of(count: int, width: int, seed: int = 1) -> csr_array:
    draw = np.random.default_rng(seed)
    return csr_array((draw.random((count, width)) < 0.3).astype(np.float32))


# samplers and masks against loops


def test_labels_are_drawn_by_a_power_of_their_frequency() -> None:
    dense = np.zeros((4, 100), np.float32)
    for label, count in enumerate([1, 16, 81, 0]):
        dense[label, :count] = 1
    of_label = csr_array(dense)
    drawn = np.concatenate(
        [draw_labels(of_label, 5, 0.5, np.random.default_rng(s)) for s in range(3_000)], axis=1
    )
    shares = np.bincount(drawn[0], minlength=4) / drawn.shape[1]
    assert drawn.shape == (3, 15_000)
    assert shares == pytest.approx(np.array([1, 4, 9, 0]) / 14, abs=0.02)
    for label, first, second in drawn.T[:500]:
        assert dense[label, first] == dense[label, second] == 1
    assert (drawn[1] != drawn[2]).any()


def test_some_positives_of_each_document() -> None:
    matrix = labels_of(10, 9)
    documents = torch.tensor([4, 4, 0, 9])
    draw = np.random.default_rng(1)
    seen: list[set[int]] = [set() for _ in documents]
    for _ in range(60):
        found = some_positives(pairs(matrix), documents, 2, draw)
        assert found.shape == (4, 2)
        for row, own in enumerate(found.tolist()):
            real = [label for label in own if label >= 0]
            own_labels = set(matrix[[int(documents[row])]].indices.tolist())
            assert len(real) == len(set(real)) == min(2, len(own_labels))
            assert set(real) <= own_labels
            seen[row] |= set(real)
    for row, own in enumerate(seen):
        assert own == set(matrix[[int(documents[row])]].indices.tolist())


def test_known_labels_are_found() -> None:
    matrix, dense = labels_of(10, 9), labels_of(10, 9).toarray()
    documents = torch.tensor([3, 3, 8])
    labels = torch.randint(9, (3, 20), generator=torch.Generator().manual_seed(1))
    found = are_known(pairs(matrix), documents, labels)
    for i, document in enumerate(documents):
        for j in range(20):
            assert bool(found[i, j]) == bool(dense[document, labels[i, j]])
    empty = pairs(csr_array((10, 9), dtype=np.float32))
    assert not are_known(empty, documents, labels).any()


def test_a_list_is_positives_then_the_shortlist_then_random_labels() -> None:
    truth, known = labels_of(8, 30), labels_of(8, 30)
    lists = torch.arange(8 * 3, dtype=torch.int32).view(8, 3)
    lists[1, 2] = -1
    made = WithShortlist(pairs(truth), pairs(known), lists, positives=20, random=5, seed=1)
    documents = torch.tensor([1, 6])
    (compared,), (again,), (other,) = (made.of(2, step, documents) for step in (3, 3, 4))
    labels_drawn = [part.labels for part in (compared, again, other)]
    assert torch.equal(labels_drawn[0], labels_drawn[1])
    assert not torch.equal(labels_drawn[0], labels_drawn[2])
    width = int(compared.positives.sum(dim=1).max())
    for row, document in enumerate(documents.tolist()):
        labels = compared.labels[row].tolist()
        own = {label for label, right in zip(labels, compared.positives[row], strict=True) if right}
        assert own == set(truth[[document]].indices.tolist())
        assert labels[width : width + 3] == lists[document].tolist()
        drawn = [label for label in labels[width + 3 :] if label >= 0]
        assert not set(drawn) & set(known[[document]].indices.tolist())
    assert torch.equal(compared.there, compared.labels >= 0)


@pytest.mark.parametrize(
    ("cells", "widths"), [(18, [6]), (99, [6]), (12, [4, 2]), (9, [3, 3]), (1, [1] * 6)]
)
def test_all_labels_and_their_gradients(cells: int, widths: list[int]) -> None:
    truth, known = labels_of(8, 6), labels_of(8, 6)
    known = csr_array(truth + labels_of(8, 6, seed=2))
    documents = torch.tensor([1, 6, 0])
    parts = list(WithAll(pairs(truth), pairs(known), cells=cells).of(0, 0, documents))
    assert [part.positives.shape[1] for part in parts] == widths
    right = torch.from_numpy(truth.toarray()[documents.numpy()] > 0)
    free = right | torch.from_numpy(known.toarray()[documents] == 0)
    assert torch.equal(torch.cat([part.positives for part in parts], dim=1), right)
    assert torch.equal(torch.cat([part.there for part in parts], dim=1), free)
    queries, weights = torch.randn(3, 4, requires_grad=True), torch.randn(6, 4, requires_grad=True)
    slopes = torch.randn(3, 6)
    scores = queries @ weights.T
    (scores * slopes).sum().backward()
    with torch.no_grad():
        found = torch.cat([part.scores(queries, weights) for part in parts], dim=1)
        each = slopes.split(widths, dim=1)
        told = [p.gradients(queries, weights, s) for p, s in zip(parts, each, strict=True)]
    of_queries, rows, of_weights = zip(*told, strict=True)
    assert torch.allclose(found, scores)
    assert torch.allclose(sum(of_queries), queries.grad)  # type: ignore[arg-type]
    assert torch.cat(rows).tolist() == list(range(6))
    assert torch.allclose(torch.cat(of_weights), weights.grad)  # type: ignore[arg-type]


def test_biases_tell_how_many_documents_there_are() -> None:
    odds = prior_logits(np.array([0, 1, 50, 100]), 100).sigmoid()
    assert odds.tolist() == pytest.approx([0.005, 0.01, 0.5, 0.995])


# whole runs


@pytest.fixture(scope="module")
def models(tiny_encoder: Path, tiny_dataset: Dataset) -> Callable[[str], Dexa]:
    kept: dict[str, Dexa] = {}

    def model(name: str) -> Dexa:
        if name not in kept:
            recipe = recipe_of(name, tiny_encoder)
            kept[name] = Dexa(recipe, seed=108, device="cpu").fit(tiny_dataset)
        return kept[name]

    return model


@pytest.mark.parametrize("name", NEW)
def test_a_model_answers_the_same_from_its_folder(
    name: str, models: Callable[[str], Dexa], tiny_dataset: Dataset, tmp_path: Path
) -> None:
    model = models(name)
    model.save(tmp_path / "model")
    again = Dexa.load(tmp_path / "model", device="cpu")
    assert tiny_dataset.test is not None
    texts = list(tiny_dataset.test.texts or [])
    one, two = model.predict_scorers(texts, 5), again.predict_scorers(texts, 5)
    assert list(one) == list(two)
    for scorer in one:
        assert np.array_equal(one[scorer].labels, two[scorer].labels), scorer
        assert np.array_equal(one[scorer].scores, two[scorer].scores), scorer


def test_labels_in_parts_are_trained_as_all_at_once(
    monkeypatch: pytest.MonkeyPatch, tiny_encoder: Path, tiny_dataset: Dataset
) -> None:
    recipe = recipe_of("deepxml_ova", tiny_encoder)
    trained = []
    for cells in (1 << 18, 7):
        monkeypatch.setitem(shortlist_stage._SCORES_AT_ONCE, "cpu", cells)
        model = Dexa(recipe, seed=1, device="cpu").fit(tiny_dataset).model
        trained.append(model.scorers.classifiers.vectors)
    assert torch.allclose(trained[0], trained[1], atol=1e-5)
    assert trained[0][:, :-1].any()


@pytest.mark.parametrize("name", [n for n in NEW if "xml" in n])
def test_more_epochs_find_most_labels(name: str, tiny_encoder: Path, tmp_path: Path) -> None:
    dataset = load_dataset(write_dataset(tmp_path / "LF-Titles", train=160, test=40))
    recipe = recipe_of(name, tiny_encoder).changed(
        {
            "encoder_stage.epochs": 0 if name in ("deepxml_ova", "deepxml_anns") else 10,
            "encoder.dropout": 0.0,
            "classifier_stage.epochs": 15,
            "classifier_stage.dropout": 0.0,
            "classifier_stage.learning_rate": 0.05,
            "encoder_stage.learning_rate": 0.03,
        }
    )
    scores = Dexa(recipe, seed=1, device="cpu").fit(dataset).evaluate(dataset).to_json()["scorers"]
    assert scores["classifiers"]["P@1"] > 40  # chance finds 5
    assert scores["fusion"]["P@1"] > 50


def test_the_encoder_moves_only_where_it_is_trained_too(
    models: Callable[[str], Dexa], tiny_dataset: Dataset
) -> None:
    texts = list(tiny_dataset.label_texts or [])
    for frozen, joint in (("siamesexml", "siamesexml_joint"), ("dexa", "dexa_joint")):
        before, after = (models(name).encode(texts) for name in (frozen, joint))
        assert not np.array_equal(before, after)
        assert np.allclose(before, after, atol=0.5)  # at a tenth of the rate


def interrupted(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Keep a checkpoint at every step, and interrupt right behind step number `step`."""
    counter = itertools.count()
    monkeypatch.setattr(Checkpoints, "due", lambda self, *, epoch_done=False: True)
    for stage in STAGES:
        original = stage.step

        def stopping(self: Any, epoch: int, number: int, original: Callable = original) -> Any:
            loss = original(self, epoch, number)
            if next(counter) == step:
                raise KeyboardInterrupt
            return loss

        monkeypatch.setattr(stage, "step", stopping)


@pytest.mark.parametrize("name", NEW)
def test_resumed_runs_end_with_the_same_bytes(
    name: str,
    models: Callable[[str], Dexa],
    tiny_encoder: Path,
    tiny_dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    models(name).save(tmp_path / "whole")
    recipe, stops = recipe_of(name, tiny_encoder), 0
    for step in (2, 3, 5, 4, 3):  # steps after which each attempt is interrupted, in turn
        with monkeypatch.context() as patch:
            interrupted(patch, step)
            model = Dexa(recipe, seed=108, device="cpu")
            try:
                model.fit(tiny_dataset, checkpoints=tmp_path / "kept", resume=True)
            except KeyboardInterrupt:
                stops += 1
    model = Dexa(recipe, seed=108, device="cpu")
    model.fit(tiny_dataset, checkpoints=tmp_path / "kept", resume=True)
    model.save(tmp_path / "resumed")
    assert contents(tmp_path / "resumed") == contents(tmp_path / "whole")
    assert stops >= 2


def test_a_transformer_is_trained_with_its_classifiers(
    tiny_encoder: Path, tiny_dataset: Dataset
) -> None:
    """The research code crashes here."""
    for name in ("ngame_joint", "dexa_joint"):
        recipe = tiny_recipe(tiny_encoder, name=name).changed({"encoder.name": str(tiny_encoder)})
        frozen = recipe.changed({"classifier_stage.encoder_share": 0})
        models = [Dexa(r, seed=1, device="cpu").fit(tiny_dataset).model for r in (recipe, frozen)]
        weights = [dict(model.encoder.named_parameters()) for model in models]
        moved = [k for k in weights[0] if not torch.equal(weights[0][k], weights[1][k])]
        assert len(moved) > len(weights[0]) / 2


# features that a data set gives


@pytest.fixture
def featured(tiny_dataset: Dataset, tmp_path: Path) -> Path:
    """The tiny data set as files of features."""
    assert tiny_dataset.folder is not None
    convert(tiny_dataset.folder, tmp_path / "LF-TinyTitles-24", "matrices")
    return tmp_path / "LF-TinyTitles-24"


@pytest.mark.parametrize("name", ["deepxml", "siamesexml"])
def test_features_of_a_data_set(name: str, tiny_encoder: Path, featured: Path) -> None:
    dataset = load_dataset(featured)
    model = Dexa(recipe_of(name, tiny_encoder), seed=1, device="cpu").fit(dataset)
    assert model.evaluate(dataset).to_json()["scorers"]["shortlist"]["P@5"] > 5
    with pytest.raises(InputError, match="features that a data set gave"):
        model.predict(["black castle"])


def test_labels_without_features_are_their_documents(tiny_encoder: Path, featured: Path) -> None:
    (featured / "lbl_X_Xf.txt").unlink()
    dataset = load_dataset(featured)
    model = Dexa(recipe_of("deepxml", tiny_encoder), seed=1, device="cpu").fit(dataset).model
    lengths = model.scorers.label_search.vectors.norm(dim=1)
    assert ((lengths - 1).abs() < 1e-5).sum() > 20  # a few have held-out documents alone


def test_vectors_of_features_from_a_file(
    tiny_encoder: Path, featured: Path, tmp_path: Path
) -> None:
    width = read_features(featured)["lbl"].shape[1]
    given = np.random.default_rng(1).standard_normal((width, 10)).astype(np.float32)
    np.save(tmp_path / "fasttextB_embeddings_10d.npy", given)
    recipe = recipe_of("siamesexml", tiny_encoder).changed(
        {
            "encoder.initial": str(tmp_path / "fasttextB_embeddings_10d.npy"),
            "encoder_stage.epochs": 0,
        }
    )
    dataset = load_dataset(featured)
    model = Dexa(recipe, seed=1, device="cpu").fit(dataset).model
    assert np.array_equal(model.required_encoder.state_dict()["table"].numpy(), given)
    words = (featured / "Xf.txt").read_text().splitlines()
    plain = np.array([" " not in word for word in words])  # pairs of words are no tokens of theirs
    lines = [
        f"{words[place]} {' '.join(f'{value:.6f}' for value in given[place])}"
        for place in np.flatnonzero(plain)
    ]
    (tmp_path / "given.vec").write_text("\n".join([f"{len(lines)} 10", *lines]) + "\n")
    named = recipe.changed({"encoder.initial": str(tmp_path / "given.vec")})
    again = Dexa(named, seed=1, device="cpu").fit(dataset).model
    table = again.required_encoder.state_dict()["table"].numpy()
    assert np.allclose(table[plain], given[plain], atol=1e-5)
    assert not table[~plain].any()
    np.save(tmp_path / "short.npy", given[1:])
    with pytest.raises(DataError, match="one for each of"):
        Dexa(recipe.changed({"encoder.initial": str(tmp_path / "short.npy")})).fit(dataset)
    (featured / "Xf.txt").unlink()
    with pytest.raises(DataError, match=r"Xf\.txt beside the features"):
        Dexa(named, seed=1, device="cpu").fit(load_dataset(featured))


def test_a_pickle_is_refused(tiny_encoder: Path, featured: Path) -> None:
    shutil.move(featured / "trn_X_Xf.txt", featured / "trn_X_Xf.pkl")
    with pytest.raises(DataError, match="runs whatever is written in it"):
        Dexa(recipe_of("deepxml", tiny_encoder)).fit(load_dataset(featured))


def test_features_that_do_not_fit(tiny_encoder: Path, featured: Path) -> None:
    model = Dexa(recipe_of("deepxml", tiny_encoder), seed=1, device="cpu").fit(
        load_dataset(featured)
    )
    lines = (featured / "tst_X_Xf.txt").read_text().splitlines()
    rows, width = lines[0].split()
    lines[0] = f"{rows} {int(width) + 1}"
    (featured / "tst_X_Xf.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match="features"):
        model.evaluate(load_dataset(featured))
