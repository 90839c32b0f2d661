"""The contract in OpenAPI: it is complete, and the committed file is what the service serves."""

from dataclasses import replace
from typing import Any
from urllib.parse import urljoin

import marshmallow as ma
import pytest
from flask import Flask
from flask.testing import FlaskClient

from config import Settings
from schemas.reads import (
    CorrectionsParameters,
    HistoryParameters,
    LatestParameters,
    ListParameters,
    PortfolioParameters,
)
from tests.support import API, Caller
from tests.support.apps import serving
from tests.support.contract import (
    AUDIT,
    CORRECT,
    HISTORY,
    HISTORY_CSV,
    LATEST,
    PORTFOLIO,
    READS,
    RECENT,
    all_responses,
    operations,
    responses,
    served,
)
from tools import openapi

STATUSES_OF_PROXY = {"413", "414", "431", "502", "504"}
RATE_LIMIT = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
SECURITY = {"Cache-Control", "Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"}


def test_the_committed_contract_is_the_one_that_is_served() -> None:
    assert openapi.FILE.read_text() == openapi.document(), "make docs updates it"


def test_the_contract_holds_every_operation_of_the_api(app: Flask, contract: dict[str, Any]) -> None:
    routes = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(API)
        for method in (rule.methods or set()) - {"HEAD"}
    }

    assert {(f"{API}{path}", method) for path, method, _ in operations(contract)} == routes


def test_the_server_url_and_a_path_lead_to_the_operation(
    contract: dict[str, Any], anonymous: FlaskClient, user: Caller
) -> None:
    (server,) = contract["servers"]

    # OpenAPI resolves the server's URL against that of the document.
    url = urljoin("http://localhost/openapi.json", server["url"]) + LATEST
    assert anonymous.get(url, headers=user.authorization).status_code == 200


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        (LATEST, "get", {"200", "400", "401", "429", "500", "503"}),
        (PORTFOLIO, "get", {"200", "400", "401", "429", "500", "503"}),
        (HISTORY_CSV, "get", {"200", "400", "401", "403", "404", "429", "500", "503"}),
        (HISTORY, "get", {"200", "400", "401", "403", "404", "429", "500", "503"}),
        (RECENT, "get", {"200", "400", "401", "403", "404", "429", "500", "503"}),
        (AUDIT, "get", {"200", "400", "401", "403", "404", "429", "500", "503"}),
        (CORRECT, "post", {"200", "400", "401", "403", "409", "415", "500", "503"}),
        (LATEST, "post", {"200", "201", "400", "401", "403", "409", "415", "500", "503"}),
    ],
)
def test_an_operation_names_each_status_that_it_can_return(
    contract: dict[str, Any], path: str, method: str, statuses: set[str]
) -> None:
    assert set(responses(contract, path, method)) == statuses | STATUSES_OF_PROXY


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        (LATEST, LatestParameters),
        (PORTFOLIO, PortfolioParameters),
        (HISTORY, HistoryParameters),
        (HISTORY_CSV, HistoryParameters),
        (RECENT, ListParameters),
        (AUDIT, CorrectionsParameters),
    ],
)
def test_a_read_names_each_of_its_parameters(contract: dict[str, Any], path: str, schema: type[ma.Schema]) -> None:
    parameters = contract["paths"][path]["get"]["parameters"]

    named = {(p["name"], p.get("required", False)) for p in parameters if p["in"] == "query"}
    assert named == {(name, field.required) for name, field in schema().fields.items()}
    assert [p["name"] for p in parameters if p["in"] == "path"] == (["account_id"] if "{" in path else [])
    assert {p["name"] for p in parameters if p["in"] == "header"} == {"traceparent", "X-Trace-Id", "Prefer"}


def test_the_contract_states_the_limits_of_parameters_and_batches(contract: dict[str, Any]) -> None:
    parameters = {p["name"]: p["schema"] for p in contract["paths"][RECENT]["get"]["parameters"]}

    assert parameters["limit"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 30}
    batch = contract["components"]["schemas"]["CaptureBatch"]["properties"]["snapshots"]
    assert (batch["minItems"], batch["maxItems"]) == (1, 1000)


@pytest.mark.parametrize("path", READS)
def test_every_response_to_a_read_names_its_headers(contract: dict[str, Any], path: str) -> None:
    for status, response in responses(contract, path).items():
        expected = {"X-Trace-Id", *SECURITY}
        if status in {"200", "400", "403", "404", "429", "500", "503"}:
            expected |= RATE_LIMIT
        if status in {"429", "502", "503", "504"}:
            expected |= {"Retry-After"}
        if status == "401":
            expected |= {"WWW-Authenticate"}
        if path in (RECENT, AUDIT) and status == "200":
            expected |= {"Link"}
        if path.endswith(".csv") and status == "200":
            expected |= {"Content-Disposition"}
        assert set(response["headers"]) == expected, status


def test_every_error_refers_to_the_one_schema_of_problems(contract: dict[str, Any]) -> None:
    errors = [response for _, status, response in all_responses(contract) if status >= "400"]

    assert len(errors) > 80
    for response in errors:
        assert list(response["content"]) == ["application/problem+json"]
        schema = response["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}


def test_an_error_states_the_type_and_title_of_its_status_in_its_description_and_its_example(
    contract: dict[str, Any],
) -> None:
    for path, status, response in all_responses(contract):
        if status >= "400":
            example = response["content"]["application/problem+json"]["example"]
            assert example["status"] == int(status)
            assert example["type"] == "https://api.dashtam.com/errors/" + example["title"].lower().replace(" ", "_")
            assert response["description"].startswith(f"{example['title']}. "), path
            assert f"`{example['type']}`" in response["description"], path


def test_problem_types_are_those_of_the_settings(settings: Settings) -> None:
    with serving(replace(settings, problem_base_url="https://example.com/p/")) as app:
        document = served(app)

    conflict = responses(document, LATEST, "post")["409"]
    assert conflict["content"]["application/problem+json"]["example"]["type"] == "https://example.com/p/conflict"
    assert "`https://example.com/p/conflict`" in conflict["description"]


def test_an_example_of_a_problem_has_the_members_and_the_path_that_its_operation_returns(
    contract: dict[str, Any],
) -> None:
    for path, status, response in all_responses(contract):
        if status >= "400":
            example = response["content"]["application/problem+json"]["example"]
            assert ("errors" in example) == (status in ("400", "409"))
            if status in STATUSES_OF_PROXY:
                assert "instance" not in example
            else:
                assert example["instance"].rpartition("/")[2] == path.rpartition("/")[2]


def test_the_contract_states_the_scopes(contract: dict[str, Any]) -> None:
    described = {
        (path, method): operation["description"].rpartition("The token needs the scope ")[2]
        for path, method, operation in operations(contract)
        if "scope" in operation["description"]
    }

    assert described == {
        (LATEST, "post"): "`balance-snapshots:write`.",
        (CORRECT, "post"): "`balance-snapshots:correct`.",
    }


def test_every_operation_needs_a_token_and_the_contract_says_where_it_comes_from(contract: dict[str, Any]) -> None:
    assert [operation["security"] for *_, operation in operations(contract)] == [[{"bearer": []}]] * 8
    help_text = contract["components"]["securitySchemes"]["bearer"]["description"]
    assert "identity service" in help_text
    assert "`make token " in help_text


def test_every_operation_has_a_summary_a_description_and_a_tag_that_is_described(contract: dict[str, Any]) -> None:
    described = {tag["name"] for tag in contract["tags"] if tag["description"]}

    assert {tag for *_, operation in operations(contract) for tag in operation["tags"]} == described
    for path, method, operation in operations(contract):
        assert len(operation["tags"]) == 1, (path, method)
        assert operation["description"], (path, method)
        # A summary is plain text in OpenAPI, and tools show it as it is.
        assert not set("`*_[]<>\n") & set(operation["summary"]), (path, method)


def test_the_contract_does_not_ask_callers_to_escape_what_their_tools_escape(app: Flask) -> None:
    assert "%2B" not in app.test_client().get("/openapi.json").text
