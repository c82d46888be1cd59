"""The interface, tried with what its own OpenAPI document allows and with what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra serve")
pytest.importorskip("schemathesis", reason="needs schemathesis")

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from dexa import Dexa
from dexa.server.endpoints import ENDPOINTS
from serving import TOKEN, process

# To JSON Schema 80.0 is an integer, to us it is not. The token is tested in test_server_labels.py:
# schemathesis would try requests without it, but sends it in every one when it is given a header.
LEFT_OUT = [positive_data_acceptance, ignored_auth]


@pytest.fixture(scope="module")
def document(fitted: Dexa, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("fuzzed")
    fitted.save(folder / "model")
    (folder / "token").write_text(TOKEN)
    with process(folder / "model", "--token-file", str(folder / "token")) as server:
        yield schemathesis.openapi.from_url(f"{server.address}/openapi.json")


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(
    ("method", "path"), [(endpoint.method, endpoint.path) for endpoint in ENDPOINTS]
)
def test_no_request_breaks_the_server(document: Any, method: str, path: str, mode: Any) -> None:
    operation = document[path][method]
    if mode.is_negative and operation.method == "get" and not operation.query:
        pytest.skip("nothing to be wrong about")

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    def ask(case: Any) -> None:
        headers = {"authorization": f"Bearer {TOKEN}"}
        response = case.call(headers=headers, timeout=20)
        if response.status_code != 413:  # right for a long text, but no refusal to schemathesis
            case.validate_response(response, headers=headers, excluded_checks=LEFT_OUT)

    ask()
