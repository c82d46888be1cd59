"""What the server answers: a function for each path, and the table that the document is made of."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dexa.server import messages
from dexa.server.jobs import Add, Ask, Draw, Encode, Explain, Find, Remove
from dexa.server.monitoring import CONTENT_TYPE
from dexa.server.replies import Refusal, read, refusal, reply
from dexa.server.service import Service

log = logging.getLogger("dexa.server")

_question = msgspec.json.Decoder(messages.Question)
_to_encode = msgspec.json.Decoder(messages.TextsToEncode)
_to_explain = msgspec.json.Decoder(messages.TextAndLabel)
_neighbourhood = msgspec.json.Decoder(messages.Neighbourhood)
_new_labels = msgspec.json.Decoder(messages.NewLabels)


async def predict(service: Service, request: Request) -> Response:
    """The best labels of one text or of several."""
    start = time.perf_counter()
    service.refuse_if_full()
    asked = await read(request, _question)
    job = Ask(
        texts=_several(asked.texts),
        k=asked.k,
        threshold=asked.threshold,
        labels=None if asked.labels is None else tuple(sorted(set(asked.labels))),
        details=asked.details,
    )
    _log_texts(service, job.texts)
    answers = await service.answer(job)
    spent = round(1e3 * (time.perf_counter() - start), 3)
    return reply(messages.Answer(answers=answers, milliseconds=spent))


async def encode(service: Service, request: Request) -> Response:
    """Unit vectors of one text or of several."""
    service.refuse_if_full()
    asked = await read(request, _to_encode)
    texts = _several(asked.texts)
    _log_texts(service, texts)
    side = cast("Literal['document', 'label']", asked.side)
    return reply(messages.Vectors(await service.answer(Encode(texts=texts, side=side))))


async def explain(service: Service, request: Request) -> Response:
    """What made a label's score for a text."""
    service.refuse_if_full()
    asked = await read(request, _to_explain)
    _log_texts(service, [asked.text])
    return reply(await service.answer(Explain(text=asked.text, label=asked.label)))


async def draw(service: Service, request: Request) -> Response:
    """The labels near a text, as places in a plane."""
    service.refuse_if_full()
    asked = await read(request, _neighbourhood)
    _log_texts(service, [asked.text])
    return reply(await service.answer(Draw(text=asked.text, k=asked.k)))


async def find_labels(service: Service, request: Request) -> Response:
    """Labels whose text contains the query, the nearest and the most frequent first."""
    service.refuse_if_full()
    query, limit = request.query_params.get("query", ""), request.query_params.get("limit", "20")
    if not 1 <= len(query) <= messages.QUERY_CHARACTERS:
        raise Refusal(422, f"1 to {messages.QUERY_CHARACTERS} characters wanted", field="query")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= messages.LABELS_SHOWN):
        raise Refusal(422, f"a number from 1 to {messages.LABELS_SHOWN} wanted", field="limit")
    _log_texts(service, [query])
    found = await service.answer(Find(query=query, limit=int(limit)))
    return reply(messages.Labels(found))


async def add_labels(service: Service, request: Request) -> Response:
    """Add labels; they answer from the next request on."""
    _check_token(service, request)
    asked = await read(request, _new_labels)
    if asked.documents is not None and len(asked.documents) != len(asked.texts):
        raise Refusal(422, f"{len(asked.texts)} lists of documents wanted", field="documents")
    added = await service.change(Add(texts=asked.texts, documents=asked.documents))
    log.info("added labels %s", [label.id for label in added])
    return reply(messages.Labels(added), 201)


async def remove_label(service: Service, request: Request) -> Response:
    """Remove a label; it never answers again."""
    _check_token(service, request)
    text = request.path_params["label"]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refusal(404, "no such label")
    removed = await service.change(Remove(label=int(text)))
    log.info("removed label %s", int(text))
    return reply(messages.Labels([removed]))


async def model(service: Service, request: Request) -> Response:
    """What the model is."""
    return reply(service.facts())


async def healthz(service: Service, request: Request) -> Response:
    """Whether the process lives."""
    return reply(messages.Health("alive"))


async def readyz(service: Service, request: Request) -> Response:
    """Whether requests are answered."""
    if not service.ready:
        return refusal(503, "starting or ending")
    return reply(messages.Health("ready"))


async def metrics(service: Service, request: Request) -> Response:
    """Figures for Prometheus."""
    return Response(service.figures.page(), media_type=CONTENT_TYPE)


def _several(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


def _log_texts(service: Service, texts: list[str]) -> None:
    if service.settings.log_texts:
        for text in texts:
            log.info("text %r", text)


def _check_token(service: Service, request: Request) -> None:
    """Let only those change labels who know the token.

    Raises:
        Refusal: 401 without it or with another, 403 if the server has none.
    """
    token = service.settings.token
    if token is None:
        raise Refusal(403, "labels cannot be changed: the server was started without --token-file")
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    right = hmac.compare_digest(given.strip().encode(), token.encode())
    if kind.lower() != "bearer" or not right:
        raise Refusal(401, "the header Authorization: Bearer TOKEN is missing, or its token wrong")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A path and what it answers.

    Attributes:
        method: of HTTP.
        path: with ``{label}`` for a variable piece.
        does: the function, whose docstring tells what it does.
        takes: the message in the body; None where there is none.
        gives: the message of the answer; None where it is no JSON.
        status: of the answer.
        refuses: statuses of refusals.
        token: whether it needs the token.
    """

    method: str
    path: str
    does: Callable[[Service, Request], Awaitable[Response]]
    takes: type | None = None
    gives: Any = None
    status: int = 200
    refuses: tuple[int, ...] = ()
    token: bool = False


_BODY = (400, 408, 413, 415, 422, 503)
ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/predict",
        does=predict,
        takes=messages.Question,
        gives=messages.Answer,
        refuses=_BODY,
    ),
    Endpoint(
        method="POST",
        path="/v1/encode",
        does=encode,
        takes=messages.TextsToEncode,
        gives=messages.Vectors,
        refuses=_BODY,
    ),
    Endpoint(
        method="POST",
        path="/v1/explain",
        does=explain,
        takes=messages.TextAndLabel,
        gives=dict[str, Any],
        refuses=(*_BODY, 404),
    ),
    Endpoint(
        method="POST",
        path="/v1/map",
        does=draw,
        takes=messages.Neighbourhood,
        gives=messages.Map,
        refuses=_BODY,
    ),
    Endpoint(
        method="GET",
        path="/v1/labels",
        does=find_labels,
        gives=messages.Labels,
        refuses=(422, 503),
    ),
    Endpoint(
        method="POST",
        path="/v1/labels",
        does=add_labels,
        takes=messages.NewLabels,
        gives=messages.Labels,
        status=201,
        refuses=(*_BODY, 401, 403, 409),
        token=True,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/labels/{label}",
        does=remove_label,
        gives=messages.Labels,
        refuses=(401, 403, 404, 409, 503),
        token=True,
    ),
    Endpoint(method="GET", path="/v1/model", does=model, gives=messages.ModelFacts),
    Endpoint(method="GET", path="/healthz", does=healthz, gives=messages.Health),
    Endpoint(method="GET", path="/readyz", does=readyz, gives=messages.Health, refuses=(503,)),
    Endpoint(method="GET", path="/metrics", does=metrics),
)
