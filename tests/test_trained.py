"""Labels that come, go, and change after training, in memory and in the model folder."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from dexa import Dataset, Dexa, metrics
from dexa.auxiliary import NO_VECTOR
from dexa.errors import DexaError, InputError
from dexa.model import FUSION, REMOVED, Choice, addition
from dexa.types import CLASSIFIERS, LABEL_SEARCH, LABEL_WORDS, LINEAR, NEIGHBOURS, SCORERS, TopK
from tiny import LABELS
from tiny_models import tiny_recipe

ASKED = ["amber station at the harbour", "the castle", "museum of the engine", "black flower"]
NEW = ["amber station", "the harbour museum"]
CAME = [["amber station at the valley", "station, amber"], []]


@pytest.fixture(scope="module")
def folders(
    tiny_encoder: Path, tiny_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """A folder of the paper's fusion, and one of all scorers that keeps its texts."""
    home, found = tmp_path_factory.mktemp("folders"), {}
    changes = {
        "dexa": {},
        "dexa_plus": {"fusion.trees": 5, "fusion.tree_weight": 0.5, "fusion.keep_texts": True},
    }
    for name, settings in changes.items():
        recipe = tiny_recipe(tiny_encoder, name=name).changed(settings)
        Dexa(recipe, seed=5, device="cpu").fit(tiny_dataset).save(home / name)
        found[name] = home / name
    return found


@pytest.fixture(params=["dexa", "dexa_plus"])
def folder(request: pytest.FixtureRequest, folders: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders[request.param], tmp_path / "model"))


@pytest.fixture
def plus(folders: dict[str, Path], tmp_path: Path) -> Dexa:
    return opened(Path(shutil.copytree(folders["dexa_plus"], tmp_path / "plus")))


def opened(folder: Path, **options: bool) -> Dexa:
    return Dexa.load(folder, device="cpu", **options)


def assert_same(one: Dexa, two: Dexa) -> None:
    """Both answer the same to the last bit."""
    for (name, mine), theirs in zip(
        one.predict_scorers(ASKED, 40).items(), two.predict_scorers(ASKED, 40).values(), strict=True
    ):
        np.testing.assert_array_equal(mine.labels, theirs.labels, err_msg=name)
        np.testing.assert_array_equal(mine.scores, theirs.scores, err_msg=name)
    assert one.labels() == two.labels()


def change_everything(model: Dexa) -> None:
    assert model.add_labels(NEW, CAME) == [24, 25]
    assert model.add_labels(["ivory valley"]) == [26]
    assert model.rename_label("ivory valley", "violet valley") == 26
    assert model.rename_label(2, "amber motor") == 2
    assert model.hide([3, "violet flower"]) == [3, LABELS.index("violet flower")]
    assert model.remove_labels(["black castle", 0]) == [LABELS.index("black castle"), 0]
    assert model.show([3]) == [3]


# what a change does


def test_a_new_label_is_answered_at_once(folder: Path) -> None:
    model = opened(folder)
    model.add_labels(NEW, CAME)
    found = model.predict_scorers([*NEW, "amber station at the valley"], 3)
    assert found[LABEL_SEARCH].labels[:, 0].tolist() == [24, 25, 24]
    assert found[CLASSIFIERS].labels[:, 0].tolist() == [24, 25, 24]
    assert found[FUSION].labels[:, 0].tolist() == [24, 25, 24]
    assert found[FUSION].label_texts is not None
    assert found[FUSION].named()[1][0][0] == NEW[1]
    for scorer in set(found) & {NEIGHBOURS, LABEL_WORDS, LINEAR}:
        assert found[scorer].labels[2, 0] == 24


def test_others_are_untouched_bit_by_bit(folder: Path) -> None:
    before, after = opened(folder), opened(folder, write_changes=False)
    after.add_labels(NEW, CAME)
    one, two = before.model, after.model
    for name in (LABEL_SEARCH, CLASSIFIERS):
        vectors = getattr(two.scorers, name).vectors
        assert torch.equal(getattr(one.scorers, name).vectors, vectors[:24])
    np.testing.assert_array_equal(one.fusion.inverse_propensity, two.fusion.inverse_propensity[:24])
    np.testing.assert_array_equal(one.frequency, two.frequency[:24])
    if one.scorers.words is not None and two.scorers.words is not None:
        mine, theirs = one.scorers.words.linear, two.scorers.words.linear
        assert_rows(mine.weights, csr_array(theirs.weights[:24]))
        np.testing.assert_array_equal(mine.bias, theirs.bias[:24])
        words = csr_array(two.scorers.words.label_words.by_feature[:, :24])
        assert abs(words - one.scorers.words.label_words.by_feature).max() == 0


def assert_rows(one: csr_array, two: csr_array) -> None:
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_ids_and_frequencies_of_new_labels(folder: Path) -> None:
    model = opened(folder)
    model.add_labels(NEW, CAME)
    facts = model.model.facts
    assert model.model.frequency[24:].tolist() == [2, 0]
    expected = metrics.inverse_propensity_of(
        np.array([2, 0]), 64 - facts["held_out_documents"], facts["A"], facts["B"]
    )
    np.testing.assert_array_equal(model.model.fusion.inverse_propensity[24:], expected)
    model.remove_labels([25])
    assert model.add_labels(["the harbour museum"]) == [26]  # an id is never given again
    assert [label.id for label in model.labels()] == [*range(25), 26]


def test_a_classifier_is_the_mean_of_its_documents_and_its_label(folder: Path) -> None:
    model = opened(folder)
    model.add_labels(NEW, CAME)
    parts = model.model
    documents = parts.encode_documents(CAME[0])
    label = parts.scorers.label_search.vectors[24]
    expected = Choice().shrinkage * label + documents.sum(dim=0)
    classifiers = parts.scorers.classifiers.vectors
    assert torch.allclose(classifiers[24], expected / expected.norm(), atol=1e-6)
    assert torch.equal(classifiers[25], parts.scorers.label_search.vectors[25])


def test_new_linear_weights_are_those_of_the_prior(plus: Dexa) -> None:
    """A label that is added with the text and documents of another one has its prior's weights."""
    words = plus.model.scorers.words
    assert words is not None
    text, documents = "green castle", ["green castle at the market", "a castle, green"]
    change = addition(plus.model, [text + "!"], [documents])
    assert change.rows is not None
    assert change.rows.linear is not None
    weights = change.rows.linear.weights.toarray()[0]
    prior, groups = words.linear.prior, words.features.groups
    of_text = words.features.transform([text]).toarray()[0]
    mean = words.features.transform(documents).toarray().sum(axis=0) / 3
    for place, weight in enumerate(weights):
        kind, often = groups[place], np.log(3)
        full = (prior[kind] + prior[3 + kind] * often) * of_text[place]
        full += (prior[6 + kind] + prior[9 + kind] * often) * mean[place]
        assert weight == 0 or weight == pytest.approx(full, rel=1e-5)
    assert (weights != 0).any()
    assert change.rows.linear.bias[0] == pytest.approx(prior[12] + prior[13] * np.log(3), rel=1e-5)


def test_a_document_of_two_new_labels_votes_once_for_both(plus: Dexa) -> None:
    votes = plus.model.scorers.neighbours
    assert votes is not None
    before = len(votes.index)
    plus.add_labels(NEW, [["a museum", "a museum"], ["a museum", "the harbour"]])
    votes = plus.model.scorers.neighbours
    assert votes is not None
    assert len(votes.index) == before + 2
    assert votes.labels.toarray()[before:, 24:].tolist() == [[1, 1], [0, 1]]
    assert votes.rows is not None
    assert votes.rows[before:].tolist() == [-1, -1]
    assert plus.model.document_texts is not None
    assert list(plus.model.document_texts[before:]) == ["a museum", "the harbour"]
    assert plus.model.frequency[24:].tolist() == [1, 2]


def test_the_auxiliary_vector_of_the_nearest_cluster(folders: dict[str, Path]) -> None:
    model = opened(folders["dexa"]).model
    text = LABELS[7] + " a"
    near, none = (
        addition(model, [text], choice=Choice(auxiliary=chosen)).rows for chosen in (True, False)
    )
    assert near is not None
    assert none is not None
    assert none.vector_of_label.tolist() == [NO_VECTOR]
    vectors = model.encode_documents([text])
    assert torch.allclose(none.dense[LABEL_SEARCH], vectors, atol=1e-6)
    own = model.recipe.auxiliary.head_labels or 0
    scores = {
        number: float(
            torch.nn.functional.normalize(
                model.scorers.label_search.vectors[
                    torch.from_numpy(model.bank.vector_of_label == number)
                ].sum(dim=0),
                dim=0,
            )
            @ vectors[0]
        )
        for number in set(model.bank.vector_of_label.tolist())
        if number >= own
    }
    assert near.vector_of_label.tolist() == [max(scores, key=lambda number: scores[number])]
    moved = vectors + model.bank.vectors[near.vector_of_label[0]]
    assert torch.allclose(near.dense[LABEL_SEARCH], moved / moved.norm(), atol=1e-6)


def test_there_is_no_auxiliary_vector_where_the_recipe_has_none(plus: Dexa) -> None:
    assert plus.model.bank.empty
    rows = addition(plus.model, ["ivory valley"], choice=Choice(auxiliary=True)).rows
    assert rows is not None
    assert rows.vector_of_label.tolist() == [NO_VECTOR]


def test_hidden_and_removed_labels_are_never_answered(folder: Path) -> None:
    model = opened(folder)
    hidden, gone = LABELS.index("black flower"), LABELS.index("black castle")
    model.hide(["black flower"])
    model.remove_labels([gone])
    for top in model.predict_scorers(["black flower", "black castle"], 24).values():
        assert not np.isin(top.labels, [hidden, gone]).any()
    model.show([hidden])
    assert model.predict(["black flower"], 1).labels.tolist() == [[hidden]]
    assert model.model.states[gone] == REMOVED
    assert model.model.label_texts is not None
    assert model.model.label_texts[gone] == ""


def test_without_any_label_there_is_no_answer(folder: Path) -> None:
    model = opened(folder)
    model.remove_labels(list(range(24)))
    assert model.labels() == []
    assert model.predict(ASKED, 3).named() == [[], [], [], []]
    with pytest.raises(InputError, match="all labels were removed"):
        model.hide(["black castle"])
    assert model.add_labels(["black castle"]) == [24]
    assert model.predict(["black castle"], 3).labels.tolist() == [[24, -1, -1]]


def test_a_renamed_label_is_found_by_its_new_text(folder: Path) -> None:
    model = opened(folder)
    label = model.add_labels(["ivory valley"])[0]
    before = model.model.scorers.label_search.vectors.clone()
    model.rename_label("ivory valley", "the market museum")
    found = model.predict_scorers(["the market museum"], 2)
    for name in (LABEL_SEARCH, CLASSIFIERS, FUSION):
        assert found[name].labels[0, 0] == label, name
    after = model.model.scorers.label_search.vectors
    assert torch.equal(before[:24], after[:24])
    fresh = opened(folder, write_changes=False)
    again = fresh.add_labels(["the market museum "])[0]
    for name in (LABEL_SEARCH, CLASSIFIERS):
        vectors = getattr(fresh.model.scorers, name).vectors
        assert torch.equal(vectors[label], vectors[again])
    words = fresh.model.scorers.words
    if words is not None:
        assert abs(words.linear.weights[[label]] - words.linear.weights[[again]]).max() < 1e-5
        texts = csr_array(words.label_words.by_feature.T.tocsr())
        assert abs(texts[[label]] - texts[[again]]).max() == 0


def test_renaming_keeps_what_documents_taught(folder: Path) -> None:
    model = opened(folder)
    label = int(np.argmax(model.model.frequency))
    before = model.model
    vectors = before.scorers.classifiers.vectors.clone()
    model.rename_label(label, "the museum of the harbour")
    after = model.model
    assert torch.equal(after.scorers.classifiers.vectors, vectors)
    assert after.frequency[label] == before.frequency[label]
    assert after.bank.vector_of_label[label] == before.bank.vector_of_label[label]
    model.rename_label(label, LABELS[label])
    old, new = (parts.scorers.label_search.vectors for parts in (before, model.model))
    assert torch.allclose(old, new, atol=1e-6)
    if before.scorers.words is not None and model.model.scorers.words is not None:
        mine, theirs = before.scorers.words.linear, model.model.scorers.words.linear
        assert abs(mine.weights - theirs.weights).max() < 1e-5


def test_a_hidden_label_stays_hidden_when_it_is_renamed(folder: Path) -> None:
    model = opened(folder)
    model.hide([3])
    model.rename_label(3, "the market museum")
    assert 3 not in model.predict(["the market museum"], 24).labels
    assert [label.id for label in model.labels() if label.hidden] == [3]
    assert_same(model, opened(folder))


# names


def test_labels_are_named_by_id_or_by_exact_text(folder: Path) -> None:
    model = opened(folder)
    assert model.hide([np.int64(3), "black castle"]) == [3, 5]


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda m: m.hide(["amber bridg"]), "no label 'amber bridg'; did you mean 'amber bridge'"),
        (lambda m: m.hide([24]), "no label 24; expected an id from 0 to 23; the nearest is 23"),
        (lambda m: m.hide([-1]), "the nearest is 0"),
        (lambda m: m.hide([True]), "a label named True; expected its id or its text"),
        (lambda m: m.hide([1.0]), "a label named 1.0"),
        (lambda m: m.hide([]), "no labels"),
        (lambda m: m.hide("amber bridge"), r"a list of labels; write \['amber bridge'\]"),
        (lambda m: m.hide([1, LABELS[1]]), "label 1 is named twice"),
        (lambda m: m.add_labels([]), "no labels to add"),
        (lambda m: m.add_labels("amber"), r"a list of texts; write \['amber'\]"),
        (lambda m: m.add_labels(["x", " \n"]), r"text 2 is ' \\n'; expected a text"),
        (lambda m: m.add_labels(["x", None]), "text 2 is None"),
        (lambda m: m.add_labels(["x", "x"]), "the text 'x' is given twice"),
        (lambda m: m.add_labels(["amber bridge"]), "label 0 already has the text 'amber bridge'"),
        (lambda m: m.add_labels(["x"], []), "documents of 0 labels for 1 labels"),
        (lambda m: m.add_labels(["x"], ["one"]), "documents of label text 'x' are one text"),
        (lambda m: m.add_labels(["x"], [[""]]), "a document of label text 'x' is ''"),
        (lambda m: m.rename_label(1, "amber bridge"), "label 0 already has the text"),
        (lambda m: m.rename_label("nothing", "x"), "no label 'nothing'"),
    ],
)
def test_mistakes_are_named_and_change_nothing(
    folder: Path, act: Callable[[Dexa], object], message: str
) -> None:
    model = opened(folder)
    with pytest.raises(InputError, match=message):
        act(model)
    assert_same(model, opened(folder))
    assert not (folder / "labels" / "journal.jsonl").exists()


def test_a_text_of_several_labels_names_none(
    tiny_encoder: Path, tiny_dataset: Dataset, tmp_path: Path
) -> None:
    texts = [*LABELS[:22], "twice", "twice"]
    assert tiny_dataset.train is not None
    assert tiny_dataset.train.texts is not None
    model = Dexa(tiny_recipe(tiny_encoder), seed=5, device="cpu")
    model.fit(tiny_dataset.train.texts, tiny_dataset.train.labels, texts)
    with pytest.raises(InputError, match="2 labels have the text 'twice'; name one by its id: 22"):
        model.remove_labels(["twice"])
    model.remove_labels([22])
    assert model.hide(["twice"]) == [23]
    with pytest.raises(InputError, match="label 22 was removed; its id is never given again"):
        model.show([22])


def test_a_model_of_tokens_knows_no_texts(folder: Path) -> None:
    from dataclasses import replace

    model = opened(folder, write_changes=False)
    model._model = replace(model.model, label_texts=None)
    assert model.labels()[3].text == "3"
    model.hide([3])
    model.remove_labels([2])
    with pytest.raises(InputError, match="knows no texts of labels"):
        model.hide(["amber castle"])
    with pytest.raises(InputError, match="trained on token files alone"):
        model.add_labels(["x"])


def test_nothing_can_be_changed_before_there_is_a_model() -> None:
    with pytest.raises(DexaError, match="neither fitted nor loaded"):
        Dexa().add_labels(["x"])


# the folder


def test_changes_are_in_the_folder_at_once(folder: Path) -> None:
    model = opened(folder)
    change_everything(model)
    assert_same(model, opened(folder))
    assert np.isfinite(model.predict(ASKED, 5).scores).all()


def test_many_changes_of_a_kind_are_made_at_once(folder: Path) -> None:
    model = opened(folder)
    for number in range(3):
        model.add_labels([f"the {number} museum"], [["the harbour", f"museum {number}"]])
    for text in ("amber motor", "amber machine"):
        model.rename_label(2, text)
    model.rename_label("the 1 museum", "the harbour museum")
    for label in (4, 7, "the 2 museum"):
        model.remove_labels([label])
    assert_same(model, opened(folder))


def test_saving_makes_one_whole_of_it(folder: Path, tmp_path: Path) -> None:
    model = opened(folder)
    change_everything(model)
    model.save(tmp_path / "other")
    assert not (tmp_path / "other" / "labels").exists()
    assert_same(model, opened(tmp_path / "other"))
    model.save(folder)
    assert not (folder / "labels" / "journal.jsonl").exists()
    assert_same(model, opened(folder))
    assert model.add_labels(["one more"]) == [27]  # and it goes on
    assert_same(model, opened(folder))


def test_changes_can_stay_in_memory(folder: Path) -> None:
    model = opened(folder, write_changes=False)
    change_everything(model)
    assert not (folder / "labels").exists()
    assert len(opened(folder).model.frequency) == 24
    assert model.refresh() == 0


def test_what_was_fitted_is_changed_in_memory(tiny_recipe, tiny_dataset: Dataset) -> None:
    model = Dexa(tiny_recipe, seed=5, device="cpu").fit(tiny_dataset)
    change_everything(model)
    assert [label.text for label in model.labels()[-2:]] == [NEW[1], "violet valley"]


def test_metrics_take_answers_of_changed_labels(folder: Path) -> None:
    model = opened(folder)
    model.add_labels(NEW, CAME)
    top: TopK = model.predict(NEW, 3)
    truth = csr_array((np.ones(2), ([0, 1], [24, 25])), shape=(2, 26))
    assert metrics.precision(top, truth, k=1).tolist() == [1.0]
    assert set(SCORERS) >= set(model.predict_scorers(NEW, 2)) - {FUSION}
