# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import copy
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array, load_npz

from dexa import metrics
from dexa.data import Split, load_dataset
from dexa.errors import DeviceError, InputError, MissingFileError, ModelFolderError, RecipeError
from dexa.recipe import Recipe
from dexa.research_code import (
    Place,
    RunRequest,
    prepare_data,
    recipe_from_config,
    results_from_config,
    run,
)
from dexa.research_code.__main__ import main
from dexa.research_code.config import ResultsChoice, hub_name
from dexa.research_code.log import LOG, LogProgress, log_file
from dexa.research_code.results import RunFacts, evaluation_text, write_predictions
from dexa.types import NO_LABEL, TopK
from tiny import LABELS, write_dataset, write_encoder

ROOT = Path(__file__).parent.parent

# Every key that a published configuration of DEXA has.
PUBLISHED: dict[str, Any] = {
    "global": {
        "A": 0.6,
        "arch": "STransformer",
        "aux_num_hlp_vectors": 1000,
        "aux_num_vectors": 66536,
        "B": 2.6,
        "beta": 1.0,
        "dataset": "LF-AmazonTitles-131K",
        "embedding_dims": 768,
        "encoder_name": "msmarco-distilbert-base-v4",
        "eval_method": "score_fusion",
        "feature_type": "sequential",
        "lbl_feat_fname": "lbl_input_ids.npy,lbl_attention_mask.npy",
        "max_length": 32,
        "num_labels": 131073,
        "num_points": 294805,
        "save_predictions": True,
        "share_weights": True,
        "surrogate_method": 1,
        "top_k": 200,
        "trn_feat_fname": "trn_doc_input_ids.npy,trn_doc_attention_mask.npy",
        "trn_filter_fname": "filter_labels_train.txt",
        "trn_label_fname": "trn_X_Y.txt",
        "tst_feat_fname": "tst_doc_input_ids.npy,tst_doc_attention_mask.npy",
        "tst_filter_fname": None,
        "tst_label_fname": "tst_X_Y.txt",
        "val_feat_fname": "tst_doc_input_ids.npy,tst_doc_attention_mask.npy",
        "val_filter_fname": "filter_labels_test.txt",
        "val_label_fname": "tst_X_Y.txt",
    },
    "siamese": {
        "batch_size": 1600,
        "batch_type": "doc",
        "inference_method": None,
        "init": "auto",
        "learning_rate": 0.0002,
        "loss": "triplet_margin_ohnm",
        "loss_agressive": True,
        "loss_num_negatives": 10,
        "loss_num_positives": 1,
        "margin": 0.3,
        "metric": "cosine",
        "model_type": "siamese",
        "network_type": "siamese",
        "normalize": True,
        "num_epochs": 300,
        "optim": "AdamW",
        "sampling_asynchronous": True,
        "sampling_curr_epochs": [10, 25, 50, 75, 100, 125, 150, 200],
        "sampling_init_cluster_size": 4,
        "sampling_refresh_interval": 5,
        "sampling_threads": 8,
        "sampling_type": "implicit",
        "save_intermediate": True,
        "use_amp": True,
        "validate": True,
        "validate_after": 50,
        "warmup_steps": 100,
        "weight_decay": 0.01,
    },
    "extreme": {
        "ann_method": "hnswlib",
        "ann_threads": 12,
        "batch_size": 2048,
        "batch_type": "doc",
        "beta": 0.5,
        "efC": 300,
        "efS": 300,
        "freeze_encoder": True,
        "inference_method": "dual_mips",
        "init": "intermediate",
        "learning_rate": 0.001,
        "loss": "triplet_margin_ohnm",
        "loss_agressive": True,
        "loss_num_negatives": 5,
        "loss_num_positives": 3,
        "M": 100,
        "margin": 0.2,
        "model_type": "xc",
        "network_type": "xc",
        "normalize": True,
        "num_centroids": 1,
        "num_epochs": 100,
        "num_nbrs": 300,
        "optim": "Adam",
        "sampling_curr_epochs": [20, 1000],
        "sampling_init_cluster_size": 32,
        "sampling_refresh_interval": 5,
        "sampling_type": "implicit",
        "save_intermediate": False,
        "surrogate_mapping": None,
        "use_amp": False,
        "validate": True,
        "validate_after": 25,
        "warmup_steps": 500,
    },
}


def changed(section: str, **values: Any) -> dict[str, Any]:
    config = copy.deepcopy(PUBLISHED)
    config[section] |= values
    return config


# configurations


def test_published_values_are_taken_as_they_are() -> None:
    recipe, _ = recipe_from_config(PUBLISHED, "DEXA")
    assert recipe == Recipe.from_json(
        {
            "name": "dexa",
            "encoder": {
                "name": "sentence-transformers/msmarco-distilbert-base-v4",
                "max_length": 32,
            },
            "auxiliary": {"shared_vectors": 65536, "head_labels": 1000},
            "encoder_stage": {
                "epochs": 300,
                "batch_size": 1600,
                "learning_rate": 2e-4,
                "warmup_steps": 100,
                "weight_decay": 0.01,
                "margin": 0.3,
                "negatives": 10,
                "cluster_size": 4,
                "cluster_from": 10,
                "cluster_every": 5,
                "curriculum": [10, 25, 50, 75, 100, 125, 150, 200],
                "validations": 6,
            },
            "classifier_stage": {
                "epochs": 100,
                "batch_size": 2048,
                "learning_rate": 1e-3,
                "warmup_steps": 500,
                "margin": 0.2,
                "positives": 3,
                "negatives": 5,
                "cluster_size": 32,
                "cluster_every": 5,
                "curriculum": [20, 1000],
            },
            "fusion": {"candidates": 300, "beta": 1.0},
        }
    )


def another(value: Any) -> Any:
    """A value of the same kind that a recipe could hold."""
    if value is None or isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return 2 * value
    return [7] if isinstance(value, list) else "minilm"


def test_every_key_either_counts_or_is_explained() -> None:
    recipe, lines = recipe_from_config(PUBLISHED, "DEXA")
    explained = [line.partition(" = ")[0] for line in lines]
    assert len(set(explained)) == len(explained)
    assert not [line for line in lines if "unknown" in line or "another section" in line]
    for section, keys in PUBLISHED.items():
        for key, value in keys.items():
            name = f"{section}.{key}"
            if name in {"global.arch", "global.A", "global.B", "global.top_k"}:
                assert name not in explained
                continue
            config = changed(section, **{key: another(value)})
            same = recipe_from_config(config, "DEXA")[0] == recipe
            assert same == (name in explained), name
    assert "global.num_points = 294805: counted from the data" in lines
    assert any(line.startswith("extreme.beta = 0.5: the fusion's weight") for line in lines)


def test_our_configurations_waste_no_key() -> None:
    paths = sorted((ROOT / "configs").glob("*/*.json"))
    assert len(paths) >= 3
    for path in paths:
        config = json.loads(path.read_text())
        assert recipe_from_config(config, path.parent.name)[1] == [], path
        assert results_from_config(config, path.stem).kept == 200
    published = json.loads((ROOT / "configs/DEXA/LF-AmazonTitles-131K.json").read_text())
    assert recipe_from_config(published, "DEXA")[0] == recipe_from_config(PUBLISHED, "DEXA")[0]


def test_ngame_has_no_auxiliary_vectors() -> None:
    recipe, lines = recipe_from_config(PUBLISHED, "NGAME")
    assert recipe.name == "ngame"
    assert recipe.auxiliary.shared_vectors == recipe.auxiliary.head_labels == 0
    assert "global.aux_num_vectors = 66536: the method has no auxiliary vectors" in lines
    assert "global.aux_num_hlp_vectors = 1000: the method has no auxiliary vectors" in lines


def test_a_stage_inherits_from_the_sections_before_it() -> None:
    config = copy.deepcopy(PUBLISHED)
    for key in ("batch_size", "sampling_init_cluster_size"):
        del config["extreme"][key]
    config["global"] |= {"margin": 0.9, "num_nbrs": 7}
    recipe, lines = recipe_from_config(config, "DEXA")
    assert recipe.classifier_stage.batch_size == 1600
    assert recipe.classifier_stage.cluster_size == 4
    assert recipe.fusion.candidates == 300
    assert "global.margin = 0.9: another section says it" in lines
    assert "global.num_nbrs = 7: another section says it" in lines
    del config["extreme"]["num_nbrs"]
    assert recipe_from_config(config, "DEXA")[0].fusion.candidates == 7


def test_older_and_left_out_keys() -> None:
    config = copy.deepcopy(PUBLISHED)
    del config["global"]["aux_num_vectors"], config["global"]["aux_num_hlp_vectors"]
    config["global"]["num_aux_vectors"] = 65536
    recipe, _ = recipe_from_config(config, "DEXA")
    assert (recipe.auxiliary.shared_vectors, recipe.auxiliary.head_labels) == (65536, 0)
    del config["global"]["num_aux_vectors"]
    recipe, lines = recipe_from_config({"global": {}, "siamese": {}, "extreme": {}}, "DEXA")
    assert lines == []
    assert recipe.auxiliary.shared_vectors is None and recipe.encoder_stage.epochs is None


def test_validation_can_be_switched_off() -> None:
    recipe, _ = recipe_from_config(changed("siamese", validate=False), "DEXA")
    assert recipe.encoder_stage.validations == 0
    recipe, _ = recipe_from_config(changed("siamese", validate_after=301), "DEXA")
    assert recipe.encoder_stage.validations == 1


def test_unknown_keys_are_named() -> None:
    config = changed("siamese", learning_rat=1, entirely_new=[1]) | {"ensemble": {}}
    lines = recipe_from_config(config, "DEXA")[1]
    assert "siamese.learning_rat = 1: unknown key; did you mean 'learning_rate'?" in lines
    assert "siamese.entirely_new = [1]: unknown key" in lines
    assert "ensemble: unknown section" in lines


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("siamese", "num_epochs", "300", 'siamese.num_epochs is "300"; expected a whole number'),
        ("siamese", "num_epochs", 1.5, "siamese.num_epochs is 1.5"),
        ("siamese", "learning_rate", True, "siamese.learning_rate is true; expected a number"),
        ("siamese", "margin", -1, "siamese.margin is -1"),
        ("siamese", "sampling_curr_epochs", 10, "expected a list of whole numbers"),
        ("siamese", "sampling_curr_epochs", ["10"], "siamese.sampling_curr_epochs is"),
        ("siamese", "validate", 1, "siamese.validate is 1; expected true or false"),
        ("siamese", "validate_after", 0, "siamese.validate_after is 0; expected a whole number"),
        ("extreme", "batch_size", None, None),
        ("extreme", "num_nbrs", 0, "extreme.num_nbrs is 0"),
        ("global", "beta", "1", 'global.beta is "1"'),
        ("global", "encoder_name", 7, "global.encoder_name is 7; expected a text"),
        ("global", "aux_num_vectors", 999, "at least the 1000 of global.aux_num_hlp_vectors"),
        ("global", "aux_num_vectors", "many", 'global.aux_num_vectors is "many"'),
        ("global", "aux_num_hlp_vectors", -1, "global.aux_num_hlp_vectors is -1"),
    ],
)
def test_values_that_cannot_be(section: str, key: str, value: Any, message: str | None) -> None:
    config = changed(section, **{key: value})
    if message is None:
        assert recipe_from_config(config, "DEXA")[0].classifier_stage.batch_size is None
        return
    with pytest.raises(RecipeError) as caught:
        recipe_from_config(config, "DEXA", path=Path("a.json"))
    assert message in str(caught.value) and "a.json" in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [[], {}, {"global": {}, "siamese": {}}, {"global": {}, "siamese": [], "extreme": {}}],
)
def test_sections_must_be_there(config: Any) -> None:
    with pytest.raises(RecipeError, match="no section"):
        recipe_from_config(config, "DEXA")


def test_methods_are_named() -> None:
    with pytest.raises(RecipeError, match="DeepXML-OVA or DeepXML-ANNS"):
        recipe_from_config(PUBLISHED, "Parabel")


def test_what_a_configuration_says_of_results() -> None:
    assert results_from_config(PUBLISHED, "any") == ResultsChoice(
        arch="STransformer", a=0.6, b=2.6, kept=200
    )
    empty = {"global": {}, "siamese": {}, "extreme": {}}
    assert results_from_config(empty, "LF-Wikipedia-500K") == ResultsChoice(
        arch="STransformer", a=0.5, b=0.4, kept=200
    )
    for key, value in {"arch": "a/b", "A": "x", "B": -1, "top_k": 0}.items():
        with pytest.raises(RecipeError, match=rf"global\.{key} is"):
            results_from_config(changed("global", **{key: value}), "any")


def test_bare_names_are_of_sentence_transformers(tmp_path: Path) -> None:
    assert hub_name("msmarco-distilbert-base-v4").startswith("sentence-transformers/")
    for name in ("minilm", "bag", "bag:minilm", "owner/model", str(tmp_path)):
        assert hub_name(name) == name


# results


def answers(*rows: list[tuple[int, float]]) -> TopK:
    labels = np.full((len(rows), 3), NO_LABEL)
    scores = np.full((len(rows), 3), -np.inf, np.float32)
    for i, row in enumerate(rows):
        for j, (label, score) in enumerate(row):
            labels[i, j], scores[i, j] = label, score
    return TopK(labels=labels, scores=scores)


PREDICTIONS = {
    "label_search": answers([(0, 0.9), (2, 0.5), (1, -0.25)], [(1, 0.8), (3, 0.0)]),
    "classifiers": answers([(2, 0.9)], [(3, 0.7), (1, 0.6), (0, 0.5)]),
    "fusion": answers([(0, 1.9), (2, 1.5), (1, 1.0)], [(3, 1.9), (1, 0.5)]),
}
TEST = Split(
    labels=csr_array(np.array([[0, 0, 1, 0], [0, 1, 0, 1]], np.float32)),
    texts=["a", "b"],
    filter_pairs=np.array([[0, 0]]),
)
TRAIN = csr_array(np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 0, 1]], np.float32))


def test_prediction_files(tmp_path: Path) -> None:
    write_predictions(tmp_path, PREDICTIONS, TEST.filter_pairs, 4, kept=1)
    knn = load_npz(tmp_path / "tst_predictions_knn.npz")
    assert knn.format == "csr" and knn.dtype == np.float32 and knn.shape == (2, 4)
    assert knn.toarray().ravel().tolist() == pytest.approx([0.9, -0.25, 0.5, 0, 0, 0.8, 0, 0])
    assert knn.nnz == 5  # a score of 0 is an answer
    assert load_npz(tmp_path / "tst_predictions_clf.npz").nnz == 4
    score = load_npz(tmp_path / "score.npz").toarray()
    assert score.tolist() == [[0, 0, 1.5, 0], [0, 0, 0, np.float32(1.9)]]  # filtered, then cut
    with np.load(tmp_path / "score.npz") as stored:
        assert stored["data"].nbytes == 8  # as it lies in the file, uncompressed


def test_evaluation_text() -> None:
    choice = ResultsChoice(arch="x", a=0.55, b=1.5, kept=1)
    facts = RunFacts(train_seconds=12.345, model_megabytes=6.7, milliseconds=0.089)
    text = evaluation_text(PREDICTIONS, TEST, TRAIN, choice, facts)
    lines = text.splitlines()
    assert [lines[i] for i in (0, 5, 10)] == ["classifier", "shortlist", "fusion"]
    # documents 0 and 1 have labels {2} and {1, 3}; the pair (0, 0) is filtered
    assert lines[1] == "100.00,75.00,50.00,37.50,30.00"  # classifiers: 2 | 3 1 0
    assert lines[6] == "100.00,75.00,50.00,37.50,30.00"  # label search: 2 1 | 1 3
    weights = metrics.inverse_propensity(TRAIN, 0.55, 1.5)
    filtered = metrics.drop_pairs(PREDICTIONS["fusion"], TEST.filter_pairs)
    for line, values in zip(
        lines[11:15],
        [
            metrics.precision(filtered, TEST.labels, 5),
            metrics.ndcg(filtered, TEST.labels, 5),
            metrics.psp(filtered, TEST.labels, weights, 5),
            metrics.psndcg(filtered, TEST.labels, weights, 5),
        ],
        strict=True,
    ):
        assert line == ",".join(f"{100 * value:.2f}" for value in values)
    assert text.endswith(
        "\n\n"
        "------------------------------\n"
        "Training time (sec): 12.35\n"
        "Model size (MB): 6.70\n"
        "Avg. Prediction time (msec): 0.09\n"
        "------------------------------\n\n\n"
    )


def test_the_log_goes_to_a_file_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("dexa.research_code.log._QUIET_SECONDS", 0.0)
    caplog.set_level(logging.INFO, LOG.name)
    with log_file(tmp_path / "log.txt"):
        progress = LogProgress()
        progress.begin("outer", 2)
        progress.begin("inner", 3)
        progress.advance(1, "epoch 1")
        progress.end()
        progress.note("a 100 % note")
        progress.end()
    LOG.info("after")
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert lines[0] == "inner: 1 of 3 epoch 1"
    assert lines[1].startswith("inner: 3 in 0.") and lines[1].endswith("sec")
    assert lines[2] == "a 100 % note" and lines[3].startswith("outer: 2 in")
    assert len(lines) == 4


# folders and commands


def test_the_work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "programs" / "anything"
    monkeypatch.setenv("DEXA_WORK_DIR", "/elsewhere")
    assert Place.of(program).work_dir == tmp_path
    assert Place.of(tmp_path).work_dir == Path("/elsewhere")
    monkeypatch.delenv("DEXA_WORK_DIR")
    assert Place.of(tmp_path).work_dir == Path()


def test_missing_data_and_configurations_are_named(tmp_path: Path) -> None:
    place = Place(work_dir=tmp_path, program=tmp_path / "program")
    with pytest.raises(MissingFileError, match=r"<work_dir>/data/NoSuchSet"):
        prepare_data(place, "NoSuchSet", 32)
    request = RunRequest(gpu=-1, method="DEXA", dataset="NoSuchSet", version="0", seed=1)
    with pytest.raises(MissingFileError, match="no configuration of DEXA for NoSuchSet"):
        run(place, request)
    config = tmp_path / "configs" / "DEXA" / "NoSuchSet.json"
    config.parent.mkdir(parents=True)
    config.write_text("{}")
    assert place.config("DEXA", "NoSuchSet") == config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "0", "Parabel", "d", "0", "1"], "choose from DEXA, DEXA++, NGAME"),
        (["run", "0,1", "DEXA", "d", "0", "1"], "neither the id of one GPU nor -1"),
        (["run", "-2", "DEXA", "d", "0", "1"], "neither the id of one GPU nor -1"),
        (["run", "0", "DEXA", "../d", "0", "1"], "not a name without slashes"),
        (["run", "0", "DEXA", "d", "0", "x"], "not a whole number"),
        (["run", "0", "DEXA", "d", "0"], "required: seed"),
        (["prepare", "d", "long"], "invalid int value"),
        ([], "required: command"),
    ],
)
def test_wrong_arguments(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err.replace("'", "")


TINY_CONFIG: dict[str, Any] = {
    "global": {"arch": "Tiny", "max_length": 10, "aux_num_vectors": 10, "aux_num_hlp_vectors": 2},
    "siamese": {
        "num_epochs": 2,
        "batch_size": 16,
        "learning_rate": 0.001,
        "warmup_steps": 1,
        "sampling_curr_epochs": [1],
        "metric": "cosine",
    },
    "extreme": {"num_epochs": 1, "batch_size": 16, "warmup_steps": 1, "num_nbrs": 300},
}


@pytest.fixture(scope="module")
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder as the research code's page describes it, commands under ``programs``."""
    folder = tmp_path_factory.mktemp("work")
    program = folder / "programs" / "dexa"
    program.mkdir(parents=True)
    for name in ("prepare_data.sh", "run_main.sh"):
        shutil.copy(ROOT / name, program / name)
    for dataset in ("TinyTitles", "OtherTitles"):
        write_dataset(folder / "data" / dataset, train=40, test=10)
    encoder = write_encoder(folder / "encoder")
    config = copy.deepcopy(TINY_CONFIG)
    config["global"]["encoder_name"] = str(encoder)
    for method in ("DEXA", "NGAME"):
        configs = program / "configs" / method
        configs.mkdir(parents=True)
        for dataset in ("TinyTitles", "OtherTitles"):
            (configs / f"{dataset}.json").write_text(json.dumps(config))
    return folder


def call(work_dir: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call a command from a folder that has nothing to do with it."""
    return subprocess.run(
        [work_dir / "programs" / "dexa" / script, *arguments],
        cwd=work_dir.parent,
        env=os.environ | {"DEXA_PYTHON": sys.executable},
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )


def test_the_shell_contract_from_end_to_end(work_dir: Path) -> None:
    prepared = call(work_dir, "prepare_data.sh", "TinyTitles", "10")
    assert prepared.returncode == 0, prepared.stderr
    data = work_dir / "data" / "TinyTitles"
    assert np.load(data / "trn_doc_input_ids.npy").shape == (40, 10)
    assert json.loads((data / "dataset.json").read_text())["fields"] == ["title"]

    done = call(work_dir, "run_main.sh", "-1", "DEXA", "TinyTitles", "v7", "108")
    assert done.returncode == 0, done.stderr
    assert 'no effect: siamese.metric = "cosine": similarity is always the cosine' in done.stdout
    run_name = Path("DEXA", "Tiny", "TinyTitles", "v_v7_108")
    assert (work_dir / "models" / run_name / "model.json").is_file()
    assert not (work_dir / "models" / run_name.parent / "v_v7_108.checkpoints").exists()
    results = work_dir / "results" / run_name
    for name in ("tst_predictions_knn", "tst_predictions_clf", "score"):
        assert load_npz(results / f"{name}.npz").shape == (10, len(LABELS))
    blocks = (results / "log_eval.txt").read_text().splitlines()
    assert [blocks[i] for i in (0, 5, 10)] == ["classifier", "shortlist", "fusion"]
    assert "encoder_stage epoch: 2, loss: " in (results / "log_train.txt").read_text()


@pytest.mark.parametrize("script", ["prepare_data.sh", "run_main.sh"])
def test_the_shell_commands_choose_their_python(script: str, tmp_path: Path) -> None:
    program = tmp_path / "a folder"
    program.mkdir()
    shutil.copy(ROOT / script, program)

    def chosen(**environment: str) -> str:
        call = subprocess.run(
            [program / script, "a b", "2"], env=environment, text=True, capture_output=True
        )
        return call.stdout

    def fake(path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('#!/bin/sh\nprintf "%s|" "$0" "$@"\n')
        path.chmod(0o755)
        return path

    command = "prepare" if script == "prepare_data.sh" else "run"
    told = f"|-m|dexa.research_code|--program|{program}|{command}|a b|2|"
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    system = fake(tmp_path / "bin" / "python3")
    assert chosen(PATH=path) == f"{system}{told}"
    installed = fake(program / ".venv" / "bin" / "python")
    assert chosen(PATH=path) == f"{installed}{told}"
    own = fake(tmp_path / "bin" / "own-python")
    assert chosen(PATH=path, DEXA_PYTHON="own-python") == f"{own}{told}"


def test_preparing_takes_the_configured_encoder(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    program = work_dir / "programs" / "dexa"
    (program / "configs" / "DEXA" / "OtherTitles.json").unlink()  # NGAME's says it as well
    assert main(["--program", str(program), "prepare", "OtherTitles", "7"]) == 0
    assert f"tokenizer of {work_dir / 'encoder'}, texts of up to 7 tokens" in caplog.text
    shutil.copytree(work_dir / "data" / "OtherTitles", work_dir / "data" / "Unconfigured")
    place = Place.of(program)
    facts = prepare_data(place, "Unconfigured", 7)
    assert facts["tokenizer"]["encoder"] == "minilm"
    assert facts["fields"] == ["title", "content"]


def test_a_run_can_be_told_another_encoder(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOG.name)
    place = Place.of(work_dir / "programs" / "dexa")
    encoder = shutil.copytree(work_dir / "encoder", work_dir / "copy")
    monkeypatch.setenv("DEXA_ENCODER", str(encoder))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    request = RunRequest(gpu=-1, method="NGAME", dataset="OtherTitles", version="0", seed=3)
    results = run(place, request)
    assert results == work_dir / "results" / "NGAME" / "Tiny" / "OtherTitles" / "v_0_3"
    assert f"encoder {encoder} of DEXA_ENCODER" in caplog.text
    knn = load_npz(results / "tst_predictions_knn.npz")
    assert (np.abs(knn.data) <= 1 + 1e-5).all()  # cosines
    assert (np.diff(knn.indptr) == len(LABELS)).all()  # asked for 300 of 24
    # the filter takes the pair (0, 0) from the fused answers alone
    assert 0 in knn[[0]].indices and 0 not in load_npz(results / "score.npz")[[0]].indices


def test_checkpoints_of_another_run_are_named(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ModelFolderError("these checkpoints are of another run", do="start without --resume")

    monkeypatch.setattr("dexa.estimator.Dexa.fit", refuse)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    request = RunRequest(gpu=-1, method="DEXA", dataset="TinyTitles", version="1", seed=3)
    with pytest.raises(ModelFolderError, match=r"delete .*v_1_3\.checkpoints, or give the run"):
        run(Place.of(work_dir / "programs" / "dexa"), request)


def test_an_interrupted_command_says_how_to_go_on(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dexa.research_code.__main__.run", interrupt)
    assert main(["run", "-1", "DEXA", "TinyTitles", "0", "1"]) == 1
    assert "goes on from the last checkpoint" in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_said(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    place = Place.of(work_dir / "programs" / "dexa")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    request = RunRequest(gpu=3, method="DEXA", dataset="TinyTitles", version="gpu", seed=1)
    with pytest.raises(DeviceError):
        run(place, request)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    program = str(work_dir / "programs" / "dexa")
    assert main(["--program", program, "run", "3", "DEXA", "TinyTitles", "gpu", "1"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_test_split_is_needed(work_dir: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(work_dir / "data" / "TinyTitles", tmp_path / "data/TinyTitles"))
    (copied / "tst.json.gz").unlink()
    assert load_dataset(copied).test is None
    place = Place(work_dir=tmp_path, program=work_dir / "programs" / "dexa")
    request = RunRequest(gpu=-1, method="DEXA", dataset="TinyTitles", version="0", seed=1)
    with pytest.raises(InputError, match="documents to test on"):
        run(place, request)


@pytest.mark.parametrize("method", ["SiameseXML", "DeepXML"])
def test_the_line_runs_by_its_types(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """DeepXML's configurations call the encoder stage ``surrogate``."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    stage = {"SiameseXML": "siamese", "DeepXML": "surrogate"}[method]
    encoder = f"sparse:{work_dir / 'encoder'}"
    config = {
        "global": {"encoder_name": encoder, "arch": "Astec"},
        stage: {"num_epochs": 1, "batch_size": 16},
        "extreme": {"num_epochs": 1, "batch_size": 16, "num_nbrs": 5},
    }
    path = work_dir / "configs" / method / "TinyTitles.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config))
    request = RunRequest(gpu=-1, method=method, dataset="TinyTitles", version="0", seed=3)
    results = run(Place.of(work_dir / "programs" / "dexa"), request)
    assert results == work_dir / "results" / method / "Astec" / "TinyTitles" / "v_0_3"
    assert load_npz(results / "score.npz").shape[1] == len(LABELS)
    recipe, _ = recipe_from_config(config, method)
    assert (recipe.shortlist.length, recipe.encoder_stage.epochs) == (5, 1)
