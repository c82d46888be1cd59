"""A hub on loopback that keeps what it is sent: the routes of the real one that a model needs."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import huggingface_hub
import numpy as np
import pytest

from dexa import Dexa
from dexa.errors import InputError, MissingFileError, ModelFolderError, RunError

COMMIT = "a" * 40
REPO = "someone/tagger"


class FakeHub(ThreadingHTTPServer):
    """Repositories in memory, and what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.commits: list[str] = []
        self.asked: list[str] = []
        self.broken: int | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeHub

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def do_POST(self) -> None:
        hub, path = self.server, unquote(self.path.partition("?")[0])
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        hub.asked.append(f"POST {path}")
        if hub.broken is not None:
            self._send(hub.broken, {"error": "not today"})
        elif self.headers.get("Authorization") != "Bearer secret":
            self._send(401, {"error": "who are you"})
        elif path == "/api/repos/create":
            wanted = json.loads(body)
            name = "/".join(filter(None, [wanted.get("organization"), wanted["name"]]))
            known = name in hub.repos
            hub.repos.setdefault(name, {"old.bin": b"old"})
            hub.private.setdefault(name, wanted.get("visibility") == "private")
            self._send(409 if known else 200, {"url": f"{hub.endpoint}/{name}"})
        elif path == "/api/validate-yaml":
            self._send(200, {"errors": [], "warnings": []})
        elif path.endswith("/preupload/main"):
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self._send(200, {"files": files})
        elif path.endswith("/commit/main"):
            self._commit(path.removeprefix("/api/models/").removesuffix("/commit/main"), body)
        else:
            self._send(404, {"error": path})

    def _commit(self, name: str, body: bytes) -> None:
        repo = dict(self.server.repos[name])
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                self.server.commits.append(value["summary"])
            elif entry["key"] == "file":
                repo[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "deletedFile":
                del repo[value["path"]]
        self.server.repos[name] = repo
        url = f"{self.server.endpoint}/{name}/commit/{COMMIT}"
        self._send(200, {"commitUrl": url, "commitOid": COMMIT, "success": True})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.server, unquote(self.path.partition("?")[0])
        hub.asked.append(f"{self.command} {path}")
        if hub.broken is not None:
            self._send(hub.broken, {"error": "not today"})
            return
        if path.startswith("/api/models/"):
            rest, _, tree = path.removeprefix("/api/models/").partition("/tree/")
            name, _, revision = rest.partition("/revision/")
            if name not in hub.repos:
                self._send(404, {"error": "no"}, {"X-Error-Code": "RepoNotFound"})
            elif revision not in ("", "main", COMMIT):
                self._send(404, {"error": "no"}, {"X-Error-Code": "RevisionNotFound"})
            elif tree:
                files = [
                    {"type": "file", "path": file, "size": len(content), "oid": "b" * 40}
                    for file, content in hub.repos[name].items()
                ]
                self._send(200, files)
            else:
                siblings = [{"rfilename": file} for file in hub.repos[name]]
                self._send(200, {"id": name, "sha": COMMIT, "siblings": siblings})
            return
        name, _, file = path.removeprefix("/").partition("/resolve/")
        content = hub.repos.get(name, {}).get(file.partition("/")[2])
        if content is None:
            self._send(404, {"error": "no"}, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
        self._send(200, content, headers)

    def _send(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for key, text in (headers or {}).items():
            self.send_header(key, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    server = FakeHub()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetched(hub: FakeHub, name: str = REPO, **options: str) -> Dexa:
    return Dexa.from_pretrained(
        name, endpoint=hub.endpoint, token="secret", device="cpu", **options
    )


def test_there_and_back(fitted: Dexa, hub: FakeHub) -> None:
    url = fitted.push_to_hub(REPO, private=True, token="secret", endpoint=hub.endpoint)
    assert url.endswith(COMMIT)
    assert hub.private == {REPO: True}
    assert hub.commits == ["dexa on LF-TinyTitles-24"]
    assert "old.bin" not in hub.repos[REPO]
    assert {"model.json", "README.md", "labels.safetensors"} <= set(hub.repos[REPO])
    model = fetched(hub)
    texts = ["amber bridge", "the castle"]
    mine, theirs = fitted.predict(texts, 9), model.predict(texts, 9)
    np.testing.assert_array_equal(mine.labels, theirs.labels)
    np.testing.assert_array_equal(mine.scores, theirs.scores)
    model.add_labels(["a new one"])  # the hub's cache is left as it is
    assert len(fetched(hub).model.frequency) == 24
    fitted.push_to_hub(REPO, token="secret", endpoint=hub.endpoint)
    assert len(hub.commits) == 2


def test_what_was_fetched_opens_without_network(fitted: Dexa, hub: FakeHub) -> None:
    fitted.push_to_hub(REPO, token="secret", endpoint=hub.endpoint)
    fetched(hub)
    hub.broken = 503
    assert len(fetched(hub).model.frequency) == 24


def test_a_folder_is_opened_as_load_does(fitted: Dexa, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    model = Dexa.from_pretrained(tmp_path / "model", device="cpu")
    model.add_labels(["a new one"])
    assert len(Dexa.load(tmp_path / "model", device="cpu").model.frequency) == 25


def test_what_cannot_be_fetched(hub: FakeHub, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'no/where' could not be fetched from the hub.*its name"):
        fetched(hub, "no/where")
    hub.repos[REPO] = {"README.md": b"no model"}
    with pytest.raises(InputError, match="check its name and revision"):
        fetched(hub, revision="v2")
    with pytest.raises(MissingFileError, match="no model folder"):
        fetched(hub)
    hub.repos[REPO] = {"model.json": b"{}"}
    with pytest.raises((ModelFolderError, MissingFileError)):
        fetched(hub)
    with pytest.raises(InputError, match=r"no name of a repository; expected a folder, or 'owner"):
        Dexa.from_pretrained(tmp_path / "nothing" / "here", device="cpu")


def test_what_cannot_be_sent(fitted: Dexa, hub: FakeHub) -> None:
    with pytest.raises(InputError, match=r"could not be sent to the hub.*log in"):
        fitted.push_to_hub(REPO, token="wrong", endpoint=hub.endpoint)
    with pytest.raises(InputError, match="no name of a repository"):
        fitted.push_to_hub("a/b/c", token="secret", endpoint=hub.endpoint)
    hub.broken = 400
    with pytest.raises(RunError, match="could not be sent to the hub"):
        fitted.push_to_hub(REPO, token="secret", endpoint=hub.endpoint)
    assert hub.repos == {}


def test_a_hub_that_does_not_answer(fitted: Dexa, hub: FakeHub) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(RunError, match="could not be fetched from the hub"):
        Dexa.from_pretrained(REPO, endpoint=nobody, device="cpu")
    with pytest.raises(RunError, match="could not be sent to the hub"):
        fitted.push_to_hub(REPO, token="secret", endpoint=nobody)
