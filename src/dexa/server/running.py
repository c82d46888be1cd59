"""Processes, sockets and signals: SIGHUP reads the model again, SIGTERM and Ctrl-C end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import torch
import uvicorn

from dexa.errors import DexaError, InputError, RunError
from dexa.estimator import Dexa
from dexa.server.app import application
from dexa.server.monitoring import SHARED_FOLDER
from dexa.server.protocol import BoundedProtocol
from dexa.server.service import Service
from dexa.server.settings import Settings

log = logging.getLogger("dexa.server")

_HANG_UP = {signal.SIGHUP}
_BACKLOG = 1_024
_PATIENCE = 10  # seconds for requests that are being answered when the server ends
_KEEP_ALIVE = 60  # seconds that an idle connection stays: longer than proxies keep theirs
_YOUNG = 30.0  # seconds: a process that dies before them will die again
_SWITCH = 5e-4  # seconds: a batch begins with many small steps, each of which waits for its turn
_PAUSE = 1.0  # seconds before a process that died is started again


def serve(settings: Settings) -> None:
    """Answer requests until a signal ends it.

    Raises:
        InputError: the address cannot be listened on, or the model cannot be read.
        RunError: a process could not be kept alive.
    """
    _log_to_stderr()
    with _hang_ups_held(), _listening(settings) as listener:
        if settings.workers == 1:
            _work(settings, lambda: listener)
        else:
            _supervise(settings, _dealt(listener))


@contextlib.contextmanager
def _hang_ups_held() -> Generator[None, None, None]:
    """Let SIGHUP wait, here and in processes that start, until somebody handles it.

    Unhandled it would end a process that is still reading its model.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HANG_UP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _listening(settings: Settings) -> socket.socket:
    host, port = settings.host.strip("[]"), settings.port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise InputError(
            f"cannot listen on {settings.host} port {port}: {error.strerror}",
            do="choose another --host or --port",
        ) from error


def _dealt(listener: socket.socket) -> socket.socket:
    """A socket for several processes at the address of one that was free, which it takes over.

    Where the kernel can deal connections out among processes, this one only holds the address, and
    `_own` opens one for each: of a single socket, whoever wakes first may take all connections.
    """
    if sys.platform != "linux":
        return listener
    address = listener.getsockname()
    listener.close()
    held = socket.socket(listener.family)
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        held.setsockopt(socket.SOL_SOCKET, option, 1)
    held.bind(address)
    return held


def _own(held: socket.socket) -> socket.socket:
    """A socket at which a process of several listens."""
    if sys.platform != "linux":
        return held
    return socket.create_server(
        held.getsockname(), family=held.family, backlog=_BACKLOG, reuse_port=True
    )


def _work(settings: Settings, listen: Callable[[], socket.socket]) -> None:
    """Be a process that answers, and listens when it can."""
    torch.set_num_threads(settings.threads)
    sys.setswitchinterval(_SWITCH)
    service = Service(lambda: _load(settings), settings)
    gc.freeze()  # what is there stays: to look for garbage in it again and again takes a while
    server = _Server(
        uvicorn.Config(
            application(service),
            http=BoundedProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_PATIENCE,
            backlog=_BACKLOG,
        ),
        service,
    )
    with listen() as listener:
        log.info("serving %s on %s", settings.model, _address(listener))
        server.run([listener])


def _load(settings: Settings) -> Dexa:
    return Dexa.load(settings.model, device=settings.device, index=settings.index)


class _Server(uvicorn.Server):
    """Ends on a signal without raising it again, and reloads on SIGHUP."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._reloads: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Listen to signals while requests are answered."""
        loop = asyncio.get_running_loop()
        handlers = {
            signal.SIGINT: self._end,
            signal.SIGTERM: self._end,
            signal.SIGHUP: self._reload,
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANG_UP)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _end(self) -> None:
        self._service.ready = False
        self.should_exit = True

    def _reload(self) -> None:
        task = asyncio.get_running_loop().create_task(self._service.reload())
        self._reloads.add(task)  # a task that nobody holds may vanish
        task.add_done_callback(self._reloads.discard)


def _supervise(settings: Settings, listener: socket.socket) -> None:
    """Keep several processes alive that answer at one address."""
    with listener, tempfile.TemporaryDirectory(prefix="dexa-serve-") as figures:
        os.environ[SHARED_FOLDER] = figures  # for the processes to find
        try:
            with _Workers(settings, listener) as workers:
                workers.watch()
        finally:
            del os.environ[SHARED_FOLDER]


class _Workers:
    """Processes that answer, started again when one dies."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings, self._listener = settings, listener
        self._context = multiprocessing.get_context("spawn")  # torch does not survive a fork
        self._ending = False
        self._processes: list[BaseProcess] = []
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Workers:
        handlers = {
            signal.SIGINT: self._end,
            signal.SIGTERM: self._end,
            signal.SIGHUP: self._reload,
        }
        self._before = {number: signal.signal(number, do) for number, do in handlers.items()}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANG_UP)
        self._processes = [self._started() for _ in range(self._settings.workers)]
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join(_PATIENCE + 1)
            process.kill()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def watch(self) -> None:
        """Wait for the end.

        Raises:
            RunError: a process died because of what the user gave, or soon after its start.
        """
        born = time.monotonic()
        while not self._ending:
            time.sleep(_PAUSE / 10)
            for place, process in enumerate(self._processes):
                if process.is_alive() or self._ending:
                    continue
                if process.exitcode == InputError.exit_code:
                    raise InputError("a process could not start", do="see the line above")
                if time.monotonic() - born < _YOUNG:
                    raise RunError(
                        f"a process ended with code {process.exitcode}; its log says why"
                    )
                log.error("a process ended with code %s; starting another", process.exitcode)
                time.sleep(_PAUSE)
                self._processes[place], born = self._started(), time.monotonic()

    def _started(self) -> BaseProcess:
        process = self._context.Process(target=_worker, args=(self._settings, self._listener))
        with _hang_ups_held():
            process.start()
        return process

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending = True

    def _reload(self, _number: int, _frame: FrameType | None) -> None:
        for process in self._processes:
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGHUP)


def _worker(settings: Settings, held: socket.socket) -> None:
    _log_to_stderr()
    try:
        _work(settings, lambda: _own(held))
    except DexaError as error:
        log.error("%s", error)
        sys.exit(error.exit_code)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _log_to_stderr() -> None:
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    log.setLevel(logging.INFO)
