"""The server as a process: signals, several workers, connections that misbehave."""

# Over 300 lines: tests mirror modules, a file each.
from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import json
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import httpx
import pytest

pytest.importorskip("starlette", reason="needs the extra serve")

from typer.testing import CliRunner

from dexa import Dexa
from dexa.cli import app
from dexa.server import Settings, protocol, running, serve
from hostile import statuses
from serving import AUTHORISED, TOKEN, process
from tiny import LABELS

_log = logging.getLogger(__name__)


@pytest.fixture
def folder(fitted: Dexa, tmp_path: Path) -> Path:
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


def ask(address: str, texts: object = "amber bridge") -> dict:
    request = Request(
        f"{address}/v1/predict",
        json.dumps({"texts": texts}).encode(),
        {"content-type": "application/json"},
    )
    with urlopen(request, timeout=30) as answer:
        return json.load(answer)


def _alike(found: dict, expected: dict) -> bool:
    """Whether the answers to one text are the same, scores but for their last digit."""
    pairs = zip(found["labels"], expected["labels"], strict=True)
    return all(a == {**b, "score": pytest.approx(b["score"], abs=2e-5)} for a, b in pairs)


def figures(address: str) -> str:
    with urlopen(f"{address}/metrics", timeout=30) as answer:
        return answer.read().decode()


def test_a_signal_ends_it_well(folder: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with process(folder) as server:
            assert ask(server.address)["answers"]
            assert server.end(number) == 0
            assert not any("Traceback" in line for line in server.lines)


def test_a_new_model_is_read_and_no_request_is_dropped(folder: Path, fitted: Dexa) -> None:
    with process(folder) as server:
        failures: list[BaseException] = []
        stop = threading.Event()

        def keep_asking() -> None:
            while not stop.is_set():
                try:
                    assert ask(server.address)["answers"][0]["labels"]
                except BaseException as error:
                    failures.append(error)
                    return

        asking = [threading.Thread(target=keep_asking) for _ in range(3)]
        for thread in asking:
            thread.start()
        renamed = folder / "labels.jsonl"
        lines = [json.dumps({"text": f"new {text}"}) for text in LABELS]
        _change(folder, renamed, "\n".join(lines) + "\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("the model was read again")
        assert ask(server.address)["answers"][0]["labels"][0]["text"].startswith("new ")
        _damage(folder)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("stays as it was")
        assert ask(server.address)["answers"][0]["labels"][0]["text"].startswith("new ")
        stop.set()
        for thread in asking:
            thread.join()
        assert failures == []
        counted = figures(server.address)
        assert 'dexa_reloads_total{outcome="done"} 1.0' in counted
        assert 'dexa_reloads_total{outcome="failed"} 1.0' in counted


def _change(folder: Path, file: Path, text: str) -> None:
    """Change a file, and the checksum that `model.json` has of it."""
    file.write_text(text)
    described = json.loads((folder / "model.json").read_text())
    described["files"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "model.json").write_text(json.dumps(described))


def _damage(folder: Path) -> None:
    (folder / "labels.safetensors").unlink()  # not written over: the server has it mapped
    (folder / "labels.safetensors").write_bytes(b"damaged")


def test_it_serves_until_a_signal_ends_it(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Inside this process, whose main thread it takes."""
    caplog.set_level("INFO", "dexa.server")

    def act(address: str) -> None:
        assert ask(address)["answers"]
        os.kill(os.getpid(), signal.SIGHUP)
        _until(lambda: "the model was read again" in caplog.text)
        assert ask(address)["answers"]

    _serve(folder, act)
    assert "Traceback" not in caplog.text


def test_several_workers_answer_count_together_and_are_replaced(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(address: str) -> None:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: ask(address), range(60)))
        # requests are answered in batches, whose size moves the last digit of a vector
        first = answers[0]["answers"][0]
        assert all(_alike(answer["answers"][0], first) for answer in answers)
        counted = 'dexa_requests_total{route="/v1/predict",status="200"} 60.0'
        _until(lambda: counted in figures(address))
        victim = multiprocessing.active_children()[0]
        os.kill(os.getpid(), signal.SIGHUP)
        _until(lambda: 'dexa_reloads_total{outcome="done"} 2.0' in figures(address))
        victim.kill()
        _until(lambda: "starting another" in caplog.text)
        _until(lambda: len(multiprocessing.active_children()) == 2)
        assert ask(address)["answers"]

    monkeypatch.setattr(running, "_YOUNG", 0.0)
    _serve(folder, act, workers=2)
    assert multiprocessing.active_children() == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere processes share one socket")
def test_connections_are_dealt_out_among_processes() -> None:
    with running._listening(Settings(model=Path("model"), port=0)) as listener:
        address = listener.getsockname()
        with running._dealt(listener) as held:
            assert held.getsockname() == address
            with pytest.raises(OSError, match="in use"), running._own(held):
                socket.create_server(address)
            with (
                running._own(held) as one,
                running._own(held) as two,
                contextlib.ExitStack() as all_,
            ):
                for _ in range(64):
                    all_.enter_context(socket.create_connection(address))
                counts = [_accepted(own) for own in (one, two)]
    assert sum(counts) == 64
    assert min(counts) > 8  # at random: fewer once in 10¹⁰ times


def _accepted(listener: socket.socket) -> int:
    """How many connections wait at a socket."""
    listener.setblocking(False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            count += 1
    return count


def _serve(folder: Path, act: Callable[[str], None], **changes: Any) -> None:
    """Serve in the main thread while another one acts, and then sends SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address, faults, over = f"http://127.0.0.1:{port}", [], threading.Event()

    def play() -> None:
        try:
            _until(lambda: over.is_set() or _is_ready(address))
            act(address)
        except BaseException as error:
            faults.append(error)
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    # a signal that comes when nothing is served any more is not to end the tests
    before = {number: signal.signal(number, _ignored) for number in (signal.SIGHUP, signal.SIGTERM)}
    player = threading.Thread(target=play)
    player.start()
    try:
        serve(Settings(model=folder, port=port, device="cpu", **changes))
    finally:
        over.set()
        player.join()
        for number, handler in before.items():
            signal.signal(number, handler)
    assert faults == []


def _ignored(*_: object) -> None:
    """Do nothing about a signal."""


def _is_ready(address: str) -> bool:
    try:
        with urlopen(f"{address}/readyz", timeout=30):
            return True
    except OSError:
        return False


def _until(condition: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it does not happen"
        time.sleep(0.05)


def test_a_hang_up_while_it_starts_does_not_end_it(folder: Path) -> None:
    with process(folder) as server:  # its address is told once the model is read
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("the model was read again")
        assert ask(server.address)["answers"]


def test_connections_that_misbehave_do_not_disturb_others(folder: Path) -> None:
    with process(folder) as server:
        host, port = server.address.removeprefix("http://").split(":")
        heads = [
            b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 30_000,
            b"GET /" + b"a" * 300_000,
            b"\x16\x03\x01\x02\x00" * 50,
            b"POST /v1/predict HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
            b"POST /v1/predict HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
            b"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"transfer-encoding: chunked\r\n\r\nzzz\r\n",
            b"GET /\x00\xff HTTP/1.1\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n" * 3,
            b"\r\n" * 1_000,
        ]
        for head in heads:
            with socket.create_connection((host, int(port)), timeout=20) as connection:
                try:
                    for start in range(0, len(head), 8_192):
                        connection.sendall(head[start : start + 8_192])
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65_536):
                        pass
                except OSError:
                    pass  # the server may close while we still write
            assert ask(server.address)["answers"]
        assert not any("Traceback" in line for line in server.lines)


def test_connections_are_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_CONNECTIONS", 3)

    def act(address: str) -> None:
        host, port = address.removeprefix("http://").split(":")
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
            with socket.create_connection((host, int(port)), timeout=20) as one_more:
                said = one_more.recv(1000)
            assert said.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 1" in said
        _until(lambda: _is_ready(address))

    _serve(folder, act)


def test_a_head_must_come_in_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_HEAD_SECONDS", 0.1)

    def act(address: str) -> None:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as slow:
            slow.sendall(b"GET /readyz HT")
            assert slow.recv(1000) == b""  # closed

    _serve(folder, act)


def test_what_keeps_it_from_starting_is_one_line(folder: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        _fails("choose another", str(folder), "--port", port)
    _fails("no model folder", str(tmp_path / "nothing"), "--port", "0")
    _fails("no such file", str(folder), "--token-file", str(tmp_path / "none"), "--port", "0")


def _fails(words: str, *arguments: str) -> None:
    done = CliRunner().invoke(app, ["serve", *arguments])
    assert done.exit_code == 2, done.stderr
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_ten_thousand_hostile_bodies_are_answered(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with (
        process(folder, "--token-file", str(tmp_path / "token")) as server,
        httpx.Client(base_url=server.address, timeout=60) as client,
    ):
        headers = {"content-type": "application/json", **AUTHORISED}

        def ask(path: str, body: bytes) -> tuple[int, str]:
            answer = client.post(path, content=body, headers=headers)
            return answer.status_code, answer.text

        before = ask("/v1/predict", b'{"texts":"green engine","k":1}')
        memory = _resident(server.process.pid)
        seen = statuses(ask, 10_000)
        assert seen.keys() >= {200, 400, 413, 422}
        assert (
            json.loads(ask("/v1/predict", b'{"texts":"green engine","k":1}')[1])["answers"]
            == (json.loads(before[1])["answers"])
        )
        grown = _resident(server.process.pid) - memory
        _log.info("statuses %s; memory grew by %d MiB from %d", dict(seen), grown, memory)
        assert grown < 200
        assert not any("Traceback" in line for line in server.lines)
        assert server.end(signal.SIGTERM) == 0


def _resident(process: int) -> int:
    """MiB of memory that a process holds."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


@pytest.mark.slow
def test_a_worker_that_cannot_start_ends_all(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dexa", "serve", str(tmp_path), "--port", "0", "--workers=2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert "no model folder" in done.stderr
    assert "Traceback" not in done.stderr
