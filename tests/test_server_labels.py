"""Labels that change while a server answers."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="needs the extra serve")

from starlette.testclient import TestClient

from dexa import Dexa
from dexa.server import service
from serving import AUTHORISED, client

NEW = "amber valley station"


@pytest.fixture
def folder(fitted: Dexa, tmp_path: Path) -> Path:
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture
def asking(folder: Path) -> Iterator[TestClient]:
    with client(folder) as made:
        yield made


def add(asking: TestClient, *texts: str, documents: list[list[str]] | None = None) -> list[dict]:
    answer = asking.post(
        "/v1/labels", json={"texts": texts, "documents": documents}, headers=AUTHORISED
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["labels"]


def names(asking: TestClient, text: str, k: int = 5) -> list[str]:
    said = asking.post("/v1/predict", json={"texts": text, "k": k}).json()
    return [tag["text"] for tag in said["answers"][0]["labels"]]


def test_a_new_label_answers_is_found_and_counted(asking: TestClient, folder: Path) -> None:
    assert NEW not in names(asking, NEW)
    assert asking.get("/v1/labels", params={"query": NEW}).json() == {"labels": []}
    assert add(asking, NEW) == [{"id": 24, "text": NEW, "frequency": 0}]
    assert names(asking, NEW)[0] == NEW
    assert asking.get("/v1/labels", params={"query": NEW}).json()["labels"][0]["id"] == 24
    assert asking.get("/v1/model").json()["labels"] == 25
    assert "dexa_labels 25.0" in asking.get("/metrics").text
    assert NEW in [label.text for label in Dexa.load(folder, device="cpu").labels()]


def test_a_label_may_come_with_documents(asking: TestClient) -> None:
    label = add(asking, NEW, documents=[["market meadow", "meadow at the market"]])[0]
    assert label["frequency"] == 2
    question = {"texts": "market meadow", "k": 100, "details": True}
    said = asking.post("/v1/predict", json=question).json()["answers"][0]["labels"]
    scorers = next(tag["scorers"] for tag in said if tag["text"] == NEW)
    assert scorers["classifiers"] > scorers["label_search"]


def test_a_removed_label_never_answers_again(asking: TestClient, folder: Path) -> None:
    gone = names(asking, "amber bridge")[0]
    label = asking.get("/v1/labels", params={"query": gone}).json()["labels"][0]
    answer = asking.delete(f"/v1/labels/{label['id']}", headers=AUTHORISED)
    assert answer.json() == {"labels": [label]}
    assert gone not in names(asking, "amber bridge", k=100)
    places = asking.post("/v1/map", json={"text": "amber bridge", "k": 100}).json()["labels"]
    assert gone not in [place["text"] for place in places]
    assert asking.get("/v1/labels", params={"query": gone}).json() == {"labels": []}
    again = asking.delete(f"/v1/labels/{label['id']}", headers=AUTHORISED)
    assert again.status_code == 404
    assert gone not in [known.text for known in Dexa.load(folder, device="cpu").labels()]


def test_all_labels_may_go(asking: TestClient) -> None:
    for label in range(24):
        assert asking.delete(f"/v1/labels/{label}", headers=AUTHORISED).status_code == 200
    assert names(asking, "amber") == []
    assert asking.post("/v1/map", json={"text": "amber"}).json()["labels"] == []
    assert asking.get("/v1/model").status_code == 200
    add(asking, NEW)
    assert names(asking, "amber") == [NEW]


@pytest.mark.parametrize("path", ["x", "-1", "24", "1.0", "9" * 30, "%31%30%30", "١"])
def test_a_label_that_is_not_there_is_not_removed(asking: TestClient, path: str) -> None:
    assert asking.delete(f"/v1/labels/{path}", headers=AUTHORISED).status_code == 404


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": AUTHORISED["authorization"].replace("Bearer", "Basic")}, 401),
        ({"authorization": AUTHORISED["authorization"] + "x"}, 401),
        ({"authorization": "Bearer \xe9"}, 401),
        ({"authorization": AUTHORISED["authorization"].replace("Bearer", "bearer")}, 201),
    ],
)
def test_only_who_knows_the_token_changes_labels(
    asking: TestClient, header: dict[str, str], status: int
) -> None:
    raw = {name: value.encode("latin-1") for name, value in header.items()}
    answer = asking.post("/v1/labels", json={"texts": [NEW]}, headers=raw)
    assert answer.status_code == status
    assert asking.delete("/v1/labels/3", headers=raw).status_code == (200 if status == 201 else 401)
    if status == 401:
        assert answer.headers["www-authenticate"] == "Bearer"


def test_without_a_token_file_nobody_changes_labels(folder: Path) -> None:
    with client(folder, token=None) as asking:
        answer = asking.post("/v1/labels", json={"texts": [NEW]}, headers=AUTHORISED)
        assert answer.status_code == 403
        assert "--token-file" in answer.json()["error"]
        assert asking.delete("/v1/labels/1").status_code == 403
        assert asking.get("/v1/model").json()["changes"] is False


@pytest.mark.parametrize(
    "body",
    [
        {"texts": []},
        {"texts": [""]},
        {"texts": [" "]},
        {"texts": ["a" * 1001]},
        {"texts": ["amber bridge"]},
        {"texts": ["x y", "x y"]},
        {"texts": ["x y"], "documents": []},
        {"texts": ["x y"], "documents": [["a"] * 101]},
        {"texts": ["x y"], "path": "/etc/passwd"},
    ],
)
def test_labels_that_cannot_be_are_refused_whole(asking: TestClient, body: dict) -> None:
    answer = asking.post("/v1/labels", json=body, headers=AUTHORISED)
    assert answer.status_code == 422
    assert answer.json()["error"]
    assert asking.get("/v1/model").json()["labels"] == 24


def test_changes_by_others_are_taken_up(
    asking: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_FOLLOW_SECONDS", 0.02)
    Dexa.load(folder, device="cpu").add_labels([NEW])
    until = time.monotonic() + 60  # a busy machine takes its time to read the folder
    while time.monotonic() < until:
        if names(asking, NEW)[0] == NEW:
            return
        time.sleep(0.05)
    raise AssertionError("the other's label does not answer")


def test_a_replaced_model_is_not_changed_by_mistake(
    asking: TestClient, folder: Path, fitted: Dexa
) -> None:
    other = Dexa.load(folder, device="cpu")
    other.add_labels(["crimson meadow"])
    other.save(folder)
    answer = asking.post("/v1/labels", json={"texts": [NEW]}, headers=AUTHORISED)
    assert answer.status_code == 409
    assert str(folder) not in answer.text
    assert names(asking, "amber bridge")


def test_changes_and_questions_do_not_disturb_each_other(asking: TestClient) -> None:
    def change(number: int) -> None:
        add(asking, f"{NEW} {number}")

    def ask(number: int) -> None:
        said = asking.post("/v1/predict", json={"texts": NEW, "k": 100, "details": True})
        assert said.status_code == 200
        assert len(said.json()["answers"][0]["labels"]) >= 24

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(change if n % 4 == 0 else ask, n) for n in range(80)]:
            done.result()
    assert asking.get("/v1/model").json()["labels"] == 24 + 20
