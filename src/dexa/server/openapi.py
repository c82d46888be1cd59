"""The OpenAPI document, made of the table of endpoints and of the messages themselves."""

from __future__ import annotations

import http
import importlib.metadata
import inspect
from collections.abc import Sequence
from typing import Any

import msgspec

from dexa.server.endpoints import Endpoint
from dexa.server.messages import LABELS_SHOWN, QUERY_CHARACTERS, Problem
from dexa.server.replies import JSON

_PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "GET /v1/labels": [
        {
            "name": "query",
            "in": "query",
            "required": True,
            "description": "a piece of a label's text",
            "schema": {"type": "string", "minLength": 1, "maxLength": QUERY_CHARACTERS},
        },
        {
            "name": "limit",
            "in": "query",
            "description": "labels at most",
            "schema": {"type": "integer", "minimum": 1, "maximum": LABELS_SHOWN, "default": 20},
        },
    ],
    "DELETE /v1/labels/{label}": [
        {
            "name": "label",
            "in": "path",
            "required": True,
            "description": "id of the label",
            "schema": {"type": "integer", "minimum": 0},
        }
    ],
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of some endpoints."""
    types = [Problem]
    for endpoint in endpoints:
        types += [kind for kind in (endpoint.takes, endpoint.gives) if kind is not None]
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = paths.setdefault(endpoint.path, {})
        path[endpoint.method.lower()] = _operation(endpoint, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dexa",
            "version": importlib.metadata.version("dexa-xc"),
            "description": "Tags texts with the right few of very many labels.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint, schema_of: dict[str, dict[str, Any]]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": endpoint.does.__name__,
        "summary": inspect.getdoc(endpoint.does),
        "responses": {str(endpoint.status): _answer(endpoint, schema_of)},
    }
    for status in sorted(endpoint.refuses):
        described["responses"][str(status)] = {
            "description": http.HTTPStatus(status).phrase,
            "content": {JSON: {"schema": schema_of[repr(Problem)]}},
        }
    if endpoint.takes is not None:
        described["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": schema_of[repr(endpoint.takes)]}},
        }
    if parameters := _PARAMETERS.get(f"{endpoint.method} {endpoint.path}"):
        described["parameters"] = parameters
    if endpoint.token:
        described["security"] = [{"token": []}]
    return described


def _answer(endpoint: Endpoint, schema_of: dict[str, dict[str, Any]]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": http.HTTPStatus(endpoint.status).phrase}
    if endpoint.gives is None:
        answer["content"] = {"text/plain": {"schema": {"type": "string"}}}
    else:
        answer["content"] = {JSON: {"schema": schema_of[repr(endpoint.gives)]}}
    return answer
