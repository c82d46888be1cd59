"""What stands around every request: host names, bodies, headers, figures, the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dexa.server.monitoring import Figures
from dexa.server.replies import refusal

log = logging.getLogger("dexa.server")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
_REFUSED = 503


class Guard:
    """Wraps the application: checks the host, adds headers, counts and logs.

    Args:
        app: what answers.
        figures: counts.
        hosts: names that requests may ask for; None for any.
    """

    def __init__(self, app: ASGIApp, figures: Figures, hosts: Sequence[str] | None) -> None:
        self._app, self._figures = app, figures
        self._hosts = None if hosts is None else {name.encode("latin-1") for name in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].extend(_HEADERS)
            await send(message)

        try:
            app = self._app if self._may_ask(scope) else refusal(421, "a host name not served here")
            await app(scope, receive, guarded)
        finally:
            self._note(scope, status, time.perf_counter() - start)

    def _may_ask(self, scope: Scope) -> bool:
        if self._hosts is None:
            return True
        named = [value for name, value in scope["headers"] if name == b"host"]
        return len(named) == 1 and _without_port(named[0].lower()) in self._hosts

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route_path", "other")
        self._figures.answered(route, status, seconds)
        if status != _REFUSED:  # refusals come by the thousand; `Figures.refused` counts them
            log.info("%s %s %d %.1f ms", scope["method"], route, status, 1e3 * seconds)


def _without_port(host: bytes) -> bytes:
    name, colon, port = host.rpartition(b":")
    return name if colon and port.isdigit() else host
