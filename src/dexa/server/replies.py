"""Messages in and out of HTTP, and the reasons to refuse a request."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from dexa.server.messages import BODY_BYTES, Problem

JSON = "application/json"
_BODY_SECONDS = 10.0
_RETRY_SECONDS = "1"

_encoder = msgspec.json.Encoder()
Message = TypeVar("Message")


class Refusal(Exception):  # noqa: N818 - the server's own
    """A request that is not answered, with the status that says why."""

    def __init__(self, status: int, error: str, *, field: str | None = None) -> None:
        super().__init__(error)
        self.status, self.error, self.field = status, error, field


def reply(message: object, status: int = 200) -> Response:
    """A message as JSON, which no cache keeps."""
    headers = {"cache-control": "no-store"}
    if status == 503:
        headers["retry-after"] = _RETRY_SECONDS
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    return Response(_encoder.encode(message), status, headers=headers, media_type=JSON)


def refusal(status: int, error: str, *, field: str | None = None) -> Response:
    """Why a request is refused."""
    return reply(Problem(error=error, field=field), status)


async def read(request: Request, decoder: msgspec.json.Decoder[Message]) -> Message:
    """The message in the body of a request.

    Raises:
        Refusal: 400 it is no JSON, 408 it does not come, 413 it is too long, 415 it says it is
            something else, 422 it is another message.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise Refusal(415, f"expected a body of type {JSON}")
    try:
        return decoder.decode(await _body(request))
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise Refusal(422, what, field=where.strip("`.") or None) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(400, f"not JSON in UTF-8: {error}") from error


async def _body(request: Request) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > BODY_BYTES:
        raise Refusal(413, f"a body of more than {BODY_BYTES:,} bytes")
    parts, size = [], 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > BODY_BYTES:
                    raise Refusal(413, f"a body of more than {BODY_BYTES:,} bytes")
                parts.append(part)
    except TimeoutError as error:
        raise Refusal(408, f"the body did not come within {_BODY_SECONDS:.0f} s") from error
    except ClientDisconnect as error:
        raise Refusal(400, "the connection ended before the body") from error
    return b"".join(parts)
