"""The schemas of the contract: they suit generators of clients, and the examples match them exactly."""

import copy
from collections.abc import Iterator
from typing import Any

import marshmallow as ma
import pytest
from jsonschema_rs import ValidationError, validate

from schemas import examples
from schemas.capture import CaptureBatch
from schemas.corrections import CorrectionBatch
from schemas.fields import INTERVALS, MINOR_UNITS, SOURCES
from schemas.responses import CaptureResult, CorrectionResult, Corrections, History, Latest, PortfolioHistory
from tests.support.contract import HISTORY, LATEST, all_responses, operations, responses
from tools.strict_contract import strict_schema

REQUESTS = {"CaptureBatch", "CaptureItem", "CorrectionBatch", "CorrectionItem", "Replacement"}


def properties(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for part in schema.values():
            yield from properties(part)


def schemas_in(part: Any) -> Iterator[dict[str, Any]]:
    """Yield every object in a part of the contract, except in its examples."""
    if isinstance(part, list):
        for item in part:
            yield from schemas_in(item)
    elif isinstance(part, dict):
        yield part
        for name, item in part.items():
            if name != "example":
                yield from schemas_in(item)


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


@pytest.mark.parametrize(("name", "values"), [("Source", SOURCES), ("Interval", INTERVALS)])
def test_a_list_of_values_has_a_schema_of_its_own(contract: dict[str, Any], name: str, values: tuple[str, ...]) -> None:
    lists = [schema["enum"] for schema in schemas_in(contract) if values[0] in schema.get("enum", [])]

    assert lists == [list(values)]
    assert contract["components"]["schemas"][name]["enum"] == list(values)


@pytest.mark.parametrize("name", ["source", "interval", "currency"])
def test_members_and_parameters_refer_to_the_schema_of_their_kind(contract: dict[str, Any], name: str) -> None:
    members = [schema for member, schema in properties(contract["components"]["schemas"]) if member == name]
    parameters = [p["schema"] for *_, o in operations(contract) for p in o["parameters"] if p["name"] == name]
    reference = f"#/components/schemas/{name.capitalize()}"

    assert members
    assert all(reference in str(schema) and "type" not in schema for schema in members + parameters)


def test_the_schema_of_currencies_admits_every_code_that_can_be_captured(contract: dict[str, Any]) -> None:
    for code in MINOR_UNITS:
        validate(contract["components"]["schemas"]["Currency"], code)


def test_a_request_may_have_only_the_members_of_its_schema_and_a_response_more(contract: dict[str, Any]) -> None:
    objects = {name: s for name, s in contract["components"]["schemas"].items() if s["type"] == "object"}

    closed = {name for name, schema in objects.items() if schema.get("additionalProperties") is False}
    assert closed == REQUESTS
    assert len(objects) > 2 * len(closed)


def test_no_member_has_null_for_its_default(contract: dict[str, Any]) -> None:
    assert [schema for schema in schemas_in(contract) if schema.get("default", "") is None] == []
    capture = contract["components"]["schemas"]["CaptureItem"]
    assert "cash_value" not in capture["required"]


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
        content, *_ = responses(contract, path)[status]["content"].values()
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


def test_every_example_of_a_response_has_the_members_of_its_schema_and_no_others(contract: dict[str, Any]) -> None:
    for _, status, response in all_responses(contract):
        (content,) = response["content"].values()
        validate(strict_schema(contract, int(status), response), content["example"], validate_formats=True)


@pytest.mark.parametrize("place", ["response", "snapshot"])
def test_the_strict_schema_refuses_a_member_that_the_contract_does_not_name(
    contract: dict[str, Any], place: str
) -> None:
    response = responses(contract, LATEST)["200"]
    body = copy.deepcopy(response["content"]["application/json"]["example"])
    (body if place == "response" else body["snapshots"][0])["new"] = 1

    validate({**response["content"]["application/json"]["schema"], "components": contract["components"]}, body)
    with pytest.raises(ValidationError, match="'new'"):
        validate(strict_schema(contract, 200, response), body)


@pytest.mark.parametrize("change", [{"title": "Not Found"}, {"type": "about:blank"}, {"status": 404}, {"errors": None}])
def test_the_strict_schema_refuses_the_problem_of_another_status(
    contract: dict[str, Any], change: dict[str, Any]
) -> None:
    response = responses(contract, LATEST, "post")["409"]
    example = response["content"]["application/problem+json"]["example"]
    problem = {name: value for name, value in (example | change).items() if value is not None}

    with pytest.raises(ValidationError):
        validate(strict_schema(contract, 409, response), problem)
