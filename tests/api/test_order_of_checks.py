"""Which fault is reported first (rule 10)."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from config import Settings
from tests.support import API, SCOPE, Caller, captured, faults, snapshot, user_token
from tests.support.apps import serving
from tests.support.captures import TOO_LARGE
from tests.support.problems import KEYS, problem


@pytest.fixture
def exhausted(settings: Settings, user_id: str) -> Iterator[Caller]:
    """A user who has used up the limit."""
    with serving(replace(settings, api_read_limit="1/minute")) as app:
        user = Caller(app, user_token(user_id))
        assert user.latest().status_code == 200
        yield user


READS = pytest.mark.parametrize("read", ["balance-history", "balance-snapshots"])


@READS
def test_a_read_is_checked_for_its_token_first(anonymous: FlaskClient, read: str) -> None:
    response = anonymous.get(f"{API}/accounts/unknown/{read}?nonsense=1")
    problem(response, 401, "Unauthorized")


@READS
def test_a_read_is_checked_for_the_limit_second(exhausted: Caller, read: str) -> None:
    response = exhausted.send("GET", f"/accounts/unknown/{read}?nonsense=1")
    problem(response, 429, "Too Many Requests")


def test_a_missing_token_is_reported_before_the_exhausted_limit(exhausted: Caller) -> None:
    exhausted.authorization = {}
    problem(exhausted.send("GET", "/balance-snapshots"), 401, "Unauthorized")


@READS
@pytest.mark.parametrize("account", ["not a UUID", "unknown", "another user's"])
def test_a_read_is_checked_for_its_query_third(user: Caller, sync_job: Caller, read: str, account: str) -> None:
    response = user.send("GET", f"/accounts/{account_of(account, sync_job)}/{read}?nonsense=1")
    problem(response, 400, "Bad Request", [*KEYS, "errors"])
    assert "nonsense" in faults(response)


@pytest.mark.parametrize(
    ("account", "status", "title"),
    [("not a UUID", 404, "Not Found"), ("unknown", 404, "Not Found"), ("another user's", 403, "Forbidden")],
)
def test_a_read_is_checked_for_its_account_last(
    user: Caller, sync_job: Caller, account: str, status: int, title: str
) -> None:
    account_id = account_of(account, sync_job)
    problem(user.recent(account_id), status, title)
    problem(user.history(account_id), status, title)


def account_of(kind: str, sync_job: Caller) -> str:
    """Return the id of an account that a user cannot read."""
    if kind == "not a UUID":
        return "unknown"
    account_id = str(uuid4())
    if kind == "another user's":
        captured(sync_job, snapshot(str(uuid4()), account_id))
    return account_id


CAPTURE_CHECKS = {
    # The faults that remain in a request that passes all earlier checks.
    "401": (["token", "scope", "type", "size", "body"], 401, "Unauthorized"),
    "403": (["scope", "type", "size", "body"], 403, "Forbidden"),
    "415": (["type", "size", "body"], 415, "Unsupported Media Type"),
    "413": (["size", "body"], 413, "Payload Too Large"),
    "400": (["body"], 400, "Bad Request"),
}


@pytest.mark.parametrize(("wrong", "status", "title"), CAPTURE_CHECKS.values(), ids=CAPTURE_CHECKS)
def test_a_capture_is_checked_in_the_order_of_rule_10(
    app: Flask, user_id: str, wrong: list[str], status: int, title: str
) -> None:
    bearer = "garbage" if "token" in wrong else user_token(user_id, scope="" if "scope" in wrong else SCOPE)
    response = Caller(app, bearer).send(
        "POST",
        "/balance-snapshots?nonsense=1",
        content_type="text/plain" if "type" in wrong else "application/json",
        data=TOO_LARGE[:-1] if "size" in wrong else b"{",
    )
    problem(response, status, title)


def test_a_capture_is_checked_for_invalid_items_before_contradictions(
    sync_job: Caller, user_id: str, account_id: str
) -> None:
    captured(sync_job, snapshot(user_id, account_id, "1.00"))
    contradiction = snapshot(user_id, account_id, "2.00")

    both = sync_job.capture(contradiction, snapshot(user_id, account_id, "much"))
    problem(both, 400, "Bad Request", [*KEYS, "errors"])
    assert list(faults(both)) == ["/snapshots/1/balance"]

    with_a_query = sync_job.send("POST", "/balance-snapshots?nonsense=1", json={"snapshots": [contradiction]})
    problem(with_a_query, 400, "Bad Request", [*KEYS, "errors"])

    problem(sync_job.capture(contradiction), 409, "Conflict", [*KEYS, "errors"])
