"""Load on a server of a model, over loopback, from one process beside it.

    dexa train datasets/LF-WordNet-98K --fields title --model served --encoder bag
    python benchmarks/serving.py --model served

Requests go out by the clock, whether or not earlier ones are answered, and the time of each runs
from the moment at which it was due (no coordinated omission). The texts are the test titles of the
bundled data set, each request another one. It measures

- sustained: `--rate` requests/s for `--seconds`;
- capacity: as fast as 128 connections go, with batching and without;
- overload: ten times the capacity for ten seconds, then how soon it answers as before.
"""

# Over 300 lines: one script, so that all figures are of one run.
from __future__ import annotations

import argparse
import asyncio
import gzip
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import numpy as np

TITLES = Path(__file__).parents[1] / "datasets" / "LF-WordNet-98K" / "tst.json.gz"
TICK = 0.001
CONNECTIONS = 128
CROWD = 1_400  # connections that fill the queues of two processes, fewer than they let in


def requests() -> list[bytes]:
    """A request for each test title."""
    with gzip.open(TITLES, "rt", encoding="utf-8") as file:
        titles = [json.loads(line)["title"] for line in file]
    bodies = [json.dumps({"texts": title, "k": 5}).encode() for title in titles]
    head = b"POST /v1/predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return [b"%scontent-length: %d\r\n\r\n%s" % (head, len(body), body) for body in bodies]


@dataclass
class Outcome:
    """What became of some requests."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    finished: list[float] = field(default_factory=list)

    def row(self, span: float) -> dict[str, float | int | dict[int, int]]:
        """Rates over a span of seconds, and quantiles of times."""
        p50, p90, p99, top = (
            (1e3 * np.quantile(self.seconds, [0.5, 0.9, 0.99, 1])).round(1).tolist()
            if self.seconds
            else [float("nan")] * 4
        )
        return {
            "answered/s": round(self.statuses[200] / span, 1),
            "statuses": dict(self.statuses),
            "p50 ms": p50,
            "p90 ms": p90,
            "p99 ms": p99,
            "max ms": top,
        }


class Connection(asyncio.Protocol):
    """One request at a time over a connection that stays."""

    def __init__(self, load: Load) -> None:
        self._load, self._data, self._due = load, b"", 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be free to be used."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._load.idle.append(self)

    def send(self, request: bytes, due: float) -> None:
        """Send a request that was due at a time."""
        self._due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Note the answer when it is whole."""
        self._data += data
        head, blank, body = self._data.partition(b"\r\n\r\n")
        if not blank:
            return
        place = head.index(b"content-length: ") + 16
        if len(body) < int(head[place : place + 9].split(b"\r", 1)[0]):
            return
        self._data = b""
        self._load.answered(int(head[9:12]), self._due)
        self._load.idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the server closed it."""
        self._load.lost()


class Load:
    """Requests over a fixed number of connections."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.idle: deque[Connection] = deque()
        self.outcome = Outcome()
        self._all = itertools.cycle(requests())
        self._connections: list[Connection] = []
        self._closing = False

    async def connect(self, count: int = CONNECTIONS) -> None:
        """Open connections."""
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, made = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.port)
            self._connections.append(made)

    def close(self) -> None:
        """Close them."""
        self._closing = True
        for connection in self._connections:
            connection.transport.close()

    def answered(self, status: int, due: float) -> None:
        """Note an answer."""
        now = time.perf_counter()
        self.outcome.statuses[status] += 1
        if status == 200:
            self.outcome.seconds.append(now - due)
            self.outcome.finished.append(now)

    def lost(self) -> None:
        """Note a connection that the server closed: status 0."""
        if not self._closing:
            self.outcome.statuses[0] += 1

    async def by_the_clock(self, rate: float, seconds: float) -> Outcome:
        """So many requests a second.

        Those that find no free connection wait for one; status -1 counts those that never did.
        """
        self.outcome = Outcome()
        start = time.perf_counter()
        sent, total = 0, int(rate * seconds)
        while sent < total:
            now = time.perf_counter()
            due = min(total, int((now - start) * rate))
            while sent < due and self.idle:
                self.idle.popleft().send(next(self._all), start + sent / rate)
                sent += 1
            if now - start > seconds + 1:
                self.outcome.statuses[-1] += total - sent
                break
            await asyncio.sleep(TICK)
        await self._settled()
        return self.outcome

    async def as_fast_as_it_goes(self, seconds: float) -> Outcome:
        """A new request on each connection as soon as the last is answered."""
        self.outcome = Outcome()
        until = time.perf_counter() + seconds
        while (now := time.perf_counter()) < until:
            while self.idle:
                self.idle.popleft().send(next(self._all), now)
            await asyncio.sleep(TICK)
        await self._settled()
        return self.outcome

    async def _settled(self) -> None:
        until = time.perf_counter() + 5
        while len(self.idle) < len(self._connections) and time.perf_counter() < until:
            await asyncio.sleep(TICK)


class Server:
    """``dexa serve`` as a process."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.port, self._pid = port, process.pid

    def _folders(self) -> list[Path]:
        """What the kernel tells of it, and of its own processes."""
        children = Path(f"/proc/{self._pid}/task/{self._pid}/children").read_text().split()
        return [Path(f"/proc/{pid}") for pid in (self._pid, *children)]

    def cpu(self) -> float:
        """Seconds of processor time so far, of all processes."""
        told = [(f / "stat").read_text().rpartition(") ")[2].split() for f in self._folders()]
        ticks = sum(int(fields[11]) + int(fields[12]) for fields in told)
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Resident MB of all processes; what they share counts in each."""
        told = [(folder / "status").read_text() for folder in self._folders()]
        return sum(int(kb) for text in told for kb in re.findall(r"VmRSS:\s+(\d+)", text)) / 1024


@contextmanager
def server(model: Path, *options: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "dexa", "serve", str(model), "--port", "0", *options]
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "log"
        with said.open("w") as log:
            process = subprocess.Popen(command, stderr=log, text=True)
        try:
            yield Server(process, _port(process, said, _workers(options)))
        finally:
            process.terminate()
            process.wait()
            for line in said.read_text().splitlines():
                if " INFO " not in line:
                    print("  log:", line)


def _workers(options: tuple[str, ...]) -> int:
    return int(options[options.index("--workers") + 1]) if "--workers" in options else 1


def _port(process: subprocess.Popen[str], said: Path, workers: int) -> int:
    """The port at which so many processes answer."""
    for _ in range(600):
        found = re.findall(r"on http://127.0.0.1:(\d+)", said.read_text())
        if len(found) == workers:
            port = int(found[0])
            try:
                with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30):
                    return port
            except OSError:
                pass
        if process.poll() is not None:
            break
        time.sleep(0.1)
    sys.exit(said.read_text())


def per_request(cpu: float, outcome: Outcome) -> float:
    """Milliseconds of so many seconds for each request."""
    return round(1e3 * cpu / sum(outcome.statuses.values()), 3)


async def sustained(port: int, running: Server, rate: float, seconds: float) -> dict:
    load = Load(port)
    await load.connect()
    await load.by_the_clock(rate, 3)
    cpu = running.cpu()
    outcome = await load.by_the_clock(rate, seconds)
    load.close()
    row = outcome.row(seconds)
    row["server CPU ms/request"] = per_request(running.cpu() - cpu, outcome)
    return row


async def capacity(running: Server, seconds: float) -> dict:
    load = Load(running.port)
    await load.connect()
    await load.as_fast_as_it_goes(2)
    cpu = running.cpu()
    outcome = await load.as_fast_as_it_goes(seconds)
    load.close()
    row = outcome.row(seconds)
    row["server CPU ms/request"] = per_request(running.cpu() - cpu, outcome)
    return row


async def overload(running: Server, rate: float, seconds: float) -> dict:
    load = Load(running.port)
    await load.connect(CROWD)
    before = running.memory()
    outcome = await load.by_the_clock(rate, seconds)
    over, after = time.perf_counter(), running.memory()
    load.close()
    row = outcome.row(seconds)
    row["asked/s"] = round(sum(outcome.statuses.values()) / seconds)
    row["memory MB before, after"] = f"{before:.0f}, {after:.0f}"
    calm = Load(running.port)
    await calm.connect(8)
    again = await calm.by_the_clock(100, 2)
    slow = [f for f, s in zip(again.finished, again.seconds, strict=True) if s > 0.05]
    row["seconds until calm"] = round(max(slow, default=over) - over, 3)
    row["calm statuses"] = dict(again.statuses)
    calm.close()
    return row


def show(title: str, row: dict) -> None:
    print(f"\n{title}  (load average {os.getloadavg()[0]:.1f})")
    for name, value in row.items():
        print(f"  {name:24} {value}")
    sys.stdout.flush()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("--model", type=Path, required=True)
    arguments.add_argument("--rate", type=float, default=1_000)
    arguments.add_argument("--seconds", type=float, default=60)
    arguments.add_argument("--parts", default="sustained,capacity,overload")
    arguments.add_argument("--serve", default="", help="more options of dexa serve")
    given = arguments.parse_args()
    parts, options = given.parts.split(","), given.serve.split()
    try:
        import uvloop

        run = uvloop.run
    except ModuleNotFoundError:
        run = asyncio.run
    with server(given.model, *options) as running:
        if "sustained" in parts:
            row = run(sustained(running.port, running, given.rate, given.seconds))
            show(f"sustained: {given.rate:.0f} requests/s for {given.seconds:.0f} s", row)
        if "capacity" in parts or "overload" in parts:
            row = run(capacity(running, 10))
            show("capacity, batching on", row)
        if "overload" in parts:
            row = run(overload(running, 10 * row["answered/s"], 10))
            show("overload: ten times the capacity for 10 s", row)
    if "capacity" in parts:
        with server(given.model, *options, "--batch", "1") as running:
            show("capacity, batching off", run(capacity(running, 10)))


if __name__ == "__main__":
    main()
