"""Refused batches of corrections (rule 32), in the order of the checks (rule 10)."""

from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from tests.support import Caller, Response, assert_unauthorized, captured, correction, faults, snapshot, usd, user_token

PATH = "/balance-snapshots/corrections"


@pytest.fixture
def item(user_id: str, account_id: str) -> dict[str, Any]:
    return snapshot(user_id, account_id, "10000.00")


@pytest.fixture
def good(sync_job: Caller, item: dict[str, Any]) -> dict[str, Any]:
    """A correction that would succeed."""
    return correction(item, captured(sync_job, item)[0]["id"], usd("100.00"))


def refused(response: Response, status: int) -> Response:
    assert (response.status_code, response.content_type) == (status, "application/problem+json"), response.text
    return response


@pytest.mark.parametrize("scope", ["", "balance-snapshots:write", "balance-snapshots:correct-all"])
def test_a_token_without_the_scope_may_not_correct(
    scope: str, app: Flask, user: Caller, user_id: str, account_id: str, good: dict[str, Any]
) -> None:
    for subject in ("corrections-job", user_id):
        response = Caller(app, user_token(subject, scope=scope)).correct(good)
        assert "balance-snapshots:correct" in refused(response, 403).json["detail"]
    assert user.corrections(account_id).json["total_count"] == 0


def test_the_scope_to_correct_does_not_allow_capture(corrector: Caller, item: dict[str, Any]) -> None:
    refused(corrector.capture(item), 403)


def test_the_scope_may_be_one_of_several(app: Flask, good: dict[str, Any]) -> None:
    caller = Caller(app, user_token("job", scope="balance-snapshots:write balance-snapshots:correct"))

    assert caller.correct(good).status_code == 200


def test_the_checks_come_in_the_same_order_as_for_a_capture(
    app: Flask, corrector: Caller, good: dict[str, Any]
) -> None:
    too_large, not_json = b"[" * (1024 * 1024 + 1), {"content_type": "text/plain"}
    nobody, reader = Caller(app, "garbage"), Caller(app, user_token(str(uuid4())))
    missing = {"corrections": [good | {"id": str(uuid4()), "reason": ""}]}

    assert_unauthorized(nobody.send("POST", PATH, data=too_large, **not_json))
    refused(reader.send("POST", PATH, data=too_large, **not_json), 403)
    refused(corrector.send("POST", PATH, data=too_large, **not_json), 415)
    refused(corrector.send("POST", PATH, data=too_large, content_type="application/json"), 413)
    refused(corrector.send("POST", PATH, json=missing), 400)
    refused(corrector.correct(good | {"id": str(uuid4())}), 409)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_corrections_accept_only_post(method: str, corrector: Caller) -> None:
    assert refused(corrector.send(method, PATH), 405).headers["Allow"] == "POST"


def test_a_query_parameter_is_refused(corrector: Caller, good: dict[str, Any]) -> None:
    response = corrector.send("POST", PATH, json={"corrections": [good]}, query_string={"x": "1"})

    assert faults(refused(response, 400)) == {"x": ["Unknown field."]}


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_of_no_or_too_many_corrections_is_refused(count: int, corrector: Caller, good: dict[str, Any]) -> None:
    response = refused(corrector.correct(*[good] * count), 400)

    assert faults(response) == {"/corrections": ["Must contain 1 to 1000 corrections."]}


def test_a_batch_of_1000_corrections_is_accepted(corrector: Caller, good: dict[str, Any]) -> None:
    assert corrector.correct(*[good] * 1000).json["duplicate_count"] == 999


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"id": "1"}, "id"),
        ({"user_id": None}, "user_id"),
        ({"account_id": "{}"}, "account_id"),
        ({"source": "other"}, "source"),
        ({"captured_at": "2025-01-01T00:00:00.0000001Z"}, "captured_at"),
        ({"reason": ""}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "a\0b"}, "reason"),
        ({"reason": "\ud800"}, "reason"),
        ({"reason": 7}, "reason"),
        ({"reason": None}, "reason"),
        ({"replacement": []}, "replacement"),
        ({"replacement": {"currency": "USD"}}, "replacement/balance"),
        ({"replacement": {"balance": "1.00"}}, "replacement/currency"),
        ({"replacement": usd("NaN")}, "replacement/balance"),
        ({"replacement": usd("1.00001")}, "replacement/balance"),
        ({"replacement": {"balance": 1.0, "currency": "USD"}}, "replacement/balance"),
        ({"replacement": {"balance": "1.00", "currency": "XAU"}}, "replacement/currency"),
        ({"replacement": usd("1.00") | {"source": "manual_sync"}}, "replacement/source"),
        ({"balance": "1.00"}, "balance"),
    ],
)
def test_a_fault_is_named_by_its_pointer_and_nothing_is_corrected(
    changed: dict[str, Any], field: str, corrector: Caller, user: Caller, account_id: str, good: dict[str, Any]
) -> None:
    response = refused(corrector.correct(good, good | changed), 400)

    assert list(faults(response)) == [f"/corrections/1/{field}"]
    assert user.corrections(account_id).json["total_count"] == 0


def test_every_member_is_required(corrector: Caller) -> None:
    required = {"id", "user_id", "account_id", "source", "captured_at", "reason", "replacement"}

    response = refused(corrector.correct({}), 400)

    assert set(faults(response)) == {f"/corrections/0/{name}" for name in required}


@pytest.mark.parametrize("reason", ["x", "x" * 500, " ", "é\n\t\"\\'", "\N{PARTY POPPER}" * 500])
def test_a_reason_of_1_to_500_characters_is_read_back_as_it_was_sent(
    reason: str, corrector: Caller, user: Caller, account_id: str, good: dict[str, Any]
) -> None:
    assert corrector.correct(good | {"reason": reason}).status_code == 200

    [shown] = user.corrections(account_id).json["corrections"]
    assert shown["reason"] == reason


def test_ids_may_be_in_upper_case_and_the_time_in_another_zone(corrector: Caller, good: dict[str, Any]) -> None:
    upper = {name: good[name].upper() for name in ("id", "user_id", "account_id")}

    response = corrector.correct(good | upper | {"captured_at": "2025-01-01T01:00:00+01:00"})

    assert [each["status"] for each in response.json["corrections"]] == ["corrected"]
