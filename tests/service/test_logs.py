"""The log lines of requests, and the secrets that they must not hold."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from flask import Flask
from flask.testing import FlaskClient

from config import Settings
from tests.support import API, LATEST, Caller, captured, correction, snapshot, usd, user_token
from tests.support.apps import serving
from tests.support.printed_log import AMOUNT, OTHER_AMOUNT, Output, printing, printing_to


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", LATEST, 200),
        ("GET", f"{API}/accounts/{uuid4()}/balance-snapshots?limit=0", 400),
        ("GET", "/nowhere", 404),
        ("OPTIONS", LATEST, 405),
        ("GET", "/healthz", 200),
    ],
    ids=["200", "400", "404", "405", "a probe"],
)
def test_a_request_is_one_line_of_json(
    user: Caller, app: Flask, output: Output, user_id: str, method: str, path: str, status: int
) -> None:
    app.test_client().open(path, method=method, headers=user.authorization)
    [line] = output.lines
    assert (line["event"], line["method"], line["status"]) == ("request", method, status)
    assert line["path"] == path.partition("?")[0]
    assert line["duration_ms"] >= 0
    assert {"time", "level", "logger"} <= line.keys()


def test_the_line_of_an_authenticated_request_names_its_subject(user: Caller, output: Output, user_id: str) -> None:
    user.latest()
    assert [line["subject"] for line in output.lines] == [user_id]


def test_the_line_of_a_request_names_the_database_process_that_answered_it(settings: Settings, user_id: str) -> None:
    with serving(settings) as app, printing() as output:
        pool = app.extensions["pool"]
        pool.resize(1, 1)
        with pool.connection() as connection:
            pid = connection.info.backend_pid

        Caller(app, user_token(user_id)).latest()
        app.test_client().get("/nowhere")

    assert [line["db_pid"] for line in output.lines] == [pid, None]


def test_a_line_break_in_the_path_does_not_break_the_line(anonymous: FlaskClient, output: Output) -> None:
    anonymous.get("/a%0A%7B%22event%22%3A%22forged%22%7D%E2%80%A8b")
    assert [line["event"] for line in output.lines] == ["request"]


def test_an_exception_is_logged_with_the_place_where_it_was_raised(raising: Flask, output: Output) -> None:
    raising.test_client().get("/raise")
    [fault] = [line for line in output.lines if line["event"] != "request"]
    assert fault["level"] == "error"
    assert "RuntimeError" in fault["exception"]
    assert "conftest.py" in json.dumps(fault["stack"])


def test_a_log_that_cannot_be_written_fails_no_request(user: Caller) -> None:
    statuses = []
    # Closing the file fails as well.
    with contextlib.suppress(OSError), Path("/dev/full").open("w", encoding="utf-8") as full, printing_to(full):
        statuses.append(user.latest().status_code)
    assert statuses == [200]


@pytest.mark.parametrize("bearer", ["valid", "expired", "of another key", "garbage"])
def test_no_line_holds_a_token(app: Flask, output: Output, user_id: str, bearer: str) -> None:
    token = {
        "valid": user_token(user_id),
        "expired": user_token(user_id, exp=1),
        "of another key": user_token(user_id) + "A",
        "garbage": "gggggggg.aaaaaaaa.rrrrrrrr",
    }[bearer]
    assert Caller(app, token).latest().status_code == (200 if bearer == "valid" else 401)
    assert output.lines
    for part in token.split("."):
        assert part not in output.text


@pytest.mark.parametrize("path", ["/balance-snapshots", "/accounts/x/balance-history", "/nowhere"])
def test_no_line_holds_the_query(user: Caller, output: Output, path: str) -> None:
    user.send("GET", f"{path}?needle=haystack&start_date=haystack&source=haystack")
    assert output.lines
    assert "needle" not in output.text
    assert "haystack" not in output.text


def assert_no_amount(output: Output) -> None:
    assert output.lines
    for amount in (AMOUNT, OTHER_AMOUNT):
        assert amount.partition(".")[0] not in output.text


def test_no_line_of_a_capture_or_a_read_holds_an_amount(
    user: Caller, sync_job: Caller, output: Output, user_id: str, account_id: str
) -> None:
    captured(sync_job, snapshot(user_id, account_id, AMOUNT, cash_value=OTHER_AMOUNT))
    assert AMOUNT in user.recent(account_id).text
    assert AMOUNT in user.latest().text
    assert_no_amount(output)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        pytest.param({"balance": OTHER_AMOUNT}, 409, id="409 for other values"),
        pytest.param({"user_id": str(uuid4())}, 409, id="409 for another user"),
        pytest.param({"balance": f"{OTHER_AMOUNT}567"}, 400, id="400 for too many digits"),
        pytest.param({"balance": float(OTHER_AMOUNT)}, 400, id="400 for a float"),
        pytest.param({"currency": OTHER_AMOUNT}, 400, id="400 for an amount elsewhere"),
        pytest.param({OTHER_AMOUNT: AMOUNT}, 400, id="400 for an amount as a name"),
    ],
)
def test_no_line_of_a_refused_capture_holds_an_amount(
    sync_job: Caller, output: Output, user_id: str, account_id: str, changed: dict[str, Any], status: int
) -> None:
    first = snapshot(user_id, account_id, AMOUNT)
    captured(sync_job, first)
    assert sync_job.capture(first | changed).status_code == status
    assert_no_amount(output)


def test_no_line_of_a_500_holds_the_message_of_the_exception(raising: Flask, output: Output) -> None:
    assert raising.test_client().get("/raise").status_code == 500
    assert_no_amount(output)


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_no_line_holds_the_row_that_the_database_refused(
    settings: Settings, migrated_database_url: str, user_id: str, account_id: str, level: str
) -> None:
    """PostgreSQL's message says "Failing row contains (...)", with the amounts."""
    with psycopg.connect(migrated_database_url) as connection:
        connection.execute("ALTER TABLE balance_snapshots ADD CONSTRAINT low CHECK (balance < 1)")
    with printing() as output, serving(replace(settings, database_url=migrated_database_url, log_level=level)) as app:
        sync_job = Caller(app, user_token("sync-job", scope="balance-snapshots:write"))
        assert sync_job.capture(snapshot(user_id, account_id, AMOUNT)).status_code == 500
    assert "psycopg.errors.CheckViolation" in output.text
    assert_no_amount(output)


@pytest.mark.usefixtures("brief_wait")
def test_no_line_about_a_database_that_is_down_holds_its_password(settings: Settings, user_id: str) -> None:
    cut_off = replace(settings, database_url="postgresql://reader:pass-phrase@127.0.0.1:1/nothing")
    with printing() as output, serving(cut_off) as app:
        assert Caller(app, user_token(user_id)).latest().status_code == 503
    assert output.lines
    assert "pass-phrase" not in output.text


def test_a_batch_of_corrections_logs_one_more_line_with_its_trace_id_and_its_subject(
    sync_job: Caller, corrector: Caller, user_id: str, account_id: str, output: Output
) -> None:
    item = snapshot(user_id, account_id, AMOUNT)
    [stored] = captured(sync_job, item)
    wrong = correction(item, stored["id"], usd(OTHER_AMOUNT), "Some customer's secret reason.")

    response = corrector.correct(wrong, wrong)

    [line] = [line for line in output.lines if line["event"] == "corrections_stored"]
    assert (line["corrected"], line["withdrawn"], line["duplicate"]) == (1, 0, 1)
    assert (line["subject"], line["trace_id"]) == ("corrections-job", response.headers["X-Trace-Id"])
    for secret in (AMOUNT, OTHER_AMOUNT, "secret reason", account_id):
        assert secret not in output.text
