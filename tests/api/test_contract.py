"""The contract in OpenAPI: complete, valid, as committed, and kept by the running service."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import marshmallow as ma
import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from config import Settings
from schemas import examples
from schemas.capture import CaptureBatch
from schemas.corrections import CorrectionBatch
from schemas.fields import MINOR_UNITS
from schemas.reads import (
    CorrectionsParameters,
    HistoryParameters,
    LatestParameters,
    ListParameters,
    PortfolioParameters,
)
from schemas.responses import CaptureResult, CorrectionResult, Corrections, History, Latest, PortfolioHistory
from tests.support import API, LATEST, ROOT
from tests.support.apps import serving
from tools import openapi

HISTORY = f"{API}/accounts/{{account_id}}/balance-history"
RECENT = f"{API}/accounts/{{account_id}}/balance-snapshots"
PORTFOLIO = f"{API}/balance-history"
PROXYS = {"413", "414", "431", "502", "504"}
RATE_LIMIT = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
SECURITY = {"Cache-Control", "Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"}
AUDIT = f"{API}/accounts/{{account_id}}/corrections"
CORRECT = f"{API}/balance-snapshots/corrections"
READS = [LATEST, PORTFOLIO, HISTORY, f"{HISTORY}.csv", RECENT, AUDIT]


@pytest.fixture(scope="module")
def contract(app: Flask) -> dict[str, Any]:
    return served(app)


def served(app: Flask) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(app.test_client().get("/openapi.json").text)
    return document


def answers(contract: dict[str, Any], path: str, method: str = "get") -> dict[str, Any]:
    """Return the responses of an operation by status."""
    found: dict[str, Any] = contract["paths"][path][method]["responses"]
    return found


def test_the_committed_contract_is_the_one_that_is_served() -> None:
    assert openapi.FILE.read_text() == openapi.document(), "make docs updates it"


def test_the_contract_is_valid_openapi_of_version_3_1(contract: dict[str, Any]) -> None:
    assert contract["openapi"] == "3.1.0"
    validate(contract)


def test_the_contract_holds_every_operation_of_the_api(app: Flask, contract: dict[str, Any]) -> None:
    routes = {
        (rule.rule.replace("<", "{").replace(">", "}"), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(API)
        for method in (rule.methods or set()) - {"HEAD"}
    }

    assert {(path, method) for path, item in contract["paths"].items() for method in item} == routes


@pytest.mark.parametrize(
    ("path", "method", "statuses"),
    [
        (LATEST, "get", {"200", "400", "401", "429", "500", "503"}),
        (PORTFOLIO, "get", {"200", "400", "401", "429", "500", "503"}),
        (f"{HISTORY}.csv", "get", {"200", "400", "401", "403", "404", "429", "500", "503"}),
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
    assert set(answers(contract, path, method)) == statuses | PROXYS


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        (LATEST, LatestParameters),
        (PORTFOLIO, PortfolioParameters),
        (HISTORY, HistoryParameters),
        (f"{HISTORY}.csv", HistoryParameters),
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


def test_the_contract_states_the_limits_of_parameters(contract: dict[str, Any]) -> None:
    parameters = {p["name"]: p["schema"] for p in contract["paths"][RECENT]["get"]["parameters"]}

    assert parameters["limit"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 30}
    assert len(parameters["source"]["enum"]) == 5
    batch = contract["components"]["schemas"]["CaptureBatch"]["properties"]["snapshots"]
    assert (batch["minItems"], batch["maxItems"]) == (1, 1000)
    assert contract["components"]["schemas"]["CaptureItem"]["properties"]["currency"]["enum"] == sorted(MINOR_UNITS)


@pytest.mark.parametrize("path", READS)
def test_every_response_names_its_headers(contract: dict[str, Any], path: str) -> None:
    for status, answer in answers(contract, path).items():
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
        assert set(answer["headers"]) == expected, status


def test_every_error_is_a_problem_of_its_own_type(contract: dict[str, Any]) -> None:
    for path, item in contract["paths"].items():
        for method in item:
            for status, answer in answers(contract, path, method).items():
                if status >= "400":
                    (content,) = answer["content"].items()
                    assert content[0] == "application/problem+json"
                    constants = content[1]["schema"]["allOf"][1]["properties"]
                    assert constants["status"]["const"] == int(status)
                    assert constants["type"]["const"] == "https://api.dashtam.com/errors/" + constants["title"][
                        "const"
                    ].lower().replace(" ", "_")


def test_problem_types_are_those_of_the_settings(settings: Settings) -> None:
    with serving(replace(settings, problem_base_url="https://example.com/p/")) as app:
        document = served(app)

    conflict = answers(document, LATEST, "post")["409"]["content"]["application/problem+json"]
    assert conflict["schema"]["allOf"][1]["properties"]["type"] == {"const": "https://example.com/p/conflict"}


def test_an_example_of_a_problem_is_one_that_its_operation_returns(contract: dict[str, Any]) -> None:
    for path, item in contract["paths"].items():
        for method in item:
            for status, answer in answers(contract, path, method).items():
                if status >= "400":
                    example = answer["content"]["application/problem+json"]["example"]
                    assert example["status"] == int(status)
                    assert ("errors" in example) == (status in ("400", "409"))
                    if status in PROXYS:
                        assert "instance" not in example
                    else:
                        assert example["instance"].rpartition("/")[2] == path.rpartition("/")[2]


def test_the_contract_states_the_scopes(contract: dict[str, Any]) -> None:
    assert contract["paths"][LATEST]["post"]["security"] == [{"bearer": ["balance-snapshots:write"]}]
    assert contract["paths"][CORRECT]["post"]["security"] == [{"bearer": ["balance-snapshots:correct"]}]
    assert {str(contract["paths"][path]["get"]["security"]) for path in READS} == {"[{'bearer': []}]"}


def properties(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for part in schema.values():
            yield from properties(part)


def test_money_is_a_string_with_a_decimal_pattern_and_never_a_number(contract: dict[str, Any]) -> None:
    money = [
        (name, schema)
        for name, schema in properties(contract["components"]["schemas"])
        if name.endswith(("balance", "_value", "_amount"))
    ]

    assert len({name for name, _ in money}) >= 8
    for name, schema in money:
        assert "string" in schema["type"], name
        assert schema["format"] == "decimal", name
        assert schema["pattern"].startswith("^-?[0-9]"), name
        assert schema["pattern"].endswith(r"(\.[0-9]{1,4})?$"), name
    totals = contract["components"]["schemas"]["Latest"]["properties"]["total_balance_by_currency"]
    assert (totals["additionalProperties"]["type"], totals["additionalProperties"]["format"]) == ("string", "decimal")


@pytest.mark.parametrize(
    ("schema", "example"),
    [
        (Latest, examples.LATEST),
        (History, examples.HISTORY),
        (History, examples.RECENT),
        (CaptureBatch, examples.BATCH),
        (PortfolioHistory, examples.PORTFOLIO),
        (CaptureResult, examples.CREATED),
        (CorrectionBatch, examples.CORRECTIONS),
        (CorrectionResult, examples.CORRECTED),
        (Corrections, examples.SUPERSEDED),
        (CaptureResult, examples.DUPLICATE),
    ],
)
def test_an_example_matches_its_schema_in_the_documented_order(
    schema: type[ma.Schema], example: dict[str, Any]
) -> None:
    schema().load(example)

    assert list(example) == list(schema().fields)


def test_the_examples_of_the_api_page_are_in_the_contract(contract: dict[str, Any]) -> None:
    def example(path: str, status: str) -> Any:
        content, *_ = answers(contract, path)[status]["content"].values()
        return content["example"]

    assert example(LATEST, "200")["total_balance_by_currency"] == {"USD": "25000.00"}
    assert example(HISTORY, "200")["total_change_amount"] == "2500.00"
    assert example(HISTORY, "404") == {
        "type": "https://api.dashtam.com/errors/not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "Account not found",
        "instance": "/api/v1/accounts/550e8400-e29b-41d4-a716-446655440000/balance-history",
        "trace_id": "abc123-def456-ghi789",
    }


@pytest.mark.parametrize("path", ["/docs", "/docs/swagger-ui.css", "/openapi.json"])
def test_a_setting_turns_the_documents_off(settings: Settings, path: str) -> None:
    with serving(replace(settings, docs=False)) as app:
        answer = app.test_client().get(path)

    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"


def test_the_docs_page_has_all_files_that_it_needs_and_may_run_nothing_else(anonymous: FlaskClient) -> None:
    page = anonymous.get("/docs")

    assert "//" not in page.text
    for file in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "favicon-32x32.png"):
        assert f'"/docs/{file}"' in page.text
        with anonymous.get(f"/docs/{file}") as answer:
            assert answer.status_code == 200
    assert "script-src 'self';" in page.headers["Content-Security-Policy"]
    assert "<script>" not in page.text


def test_no_other_file_is_served(anonymous: FlaskClient) -> None:
    for path in ("/docs/", "/docs/none.js", "/docs/..%2f__init__.py", "/docs/../__init__.py"):
        assert anonymous.get(path).status_code == 404


def test_the_running_service_keeps_its_contract(contract: dict[str, Any]) -> None:
    """Schemathesis runs all of its checks over HTTP, with valid and invalid requests; `make fuzz` does so at length."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.fuzz", "1", "25"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    operations = sum(len(operations) for operations in contract["paths"].values())
    assert f"{operations} selected / {operations} total" in done.stdout
