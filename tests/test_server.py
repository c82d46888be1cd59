"""What the server answers, and what it refuses."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs the extra serve")

from starlette.testclient import TestClient

from dexa import Dataset, Dexa, recipes
from dexa.errors import InputError, MissingFileError
from dexa.server import Settings, is_loopback, read_token
from dexa.server.guard import HEADERS
from dexa.server.messages import BODY_BYTES
from dexa.types import TopK
from hostile import statuses
from serving import client
from tiny import LABELS

TEXTS = ["amber bridge at the market", "green engine", "violet flower and black castle"]
JSON_BODY = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def folder(fitted: Dexa, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "model"
    fitted.save(path)
    return path


@pytest.fixture(scope="module")
def asking(folder: Path) -> Iterator[TestClient]:
    """A server whose labels nobody changes."""
    with client(folder) as made:
        yield made


def test_a_model_without_an_encoder_is_served(tiny_dataset: Dataset, tmp_path: Path) -> None:
    model = Dexa(recipes.bm25(), seed=3, device="cpu").fit(tiny_dataset)
    model.save(tmp_path / "model")
    with client(tmp_path / "model") as asking:
        assert asking.get("/v1/model").json()["dimensions"] == 0
        said = asking.post("/v1/predict", json={"texts": TEXTS, "k": 2, "details": True}).json()
        for answer, labels in zip(said["answers"], model.predict(TEXTS, 2).labels, strict=True):
            assert [tag["id"] for tag in answer["labels"]] == labels.tolist()
            assert [tag["scorers"] for tag in answer["labels"]] == [
                {"bm25": tag["score"]} for tag in answer["labels"]
            ]
        why = asking.post("/v1/explain", json={"text": TEXTS[0], "label": 0}).json()
        assert why["label_text_part"] is None
        for path, body in {"encode": {"texts": TEXTS}, "map": {"text": TEXTS[0]}}.items():
            refused = asking.post(f"/v1/{path}", json=body)
            assert refused.status_code == 422
            assert "no encoder" in refused.json()["error"]


def test_answers_are_those_of_python(asking: TestClient, fitted: Dexa) -> None:
    said = asking.post("/v1/predict", json={"texts": TEXTS, "k": 4}).json()
    top = fitted.predict(TEXTS, 4)
    for answer, labels, scores in zip(said["answers"], top.labels, top.scores, strict=True):
        assert [tag["id"] for tag in answer["labels"]] == labels.tolist()
        np.testing.assert_allclose([tag["score"] for tag in answer["labels"]], scores, atol=1e-5)
        assert [tag["text"] for tag in answer["labels"]] == [LABELS[label] for label in labels]


def test_one_text_is_answered_like_a_list_of_one(asking: TestClient) -> None:
    one, several = (
        asking.post("/v1/predict", json={"texts": texts}).json()["answers"]
        for texts in (TEXTS[0], TEXTS[:1])
    )
    assert one == several
    assert len(one[0]["labels"]) == 5


def test_details_are_the_scores_of_all_scorers(asking: TestClient, fitted: Dexa) -> None:
    said = asking.post("/v1/predict", json={"texts": TEXTS, "k": 24, "details": True}).json()
    scorers = fitted.predict_scorers(TEXTS, 24)
    for row, answer in enumerate(said["answers"]):
        for name in ("label_search", "classifiers"):
            top = scorers[name]
            own = dict(zip(top.labels[row].tolist(), top.scores[row].tolist(), strict=True))
            for tag in answer["labels"]:
                assert tag["scorers"][name] == pytest.approx(own[tag["id"]], abs=1e-4)
                assert tag["frequency"] == fitted.model.frequency[tag["id"]]


def test_answers_have_probabilities_and_may_be_none_at_all(
    asking: TestClient, fitted: Dexa
) -> None:
    top = fitted.predict(TEXTS, 24)
    assert top.probabilities is not None
    said = asking.post("/v1/predict", json={"texts": TEXTS, "k": 24}).json()["answers"]
    for answer, chances in zip(said, top.probabilities, strict=True):
        found = [tag["probability"] for tag in answer["labels"]]
        np.testing.assert_allclose(found, chances, atol=1e-5)
    middle = float(np.median(top.probabilities))
    question = {"texts": TEXTS, "k": 24, "threshold": middle}
    for answer, chances in zip(
        asking.post("/v1/predict", json=question).json()["answers"], top.probabilities, strict=True
    ):
        assert len(answer["labels"]) == (chances >= middle).sum()
    none = asking.post("/v1/predict", json={"texts": "a", "threshold": 1.0}).json()["answers"]
    assert none == [{"labels": []}]


def test_only_chosen_labels_answer(asking: TestClient) -> None:
    question = {"texts": TEXTS, "k": 5, "labels": [7, 3, 3, 11]}
    for answer in asking.post("/v1/predict", json=question).json()["answers"]:
        assert sorted(tag["id"] for tag in answer["labels"]) == [3, 7, 11]
    refused = asking.post("/v1/predict", json={"texts": "a", "labels": [24]})
    assert refused.status_code == 422
    assert "24" in refused.json()["error"]


def test_a_model_that_is_not_calibrated_takes_no_threshold(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = Dexa.predict

    def without(self: Dexa, *arguments: Any, **options: Any) -> TopK:
        return replace(predict(self, *arguments, **options), probabilities=None)

    monkeypatch.setattr(Dexa, "predict", without)
    with client(folder) as asking:
        answer = asking.post("/v1/predict", json={"texts": "amber", "threshold": 0.5})
        assert answer.status_code == 422
        assert "probabilities" in answer.json()["error"]
        said = asking.post("/v1/predict", json={"texts": "amber"}).json()["answers"][0]["labels"]
        assert all("probability" not in tag for tag in said)


def test_a_score_is_explained(asking: TestClient, fitted: Dexa) -> None:
    said = asking.post("/v1/explain", json={"text": TEXTS[0], "label": 3})
    assert said.json() == json.loads(json.dumps(fitted.explain(TEXTS[0], 3).to_json()))
    assert asking.post("/v1/explain", json={"text": "a", "label": 24}).status_code == 404


def test_more_answers_than_labels_are_all_labels(asking: TestClient) -> None:
    said = asking.post("/v1/predict", json={"texts": "amber", "k": 1000, "details": True}).json()
    assert sorted(tag["id"] for tag in said["answers"][0]["labels"]) == list(range(24))


@pytest.mark.parametrize("side", ["document", "label"])
def test_vectors_are_those_of_python(asking: TestClient, fitted: Dexa, side: Any) -> None:
    texts = [LABELS[3], "green"]
    said = asking.post("/v1/encode", json={"texts": texts, "side": side}).json()
    np.testing.assert_allclose(said["vectors"], fitted.encode(texts, side=side), atol=1e-6)


def test_labels_are_found_by_a_piece_of_their_text(asking: TestClient) -> None:
    found = asking.get("/v1/labels", params={"query": "BRIDGE", "limit": 100}).json()["labels"]
    assert sorted(label["text"] for label in found) == [t for t in sorted(LABELS) if "bridge" in t]
    assert [label["frequency"] for label in found] == sorted(
        (label["frequency"] for label in found), reverse=True
    )
    first = asking.get("/v1/labels", params={"query": "amber", "limit": 1}).json()["labels"]
    assert first[0]["text"].startswith("amber")
    whole = asking.get("/v1/labels", params={"query": " ivory  castle"}).json()["labels"]
    assert [label["text"] for label in whole] == ["ivory castle"]
    assert asking.get("/v1/labels", params={"query": "x\ny"}).json() == {"labels": []}


@pytest.mark.parametrize(
    "query", ["query=", "", f"query={'a' * 201}", "query=a&limit=0", "query=a&limit=x"]
)
def test_a_search_that_cannot_be_is_refused(asking: TestClient, query: str) -> None:
    assert asking.get(f"/v1/labels?{query}").status_code == 422


def test_the_map_has_the_nearest_labels_in_a_square(asking: TestClient, fitted: Dexa) -> None:
    said = asking.post("/v1/map", json={"text": TEXTS[0], "k": 6}).json()
    near = fitted.predict_scorers(TEXTS[:1], 6)["label_search"]
    assert [label["id"] for label in said["labels"]] == near.labels[0].tolist()
    places = np.array([said["text"], *([label["x"], label["y"]] for label in said["labels"])])
    np.testing.assert_allclose(places.max(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(places.min(axis=0), -1, atol=1e-6)


def test_the_model_is_described(asking: TestClient, fitted: Dexa) -> None:
    said = asking.get("/v1/model").json()
    assert (said["labels"], said["recipe"], said["changes"]) == (24, "dexa", True)
    assert said["encoder"] == "bag"  # not the path it was made from
    assert set(said["examples"]) <= set(LABELS)
    counts = np.sort(fitted.model.frequency)[::-1]
    head = counts[counts >= said["head"]].sum()
    assert head >= counts.sum() / 2 > counts[counts > said["head"]].sum()


def test_it_lives_and_is_ready_and_counts(asking: TestClient) -> None:
    assert asking.get("/healthz").json() == {"status": "alive"}
    assert asking.get("/readyz").json() == {"status": "ready"}
    asking.post("/v1/predict", json={"texts": TEXTS})
    text = asking.get("/metrics").text
    assert re.search(r'dexa_requests_total\{route="/v1/predict",status="200"\} [1-9]', text)
    assert "dexa_labels 24.0" in text
    assert re.search(r"dexa_batch_texts_sum [1-9]", text)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b'{"texts": NaN}', 400, None),
        (b'{"texts": "\xff"}', 400, None),
        (b'{"a":' * 100_000, 422, None),
        (b'{"texts":[' * 100_000, 422, "texts[0]"),
        (b"[]", 422, None),
        (b"{}", 422, None),
        (b'{"texts": 1}', 422, "texts"),
        (b'{"texts": []}', 422, "texts"),
        (b'{"texts": "a", "k": 0}', 422, "k"),
        (b'{"texts": "a", "k": 1001}', 422, "k"),
        (b'{"texts": "a", "k": true}', 422, "k"),
        (b'{"texts": "a", "threshold": 2}', 422, "threshold"),
        (b'{"texts": "a", "labels": []}', 422, "labels"),
        (b'{"texts": "a", "labels": [-1]}', 422, "labels[0]"),
        (b'{"texts": "a", "kk": 1}', 422, None),
        (json.dumps({"texts": ["a"] * 257}).encode(), 422, "texts"),
        (json.dumps({"texts": "a" * 20_001}).encode(), 422, "texts"),
        (b'{"texts": "' + b"a" * BODY_BYTES + b'"}', 413, None),
    ],
)
def test_a_body_that_cannot_be_is_refused(
    asking: TestClient, body: bytes, status: int, field: str | None
) -> None:
    answer = asking.post("/v1/predict", content=body, headers=JSON_BODY)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert answer.json().get("field") == field


def test_a_long_body_without_a_length_is_refused(asking: TestClient) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(40):
            yield b"a" * (1 << 15)

    answer = asking.post("/v1/predict", content=parts(), headers=JSON_BODY)
    assert answer.status_code == 413


def test_only_json_is_taken(asking: TestClient) -> None:
    answer = asking.post("/v1/predict", content=b'{"texts":"a"}')
    assert answer.status_code == 415  # so that no form of another site can ask


def test_unknown_paths_and_methods_are_refused(asking: TestClient) -> None:
    assert asking.get("/no/such/path").status_code == 404
    assert asking.get("/page/../settings.py").status_code == 404
    assert asking.get("/%2e%2e/%2e%2e/etc/passwd").status_code == 404
    answer = asking.put("/v1/predict")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/model", "/nothing", "/openapi.json"])
def test_every_answer_has_the_headers(asking: TestClient, path: str) -> None:
    answer = asking.get(path)
    assert HEADERS.items() <= dict(answer.headers).items()
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "server" not in answer.headers


def test_pages_need_no_other_host(asking: TestClient) -> None:
    for path in ("/", "/docs"):
        page = asking.get(path).text
        for piece in re.findall(r'(?:src|href)="([^"#]+)"', page):
            assert piece.startswith("/"), piece
            answer = asking.get(piece)
            assert answer.status_code == 200
            found = re.findall(r"https?://[^\s\"'`)]+", answer.text)
            assert set(found) <= {"http://www.w3.org/2000/svg"}
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! type=\"module\" src)", page)


def test_pages_are_cached_by_their_tag(asking: TestClient) -> None:
    answer = asking.get("/page.js")
    again = asking.get("/page.js", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_another_host_name_is_refused_on_loopback(asking: TestClient, folder: Path) -> None:
    assert asking.get("/healthz", headers={"host": "evil.example"}).status_code == 421
    assert asking.get("/healthz", headers={"host": "127.0.0.1:8000"}).status_code == 200
    with client(folder, host_names=("dexa.example",)) as other:
        assert other.get("/healthz", headers={"host": "DEXA.example:80"}).status_code == 200
    with client(folder, host="0.0.0.0") as anyone:
        assert anyone.get("/healthz", headers={"host": "evil.example"}).status_code == 200


def test_too_much_is_refused_with_when_to_come_again(folder: Path) -> None:
    with client(folder, deadline=1e-9) as asking:
        answer = asking.post("/v1/predict", json={"texts": "amber"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert 'dexa_refused_total{reason="deadline"} 1' in asking.get("/metrics").text


def test_a_fault_of_ours_is_a_500_without_details(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with client(folder) as asking:
        monkeypatch.setattr(Dexa, "predict", lambda *_, **__: 1 / 0)
        answer = asking.post("/v1/predict", json={"texts": "amber"})
        assert answer.status_code == 500
        assert "division" not in answer.text
        monkeypatch.undo()
        assert asking.post("/v1/predict", json={"texts": "amber"}).status_code == 200


def test_texts_are_logged_only_when_asked(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret = "green engine 4711"
    caplog.set_level(logging.DEBUG)
    for log_texts in (False, True):
        caplog.clear()
        with client(folder, log_texts=log_texts) as asking:
            asking.post("/v1/predict", json={"texts": secret})
            asking.post("/v1/encode", json={"texts": [secret]})
            asking.post("/v1/map", json={"text": secret})
            asking.get("/v1/labels", params={"query": secret})
            asking.get(f"/{secret}")
        ours = [r.getMessage() for r in caplog.records if r.name == "dexa.server"]
        assert any("/v1/predict" in line for line in ours)
        assert any(secret in line for line in ours) is log_texts


def test_hostile_bodies_are_answered(asking: TestClient) -> None:
    def ask(path: str, body: bytes) -> tuple[int, str]:
        # without the token: no body may change the labels that the other tests know
        answer = asking.post(path, content=body, headers=JSON_BODY)
        return answer.status_code, answer.text

    assert statuses(ask, 600).keys() >= {200, 400, 401, 413, 422}
    assert asking.post("/v1/predict", json={"texts": TEXTS}).status_code == 200


def test_tokens_are_read_and_weak_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    with pytest.raises(MissingFileError):
        read_token(path)
    path.write_text("0123456789abcdef\nignored\n")
    assert read_token(path) == "0123456789abcdef"
    for weak in ("", "short", "sixteen letters with spaces"):
        path.write_text(weak)
        with pytest.raises(InputError, match="at least 16"):
            read_token(path)
    path.write_bytes(b"\xff" * 20)
    with pytest.raises(InputError, match="ASCII"):
        read_token(path)


def test_loopback_addresses_are_known() -> None:
    for host, expected in {
        "127.0.0.1": True,
        "127.9.9.9": True,
        "::1": True,
        "[::1]": True,
        "localhost": True,
        "0.0.0.0": False,
        "::": False,
        "example.org": False,
    }.items():
        assert is_loopback(host) is expected
    assert Settings(model=Path("m"), host="0.0.0.0").answered_hosts is None
