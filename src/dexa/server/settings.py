"""What a server is told once, when it starts."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from dexa.errors import InputError, MissingFileError

_SHORTEST_TOKEN = 16
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that `serve` can be told.

    Attributes:
        model: the model folder.
        device: where to compute.
        index: the kind of index to search with; None for the model's own.
        host: the address to listen on.
        port: of that address; 0 for any free one.
        workers: processes, each with the model in its memory.
        threads: that a process computes with.
        token: that changes of labels need; None refuses them.
        host_names: beside the loopback ones, which ``Host`` headers a loopback address answers.
        batch: texts that are computed together at most; 1 computes each request alone.
        queue: texts that may wait at most.
        deadline: seconds that a request may wait.
        log_texts: whether the log shows texts.
        examples: texts that the page offers to try; None for some of the labels.
    """

    model: Path
    device: str = "auto"
    index: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    threads: int = 1
    token: str | None = None
    host_names: tuple[str, ...] = ()
    batch: int = 64
    queue: int = 512
    deadline: float = 1.0
    log_texts: bool = False
    examples: tuple[str, ...] | None = None

    @property
    def answered_hosts(self) -> tuple[str, ...] | None:
        """The host names that requests may ask for; None where any will do.

        A page of another site can make a name of its own point to a loopback address (DNS
        rebinding), and would then read answers in a visitor's browser.
        """
        if not is_loopback(self.host) and not self.host_names:
            return None
        return tuple(name.lower() for name in (*LOOPBACK_NAMES, self.host, *self.host_names))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def read_token(path: Path) -> str:
    """The token in the first line of a file.

    Raises:
        MissingFileError: there is no such file.
        InputError: it is no text, or too short to be safe.
    """
    try:
        lines = path.read_text(encoding="ascii").split("\n")
    except FileNotFoundError as error:
        raise MissingFileError("no such file", expected="a file with a token", path=path) from error
    except UnicodeDecodeError as error:
        raise InputError("not ASCII", expected="a token in its first line", path=path) from error
    token = lines[0].strip()
    if len(token) < _SHORTEST_TOKEN or not token.isprintable() or " " in token:
        raise InputError(
            f"a token of {len(token)} characters",
            expected=f"at least {_SHORTEST_TOKEN}, without spaces",
            do="write one with: openssl rand -hex 32",
            path=path,
            line=1,
        )
    return token
