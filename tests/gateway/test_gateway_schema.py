"""The OpenAPI document against the server: no 5xx but the documented 503, and no status that is not told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    status_code_conformance,
)
from servers import tiny_search_world
from serving_room import Server, serving

SPARSE = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
    derandomize=True,
)


@pytest.fixture(scope="module")
def document(server: Server) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


def check(case: Any) -> None:
    response = case.call()
    checks = [status_code_conformance, content_type_conformance]
    if response.status_code == 503:
        assert response.headers["retry-after"] == ["1"]
    else:
        checks.append(not_a_server_error)
    case.validate_response(response, checks=checks)


def test_every_answer_is_one_that_the_document_tells(document: Any) -> None:
    operations = [each.ok() for each in document.get_all_operations()]
    assert len(operations) >= 12
    for operation in operations:
        if operation.path != "/metrics":  # which joins the counts of processes that do not run here
            SPARSE(given(case=operation.as_strategy())(check))()


def test_bodies_that_the_document_forbids_are_422(document: Any) -> None:
    def refused(case: Any) -> None:
        response = case.call()
        case.validate_response(response, checks=[negative_data_rejection])
        assert response.status_code in (413, 422)

    for path in ("/v1/route", "/v1/feedback"):
        wrong = document[path]["POST"].as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
        SPARSE(given(case=wrong)(refused))()


@pytest.fixture(scope="module")
def searching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose unit searches; tests only look."""
    folder = tmp_path_factory.mktemp("searching") / "gateway"
    with serving(tiny_search_world(tmp_path_factory), folder) as running:
        yield running


def test_the_document_tells_what_a_search_takes_and_gives(searching: Server) -> None:
    document = schemathesis.openapi.from_url(f"{searching.url}/openapi.json")
    search = document["/v1/search"]["POST"]
    SPARSE(given(case=search.as_strategy())(check))()

    def refused(case: Any) -> None:
        response = case.call()
        case.validate_response(response, checks=[negative_data_rejection])
        assert response.status_code in (413, 422)

    wrong = search.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    SPARSE(given(case=wrong)(refused))()
    told = searching.ask("GET", "/openapi.json").json["paths"]["/v1/search"]["post"]
    asked = told["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert {"query", "k", "filters"} <= asked.keys()
    assert asked["k"]["description"] == "Items at most; 10 where it is null or left out."
    reply = searching.ask("POST", "/v1/search", {"query": "x", "k": 2}).json
    told_reply = {"items", "catalogue_generation", "request_id", "release", "generation"}
    assert reply.keys() == told_reply
    assert reply["items"][0].keys() == {"item_id", "title", "score"}


def test_a_query_over_the_limit_is_told_what_became_of_it_in_words_of_a_search(searching: Server) -> None:
    told = searching.ask("POST", "/v1/search", {"query": "x" * 1001})
    assert (told.status, told.json["kind"]) == (413, "TooLarge")
    assert told.json["error"] == "the request was refused: its query is too long, and none of it was read"
    assert "what is looked for" in told.json["next"]
    assert "conversation" not in json.dumps(told.json)


def test_the_document_tells_every_path(server: Server) -> None:
    told = server.ask("GET", "/openapi.json").json
    assert {"/v1/route", "/v1/feedback", "/health/live", "/health/ready", "/metrics"} <= told["paths"].keys()
    assert "/v2/models/{name}/versions/{version}/infer" in told["paths"]
    for path in ("/health/live", "/health/ready", "/v2/health/live", "/v2/health/ready"):
        assert {"get", "head"} == told["paths"][path].keys()
    names = [each["operationId"] for methods in told["paths"].values() for each in methods.values()]
    assert len(names) == len(set(names))
    for path, methods in told["paths"].items():
        for method, each in methods.items():
            assert each["summary"], (method, path)
            if method == "post":
                assert each["requestBody"]["content"]["application/json"]["schema"]["properties"]
                assert {"408", "413", "422", "503"} <= each["responses"].keys()
