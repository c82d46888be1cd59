"""The ASGI application: endpoints, the page, refusals, and the guard around all of them."""

from __future__ import annotations

import hashlib
import json
import logging
from importlib.resources import files

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from dexa.errors import InputError, ModelFolderError
from dexa.server.batching import Overloaded
from dexa.server.endpoints import ENDPOINTS, Endpoint
from dexa.server.engine import UnknownLabel
from dexa.server.guard import Guard
from dexa.server.openapi import document
from dexa.server.replies import JSON, Refusal, refusal
from dexa.server.service import Service

log = logging.getLogger("dexa.server")

_PAGES = {
    "/": ("index.html", "text/html"),
    "/docs": ("docs.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/map.js": ("map.js", "text/javascript"),
    "/why.js": ("why.js", "text/javascript"),
    "/docs.js": ("docs.js", "text/javascript"),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
}
_WORDS = {
    "queue": "the queue is full",
    "deadline": "the request waited too long",
    "ending": "the server is ending",
}


def application(service: Service) -> ASGIApp:
    """The application that answers by a service; starting and closing it is part of its life."""
    description = json.dumps(document(ENDPOINTS)).encode()
    folder = files("dexa.server") / "page"
    fixed = [_fixed("/openapi.json", description, JSON)]
    fixed += [
        _fixed(path, (folder / name).read_bytes(), kind) for path, (name, kind) in _PAGES.items()
    ]
    app = Starlette(
        routes=[*(_route(service, endpoint) for endpoint in ENDPOINTS), *fixed],
        lifespan=lambda _app: service.at_work(),
        exception_handlers={HTTPException: _not_served, Exception: _failed},
    )
    return Guard(app, service.figures, service.settings.answered_hosts)


def _route(service: Service, endpoint: Endpoint) -> Route:
    async def answer(request: Request) -> Response:
        request.scope["route_path"] = endpoint.path
        try:
            return await endpoint.does(service, request)
        except Refusal as reason:
            return refusal(reason.status, reason.error, field=reason.field)
        except Overloaded as reason:
            service.figures.refused(reason.reason)
            return refusal(503, _WORDS[reason.reason])
        except UnknownLabel as reason:
            return refusal(404, str(reason))
        except ModelFolderError as reason:
            log.error("labels were not changed: %s", reason)
            return refusal(409, "the model was replaced; the server has not read it again yet")
        except InputError as reason:
            return refusal(422, str(reason))

    return Route(endpoint.path, answer, methods=[endpoint.method], name=endpoint.does.__name__)


def _fixed(path: str, content: bytes, kind: str) -> Route:
    """A file that is in memory from the start: no request reaches the disk."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"etag": tag, "cache-control": "no-cache"}

    async def answer(request: Request) -> Response:
        request.scope["route_path"] = path
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=kind)

    return Route(path, answer, methods=["GET"])


async def _not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = refusal(error.status_code, error.detail)
    answer.headers.update(error.headers or {})
    return answer


async def _failed(request: Request, error: Exception) -> Response:
    return refusal(500, "the server failed; its log says why")
