"""One id for each request, and what the log says of it, or must not say (rule 14)."""

import contextlib
import io
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO
from uuid import uuid4

import psycopg
import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from config import Settings
from service import logs
from service.auth import public
from tests.conftest import serving
from tests.support import API, Caller, captured, snapshot, user_token

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
NEW = re.compile(r"[A-Za-z0-9-]{1,64}")
LATEST = f"{API}/balance-snapshots"
# Amounts whose digits occur nowhere by accident.
AMOUNT, OTHER_AMOUNT = "918273645.12", "564738291.34"


class Output:
    """What the service has printed."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of requests; the pool's threads speak for themselves. Fails on a line that is no JSON."""
        lines: list[dict[str, Any]] = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if line["logger"] != "psycopg.pool"]


@contextlib.contextmanager
def printing_to(stream: TextIO) -> Iterator[None]:
    """Points the log to another standard output, as at startup."""
    try:
        with contextlib.redirect_stdout(stream):
            logs.configure("INFO")
            yield
    finally:
        logs.configure("INFO")


@contextlib.contextmanager
def printing() -> Iterator[Output]:
    """Everything that goes to standard output meanwhile."""
    stream = io.StringIO()
    with printing_to(stream):
        yield Output(stream)


@pytest.fixture
def output(app: Flask) -> Iterator[Output]:
    with printing() as output:
        yield output


def id_of(client: FlaskClient, **headers: str) -> str:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get("/healthz", headers=sent).headers["X-Trace-Id"]


# Which id


@pytest.mark.parametrize(
    "parent",
    [
        pytest.param(PARENT, id="version 00"),
        pytest.param(PARENT[:-2] + "00", id="not sampled"),
        pytest.param(PARENT[:-2] + "ff", id="every flag"),
        pytest.param("01" + PARENT[2:], id="a later version"),
        pytest.param("fe" + PARENT[2:], id="the last version"),
        pytest.param("cc" + PARENT[2:] + "-what-the-future-will-be-like", id="a later version that says more"),
        pytest.param("cc" + PARENT[2:] + "-", id="a later version that ends in a dash"),
    ],
)
def test_the_id_is_that_of_a_valid_traceparent(anonymous: FlaskClient, parent: str) -> None:
    assert id_of(anonymous, traceparent=parent, X_Trace_Id="second-best") == TRACE


@pytest.mark.parametrize(
    "parent",
    [
        pytest.param("", id="empty"),
        pytest.param("ff" + PARENT[2:], id="version ff"),
        pytest.param(PARENT[1:], id="version of one digit"),
        pytest.param(PARENT + "-", id="version 00 that ends in a dash"),
        pytest.param(PARENT + "-more", id="version 00 that says more"),
        pytest.param(PARENT + "more", id="version 00 with longer flags"),
        pytest.param("cc" + PARENT[2:] + "more", id="a later version with longer flags"),
        pytest.param("cc" + PARENT[2:] + ".more", id="a later version that says more without a dash"),
        pytest.param(f"00-{'0' * 32}-00f067aa0ba902b7-01", id="trace of zeros"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", id="parent of zeros"),
        pytest.param(PARENT.upper(), id="upper case"),
        pytest.param(f"0A-{PARENT[3:]}", id="version in upper case"),
        pytest.param(PARENT.replace("f0", "F0"), id="a digit in upper case"),
        pytest.param(PARENT.replace("f0", "g0"), id="no hex digit"),
        pytest.param(f"00-{TRACE[1:]}-00f067aa0ba902b7-01", id="short trace"),
        pytest.param(f"00-{TRACE}0-00f067aa0ba902b7-01", id="long trace"),
        pytest.param(f"00-{TRACE}-00f067aa0ba902b-01", id="short parent"),
        pytest.param(f"00-{TRACE}-00f067aa0ba902b7", id="no flags"),
        pytest.param(f"00-{TRACE}-00f067aa0ba902b7-1", id="flags of one digit"),
        pytest.param(f"{PARENT},{PARENT}", id="two of them"),
        pytest.param(PARENT.replace("-", "_"), id="no dashes"),
    ],
)
def test_an_invalid_traceparent_counts_as_none(anonymous: FlaskClient, parent: str) -> None:
    assert id_of(anonymous, traceparent=parent, X_Trace_Id="second-best") == "second-best"
    assert TRACE not in id_of(anonymous, traceparent=parent).lower()


@pytest.mark.parametrize("given", ["a", "-", "0", "abc123-DEF456-ghi789", "x" * 64], ids=str)
def test_the_id_is_a_valid_x_trace_id_without_a_traceparent(anonymous: FlaskClient, given: str) -> None:
    assert id_of(anonymous, X_Trace_Id=given) == given


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 65, id="65 characters"),
        pytest.param("x" * 5000, id="5000 characters"),
        pytest.param("a b", id="space"),
        pytest.param("a_b", id="underscore"),
        pytest.param("a.b", id="dot"),
        pytest.param("a,b", id="comma"),
        pytest.param('a"b', id="quote"),
        pytest.param("<script>", id="brackets"),
        pytest.param("\xe9", id="not ASCII"),
        pytest.param("\xb2", id="a digit that is not ASCII"),
    ],
)
def test_the_id_is_a_new_one_when_none_that_is_valid_was_sent(anonymous: FlaskClient, given: str) -> None:
    made = {id_of(anonymous, X_Trace_Id=given) for _ in range(2)} | {id_of(anonymous)}
    assert len(made) == 3
    assert given not in made
    assert all(NEW.fullmatch(one) for one in made)


def test_a_line_break_in_an_x_trace_id_is_not_answered(anonymous: FlaskClient) -> None:
    response = anonymous.get("/healthz", environ_overrides={"HTTP_X_TRACE_ID": "given\r\nX-More: 1"})
    assert "X-More" not in response.headers
    assert NEW.fullmatch(response.headers["X-Trace-Id"])


def test_a_line_break_after_an_x_trace_id_makes_it_invalid(anonymous: FlaskClient) -> None:
    response = anonymous.get("/healthz", environ_overrides={"HTTP_X_TRACE_ID": "given\n"})
    assert NEW.fullmatch(response.headers["X-Trace-Id"])
    assert response.headers["X-Trace-Id"] != "given"


# Where it is told


@pytest.fixture(scope="module")
def failing(settings: Settings) -> Iterator[Flask]:
    """An app with a view that raises an error that says what it must not."""
    with serving(settings) as app:

        @app.get("/raise")
        @public
        def fail() -> Response:
            raise RuntimeError(f"the balance is {AMOUNT}")

        yield app


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", LATEST, 200),
        ("HEAD", LATEST, 200),
        ("GET", f"{LATEST}?nonsense=1", 400),
        ("GET", f"{API}/accounts/{uuid4()}/balance-snapshots", 404),
        ("GET", "/nowhere", 404),
        ("POST", LATEST, 403),
        ("DELETE", LATEST, 405),
        ("GET", "/raise", 500),
    ],
    ids=["200", "200 to HEAD", "400", "404", "404 of the framework", "403", "405", "500"],
)
def test_header_body_and_log_tell_the_same_id(
    failing: Flask, output: Output, user_id: str, method: str, path: str, status: int
) -> None:
    headers = Caller(failing, user_token(user_id)).authorization | {"traceparent": PARENT}
    response = failing.test_client().open(path, method=method, headers=headers)
    assert response.status_code == status
    assert response.headers["X-Trace-Id"] == TRACE
    if status >= 400:
        assert json.loads(response.text)["trace_id"] == TRACE
    assert output.lines
    assert {line["trace_id"] for line in output.lines} == {TRACE}


def test_a_refused_token_is_logged_under_the_requests_id(app: Flask, output: Output) -> None:
    response = Caller(app, "garbage").send("GET", "/balance-snapshots", headers={"X-Trace-Id": "mine"})
    assert (response.headers["X-Trace-Id"], json.loads(response.text)["trace_id"]) == ("mine", "mine")
    assert {line["trace_id"] for line in output.lines} == {"mine"}


def test_a_request_does_not_inherit_the_id_of_the_one_before(app: Flask, output: Output) -> None:
    client = app.test_client()
    client.get("/healthz", headers={"X-Trace-Id": "first"})
    made = client.get("/healthz").headers["X-Trace-Id"]
    assert [line["trace_id"] for line in output.lines] == ["first", made]


# What is logged


def test_lines_of_libraries_are_json_under_the_requests_id(settings: Settings) -> None:
    with printing() as output, serving(settings) as app:

        @app.get("/library")
        @public
        def use_library() -> Response:
            logging.getLogger("a.library").warning("%s is late", "it")
            return Response()

        app.test_client().get("/library", headers={"X-Trace-Id": "mine"})
    assert [(line["event"], line["trace_id"]) for line in output.lines] == [("it is late", "mine"), ("request", "mine")]


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


def test_an_exception_is_logged_with_where_it_was_raised(failing: Flask, output: Output) -> None:
    failing.test_client().get("/raise")
    [fault] = [line for line in output.lines if line["event"] != "request"]
    assert fault["level"] == "error"
    assert "RuntimeError" in fault["exception"]
    assert "test_tracing.py" in json.dumps(fault["stack"])


def test_a_log_that_cannot_be_written_fails_no_request(user: Caller) -> None:
    answers = []
    # Closing the file fails as well.
    with contextlib.suppress(OSError), Path("/dev/full").open("w", encoding="utf-8") as full, printing_to(full):
        answers.append(user.latest().status_code)
    assert answers == [200]


# What is not


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


def test_no_line_of_a_500_holds_what_the_exception_says(failing: Flask, output: Output) -> None:
    assert failing.test_client().get("/raise").status_code == 500
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


def test_no_line_of_a_database_that_is_down_holds_its_password(settings: Settings, user_id: str) -> None:
    cut_off = replace(settings, database_url="postgresql://reader:pass-phrase@127.0.0.1:1/nothing")
    with printing() as output, serving(cut_off) as app:
        assert Caller(app, user_token(user_id)).latest().status_code == 503
    assert output.lines
    assert "pass-phrase" not in output.text
