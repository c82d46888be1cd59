"""`Dexa`, the class that most users need: lists or a data set in, answers out."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from dexa import Dataset, Dexa, DexaError, load_dataset, recipes
from dexa.data import Split
from dexa.errors import DataError, DeviceError, EncoderError, ModelFolderError, RecipeError
from dexa.preparation import prepare
from dexa.recipe import Recipe
from dexa.types import NO_LABEL, Silence
from tiny import COLOURS, LABELS, PLACES, THINGS, write_dataset
from tiny_models import contents

COLOURED = [f"{colour} thing at the {place}" for colour in COLOURS for place in PLACES]
BY_COLOUR = [[i // len(PLACES)] for i in range(len(COLOURED))]


class Heard(Silence):
    """Keeps notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(scope="module")
def short(tiny_recipe: Recipe) -> Recipe:
    """Enough for lists of a few dozen texts."""
    return tiny_recipe.changed({"encoder_stage.batch_size": 8, "fusion.validation": 4})


def fit(recipe: Recipe, texts: Any, labels: Any, label_texts: Any, **arguments: Any) -> Dexa:
    return Dexa(recipe, seed=1, device="cpu").fit(texts, labels, label_texts, **arguments)


@pytest.fixture(scope="module")
def colours(short: Recipe) -> Dexa:
    """Six labels, each the only colour of its documents."""
    longer = {"encoder_stage.epochs": 8, "classifier_stage.epochs": 4}
    return fit(short.changed(longer), COLOURED, BY_COLOUR, COLOURS)


# fit and predict


def test_lists_in_and_answers_out(colours: Dexa) -> None:
    top = colours.predict(["a crimson flower", "green castle", "the ivory bridge"], k=2)
    assert top.labels.shape == (3, 2)
    assert top.labels[:, 0].tolist() == [COLOURS.index(c) for c in ("crimson", "green", "ivory")]
    assert [answers[0][0] for answers in top.named()] == ["crimson", "green", "ivory"]
    assert (np.diff(top.scores, axis=1) <= 0).all()


@pytest.mark.parametrize("kind", ["ids", "texts", "matrix", "sets"])
def test_labels_of_every_kind_train_the_same_model(short: Recipe, kind: str) -> None:
    rows: Any = {
        "ids": BY_COLOUR,
        "texts": [[COLOURS[label] for label in row] for row in BY_COLOUR],
        "matrix": csr_array(np.eye(6, dtype=np.float32)[[row[0] for row in BY_COLOUR]]),
        "sets": [set(row) for row in BY_COLOUR],
    }[kind]
    ours = fit(short, COLOURED, rows, COLOURS).predict(COLOURED, k=6)
    expected = fit(short, COLOURED, BY_COLOUR, COLOURS).predict(COLOURED, k=6)
    assert np.array_equal(ours.labels, expected.labels)
    assert np.array_equal(ours.scores, expected.scores)


def test_a_dataset_in(fitted: Dexa, tiny_dataset: Dataset) -> None:
    assert tiny_dataset.test is not None
    assert tiny_dataset.test.texts is not None
    top = fitted.predict(list(tiny_dataset.test.texts), k=3)
    hits = [
        label in tiny_dataset.test.labels[[row]].indices
        for row, label in enumerate(top.labels[:, 0].tolist())
    ]
    assert np.mean(hits) > 0.6


def test_fit_returns_itself_and_keeps_the_options(fitted: Dexa) -> None:
    assert isinstance(fitted, Dexa)
    assert fitted.model.facts["seed"] == 108
    assert fitted.model.facts["device"] == "cpu"
    assert (fitted.model.facts["A"], fitted.model.facts["B"]) == (0.55, 1.5)


def test_the_first_lines_tell_every_choice(short: Recipe) -> None:
    heard = Heard()
    fit(short, COLOURED, BY_COLOUR, COLOURS, progress=heard)
    assert heard.notes[0] == "recipe dexa, seed 1, device cpu"
    told = "\n".join(heard.notes)
    parts = ("encoder", "auxiliary", "encoder_stage", "classifier_stage", "further", "fusion")
    for part in parts:
        for field in dataclasses.fields(getattr(short, part)):
            assert f"{part}: " in told
            assert f"{field.name} " in told
    assert "None" not in told


@pytest.mark.parametrize("method", recipes.__all__)
def test_recipes_fit_as_they_are(method: str, tiny_encoder: Path, tiny_dataset: Dataset) -> None:
    """With every value left to the size of the data, but few epochs."""
    recipe = getattr(recipes, method)().changed(
        {
            "encoder.name": f"bag:{tiny_encoder}",
            "encoder_stage.epochs": 2,
            "classifier_stage.epochs": 1,
        }
    )
    model = Dexa(recipe, device="cpu").fit(tiny_dataset).model
    assert model.recipe.encoder.max_length == 32  # its texts are titles
    without = recipe.auxiliary.shared_vectors == 0
    assert len(model.bank.vectors) == (0 if without else 8)
    assert model.bank.empty == without


def test_short_texts_are_titles(short: Recipe) -> None:
    recipe = short.changed({"encoder.max_length": None})
    assert fit(recipe, COLOURED, BY_COLOUR, COLOURS).model.recipe.encoder.max_length == 32


def test_long_texts_are_no_titles(short: Recipe) -> None:
    texts = [text + " the" * 30 for text in COLOURED]
    recipe = short.changed({"encoder.max_length": None})
    assert fit(recipe, texts, BY_COLOUR, COLOURS).model.recipe.encoder.max_length == 128


def test_a_transformer(short: Recipe, tiny_encoder: Path, tmp_path: Path) -> None:
    recipe = short.changed({"encoder.name": str(tiny_encoder), "encoder_stage.epochs": 1})
    model = fit(recipe, COLOURED, BY_COLOUR, COLOURS)
    model.save(tmp_path / "model")
    again = Dexa.load(tmp_path / "model", device="cpu")
    assert np.array_equal(again.predict(COLOURED).scores, model.predict(COLOURED).scores)


def test_auto_is_a_bag_over_minilm_on_a_cpu(
    short: Recipe, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dexa.training import starting

    opened = []
    real = starting.open_encoder

    def watched(name: str, **options: Any) -> Any:
        opened.append(name)
        return real(f"bag:{tiny_encoder}", **options)

    monkeypatch.setattr(starting, "open_encoder", watched)
    model = fit(short.changed({"encoder.name": "auto"}), COLOURED, BY_COLOUR, COLOURS)
    assert opened == ["bag"]
    assert model.model.recipe.encoder.name == "bag"


# data at its edges


def test_documents_without_labels_are_counted_and_left_out(short: Recipe) -> None:
    texts, labels = [*COLOURED, "black", "nothing", ""], [*BY_COLOUR, [], [], []]
    model = fit(short, texts, labels, COLOURS).model
    assert model.facts["documents_without_label"] == 3
    assert model.facts["dataset"]["documents"] == 39
    assert model.frequency.tolist() == [6] * 6


def test_a_label_without_training_documents_is_found_by_its_text(tiny_encoder, short) -> None:
    """What the classifiers never saw, label search still knows by the label's words."""
    labels = [f"{colour} thing" for colour in COLOURS]
    seen = [i for i, row in enumerate(BY_COLOUR) if row != [5]]
    recipe = short.changed({"encoder_stage.epochs": 6})
    model = fit(recipe, [COLOURED[i] for i in seen], [BY_COLOUR[i] for i in seen], labels)
    assert model.model.frequency.tolist() == [6, 6, 6, 6, 6, 0]
    assert COLOURS[5] == "violet"
    answers = model.predict(["violet thing", "violet thing at the museum"], k=1)
    assert answers.labels[:, 0].tolist() == [5, 5]


def test_texts_and_labels_that_occur_more_than_once(short: Recipe) -> None:
    texts = COLOURED + COLOURED[:6]
    rows = BY_COLOUR + [[0]] * 6
    label_texts = [*COLOURS[:5], COLOURS[0]]  # two labels of one text
    model = fit(short, texts, rows, label_texts)
    top = model.predict(COLOURED[:1] * 2, k=6)
    assert top.labels[0].tolist() == top.labels[1].tolist()
    assert sorted(top.labels[0].tolist()) == list(range(6))


def test_fewer_labels_than_answers(short: Recipe) -> None:
    three = [[i % 3] for i in range(len(COLOURED))]
    top = fit(short, COLOURED, three, COLOURS[:3]).predict(COLOURED[:4], k=5)
    assert top.labels.shape == (4, 5)
    assert (np.sort(top.labels[:, :3], axis=1) == [0, 1, 2]).all()
    assert (top.labels[:, 3:] == NO_LABEL).all()
    assert [len(answers) for answers in top.named()] == [3] * 4


@pytest.mark.parametrize("labels", [1, 2])
def test_one_label_or_two(short: Recipe, labels: int) -> None:
    rows = [[i % labels] for i in range(len(COLOURED))]
    top = fit(short, COLOURED, rows, COLOURS[:labels]).predict(["a text"], k=3)
    assert sorted(top.labels[0, :labels].tolist()) == list(range(labels))
    assert np.isfinite(top.scores[0, :labels]).all()


def test_one_document_a_label(short: Recipe) -> None:
    model = fit(short, LABELS, [[i] for i in range(24)], LABELS)
    assert model.predict(LABELS, k=1).labels.shape == (24, 1)


def test_a_document_with_every_label(short: Recipe) -> None:
    texts, rows = [*COLOURED, "the thing"], [*BY_COLOUR, list(range(6))]
    assert fit(short, texts, rows, COLOURS).predict(["the thing"], k=6).labels.min() == 0


@pytest.mark.parametrize("documents", [3, 4, 5])
def test_a_handful_of_documents(short: Recipe, documents: int) -> None:
    model = fit(short, COLOURED[:documents], BY_COLOUR[:documents], COLOURS)
    assert np.isfinite(model.predict(["amber"], k=6).scores).all()


def test_nothing_is_held_out(short: Recipe) -> None:
    recipe = short.changed({"fusion.validation": 0})
    model = fit(recipe, COLOURED, BY_COLOUR, COLOURS)
    assert model.model.fusion.tree.probability.tolist() == [0.0]
    assert model.predict(["black"], k=1).labels.shape == (1, 1)


@pytest.mark.parametrize("stage", ["encoder_stage", "classifier_stage"])
def test_a_stage_without_epochs(short: Recipe, stage: str) -> None:
    model = fit(short.changed({f"{stage}.epochs": 0}), COLOURED, BY_COLOUR, COLOURS).model
    assert {record["stage"] for record in model.history} == {
        "encoder_stage",
        "classifier_stage",
    } - {stage}


def test_strange_texts(short: Recipe) -> None:
    texts = [*COLOURED, "", " ", "日本\u2028 é\0", "x" * 50_000]
    model = fit(short, texts, [*BY_COLOUR, [0], [1], [2], [3]], [*COLOURS[:5], ""])
    top = model.predict(["", "日本", "\n", "a" * 10_000], k=2)
    assert np.isfinite(top.scores).all()


# mistakes


def test_neither_fitted_nor_loaded() -> None:
    new = Dexa()
    for ask in (
        lambda: new.predict(["a"]),
        lambda: new.encode(["a"]),
        lambda: new.model,
        lambda: new.save("x"),
    ):
        with pytest.raises(DexaError, match=r"neither fitted nor loaded; call fit or Dexa\.load"):
            ask()


def test_one_text_instead_of_a_list(fitted: Dexa) -> None:
    for ask in (fitted.predict, fitted.predict_scorers, fitted.encode):
        with pytest.raises(DataError, match=r"one text; expected a list of texts; write \['amber"):
            ask("amber bridge")  # type: ignore[operator]


@pytest.mark.parametrize("k", [0, -3])
def test_no_answers_asked_for(fitted: Dexa, k: int) -> None:
    with pytest.raises(DataError, match=f"k is {k}; expected at least 1"):
        fitted.predict(["amber"], k=k)


@pytest.mark.parametrize("missing", ["labels", "label_texts"])
def test_texts_alone(short: Recipe, missing: str) -> None:
    given = {"labels": BY_COLOUR, "label_texts": COLOURS} | {missing: None}
    with pytest.raises(DataError, match="give all three, or one Dataset"):
        Dexa(short, device="cpu").fit(COLOURED, **given)


@pytest.mark.parametrize(
    ("texts", "labels", "label_texts", "message"),
    [
        ("amber", BY_COLOUR, COLOURS, "texts is a single string"),
        ([], [], COLOURS, "texts is empty"),
        (["a", 3], [[0], [1]], COLOURS, r"texts\[1\] is a int"),
        (COLOURED, BY_COLOUR[:-1], COLOURS, "36 texts for 35 rows of labels"),
        (COLOURED, [[9]] * 36, COLOURS, r"labels\[0\] holds 9; expected a label id from 0 to 5"),
        (COLOURED, [["red"]] * 36, COLOURS, "holds 'red'; expected one of label_texts"),
        (COLOURED, [0] * 36, COLOURS, r"labels\[0\] is 0; expected a list"),
        (COLOURED, [[0, 0]] * 36, COLOURS, "names a label twice"),
        (COLOURED, [[]] * 36, COLOURS, "0 training documents with a label"),
        (COLOURED, BY_COLOUR, [], "label_texts is empty"),
        (
            COLOURED[:2],
            BY_COLOUR[:2],
            COLOURS,
            "2 training documents with a label; expected at",
        ),
    ],
)
def test_lists_that_do_not_fit(short, texts, labels, label_texts, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit(short, texts, labels, label_texts)


def test_a_dataset_without_training_documents(short: Recipe, tiny_dataset: Dataset) -> None:
    alone = dataclasses.replace(tiny_dataset, train=None)
    with pytest.raises(DataError, match="without training documents"):
        Dexa(short, device="cpu").fit(alone)


def test_an_encoder_that_is_not_there(short: Recipe) -> None:
    with pytest.raises(EncoderError, match="'nothing'"):
        fit(short.changed({"encoder.name": "nothing"}), COLOURED, BY_COLOUR, COLOURS)


def test_a_device_that_is_not_there(short: Recipe) -> None:
    for device in ("cuda:99", "tpu", "meta"):
        with pytest.raises(DeviceError, match=device):
            Dexa(short, device=device).fit(COLOURED, BY_COLOUR, COLOURS)


def test_a_field_that_is_not_there() -> None:
    with pytest.raises(RecipeError, match=r"did you mean 'encoder_stage\.epochs'"):
        recipes.dexa().changed({"encoder_stage.epoch": 3})


# encode, evaluate, save, load


def test_vectors_of_documents_and_labels(fitted: Dexa) -> None:
    texts = [LABELS[0], "something else"]
    documents, labels = fitted.encode(texts), fitted.encode(texts, side="label")
    assert documents.shape == labels.shape == (2, 16)
    assert documents.dtype == labels.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(documents, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(labels, axis=1), 1, rtol=1e-5)
    assert np.abs(documents[0] - labels[0]).max() > 1e-3  # its auxiliary vector
    np.testing.assert_allclose(documents[1], labels[1], atol=1e-6)
    assert fitted.encode([]).shape == (0, 16)


def test_evaluation_against_a_loop(fitted: Dexa, tiny_dataset: Dataset) -> None:
    evaluation = fitted.evaluate(tiny_dataset)
    test = tiny_dataset.test
    assert test is not None
    assert test.texts is not None
    filtered = {(int(d), int(label)) for d, label in test.filter_pairs}
    for name, top in fitted.predict_scorers(list(test.texts), k=100).items():
        hits = 0
        for row, labels in enumerate(top.labels.tolist()):
            best = next(label for label in labels if (row, label) not in filtered)
            hits += best in test.labels[[row]].indices
        assert evaluation.scorers[name]["P@1"] == pytest.approx(100 * hits / len(test.texts))
    assert evaluation.dataset == {"name": tiny_dataset.name, "documents": 16}
    assert (evaluation.a, evaluation.b) == (0.55, 1.5)


def test_a_report_is_written(fitted: Dexa, tiny_dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    peers = [{"name": "another tool", "scorer": "all", "P@1": 12.5}]
    evaluation = fitted.evaluate(tiny_dataset, report=path, peers=peers)
    page = path.read_text()
    assert page.startswith("<!")
    assert "another tool" in page
    assert f"{evaluation.scorers['fusion']['P@1']:.2f}" in page


def test_a_data_set_of_other_labels(fitted: Dexa) -> None:
    other = Dataset.from_lists(
        COLOURED, BY_COLOUR, COLOURS, test_texts=["amber"], test_labels=[[0]]
    )
    with pytest.raises(DataError, match="6 labels; expected the 24 labels of the model"):
        fitted.evaluate(other)


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_data_set_to_evaluate_on_has_both_splits(fitted, tiny_dataset, split: str) -> None:
    with pytest.raises(DataError, match="without train and test split"):
        fitted.evaluate(dataclasses.replace(tiny_dataset, **{split: None}))


def test_saved_and_loaded(fitted: Dexa, tiny_dataset: Dataset, tmp_path: Path) -> None:
    fitted.save(str(tmp_path / "model"))
    again = Dexa.load(str(tmp_path / "model"), device="cpu")
    assert (again.seeds, again.recipe) == ((108,), fitted.model.recipe)
    one, two = again.predict(LABELS, k=7), fitted.predict(LABELS, k=7)
    assert np.array_equal(one.labels, two.labels)
    assert np.array_equal(one.scores, two.scores)
    assert one.named() == two.named()
    assert np.array_equal(again.encode(LABELS), fitted.encode(LABELS))
    assert again.evaluate(tiny_dataset) == fitted.evaluate(tiny_dataset)


def test_a_loaded_model_can_be_fitted_again(fitted: Dexa, tiny_dataset, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    again = Dexa.load(tmp_path / "model", device="cpu").fit(tiny_dataset)
    again.save(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tmp_path / "model")


def test_a_folder_that_was_changed(fitted: Dexa, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("mine")
    with pytest.raises(ModelFolderError, match=r"README\.md: changed"):
        Dexa.load(tmp_path / "model")


# tokens on disk


def test_prepared_tokens_train_the_same_model(
    tiny_recipe: Recipe, tiny_encoder: Path, tmp_path: Path
) -> None:
    folder = write_dataset(tmp_path / "LF-TinyTitles-24")
    from_texts = Dexa(tiny_recipe, device="cpu").fit(load_dataset(folder))
    prepare(folder, encoder=str(tiny_encoder), max_length=12)
    heard = Heard()
    from_tokens = Dexa(tiny_recipe, device="cpu").fit(load_dataset(folder), progress=heard)
    assert not [note for note in heard.notes if "tokenised" in note]
    from_texts.save(tmp_path / "one")
    from_tokens.save(tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_part_of_a_prepared_folder_is_tokenised_anew(
    tiny_recipe: Recipe, tiny_encoder: Path, tmp_path: Path
) -> None:
    folder = write_dataset(tmp_path / "LF-TinyTitles-24")
    prepare(folder, encoder=str(tiny_encoder), max_length=12)
    whole = load_dataset(folder)
    assert whole.train is not None
    assert whole.train.texts is not None
    rows = list(range(0, 60))
    part = Split(labels=csr_array(whole.train.labels[rows]), texts=list(whole.train.texts[:60]))
    heard = Heard()
    Dexa(tiny_recipe, device="cpu").fit(dataclasses.replace(whole, train=part), progress=heard)
    assert [note for note in heard.notes if "tokenised" in note]


def test_neither_texts_nor_tokens(short: Recipe) -> None:
    labels = csr_array(np.eye(6, dtype=np.float32))
    alone = Dataset(
        name="x",
        train=Split(labels=labels, texts=None),
        test=None,
        label_texts=None,
        folder=None,
        fields=(),
    )
    with pytest.raises(DataError, match="neither label texts nor token files"):
        Dexa(short, device="cpu").fit(alone)


def test_figures_of_validation_are_percentages(fitted: Dexa) -> None:
    shown = [record for record in fitted.model.history if "P@1" in record]
    assert shown
    last = {name: value for name, value in shown[-1].items() if "@" in name}
    assert fitted.model.facts["held_out_label_search"] == last
    for record in shown:
        assert all(0 <= record[name] <= 100 for name in ("P@1", "P@5", "R@10"))
    assert all(math.isfinite(record["loss"]) for record in fitted.model.history)


def test_things_are_shared_words() -> None:
    """The tasks above need the words of the tiny tokenizer."""
    assert len(COLOURED) == len(COLOURS) * len(PLACES)
    assert {word for label in LABELS for word in label.split()} == {*COLOURS, *THINGS}


def test_a_model_without_held_out_documents_is_saved_too(short: Recipe, tmp_path: Path) -> None:
    recipe = short.changed({"fusion.validation": 0})
    model = fit(recipe, COLOURED, BY_COLOUR, COLOURS)
    model.save(tmp_path / "model")
    again = Dexa.load(tmp_path / "model", device="cpu")
    assert np.array_equal(again.predict(COLOURED).scores, model.predict(COLOURED).scores)
