"""Problems: their shape, and which fault is reported first (rules 9, 10, 12 and 13)."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from flask import Flask, Response, abort, request
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config import Settings
from service import db
from service.auth import public
from tests.conftest import serving
from tests.support import API, Caller, captured, faults, snapshot, token, user_token

BASE = "https://api.dashtam.com/errors/"
KEYS = ["type", "title", "status", "detail", "instance", "trace_id"]
UNREACHABLE = "postgresql://marker-user:marker-password@127.0.0.1:1/marker-name"
LATEST = f"{API}/balance-snapshots"
SCOPE = "balance-snapshots:write"
TOO_LARGE = b'{"snapshots": [' + b" " * 1024 * 1024 + b"]}"


def problem(response: TestResponse, status: int, title: str, keys: list[str] = KEYS) -> dict[str, Any]:
    """The problem of a response that must be one, with everything that all of them share checked."""
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    assert "Location" not in response.headers
    body: dict[str, Any] = json.loads(response.text)
    assert list(body) == keys
    assert (body["title"], body["status"]) == (title, status)
    assert body["type"] == BASE + title.lower().replace(" ", "_")
    assert isinstance(body["detail"], str)
    assert body["detail"]
    assert body["trace_id"] == response.headers["X-Trace-Id"]
    return body


# Shape


@pytest.fixture(scope="module")
def failing(settings: Settings) -> Iterator[Flask]:
    """An app with views that go wrong: /status/418, /raise, and /sql?q=..., which runs a statement."""
    with serving(settings) as app:

        @app.get("/status/<int:status>")
        @public
        def fail_with_status(status: int) -> Response:
            abort(status)

        @app.get("/raise")
        @public
        def fail_with_exception() -> Response:
            raise RuntimeError("marker: SELECT 1234.56 FROM snapshots")

        @app.post("/sql")
        @public
        def fail_in_database() -> Response:
            with db.writing() as connection:
                connection.execute(request.get_data())
            return Response("it went well")

        yield app


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "title"),
    [
        pytest.param("GET", LATEST, {"Authorization": ""}, b"", 401, "Unauthorized", id="401"),
        pytest.param("POST", LATEST, {}, b"{}", 403, "Forbidden", id="403"),
        pytest.param("GET", "/nowhere", {}, b"", 404, "Not Found", id="404 of the framework"),
        pytest.param("GET", f"{API}/accounts/{uuid4()}/balance-snapshots", {}, b"", 404, "Not Found", id="404 of ours"),
        pytest.param("DELETE", LATEST, {}, b"", 405, "Method Not Allowed", id="405"),
    ],
)
def test_a_problem_has_every_member_in_order(
    user: Caller, app: Flask, method: str, path: str, headers: dict[str, str], body: bytes, status: int, title: str
) -> None:
    response = app.test_client().open(path, method=method, headers=user.authorization | headers, data=body)
    assert problem(response, status, title)["instance"] == path


@pytest.mark.parametrize(
    ("content_type", "body", "status", "title"),
    [
        pytest.param("application/json", b"{", 400, "Bad Request", id="400"),
        pytest.param("application/json", TOO_LARGE, 413, "Payload Too Large", id="413"),
        pytest.param("text/plain", b"{}", 415, "Unsupported Media Type", id="415"),
    ],
)
def test_a_problem_with_a_body_has_every_member_in_order(
    sync_job: Caller, content_type: str, body: bytes, status: int, title: str
) -> None:
    response = sync_job.send("POST", "/balance-snapshots", data=body, content_type=content_type)
    assert problem(response, status, title)["instance"] == LATEST


def test_errors_is_the_last_member_where_there_are_any(user: Caller) -> None:
    body = problem(user.latest(nonsense=1), 400, "Bad Request", [*KEYS, "errors"])
    assert [list(error) for error in body["errors"]] == [["field", "message"]]


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (406, "Not Acceptable"),
        (408, "Request Timeout"),
        (411, "Length Required"),
        (413, "Payload Too Large"),
        (414, "URI Too Long"),
        (417, "Expectation Failed"),
        (429, "Too Many Requests"),
        (431, "Request Header Fields Too Large"),
        (500, "Internal Server Error"),
        (501, "Not Implemented"),
        (502, "Bad Gateway"),
        (503, "Service Unavailable"),
        (504, "Gateway Timeout"),
    ],
)
def test_any_other_status_is_a_problem_of_its_own_name(failing: Flask, status: int, title: str) -> None:
    assert problem(failing.test_client().get(f"/status/{status}"), status, title)


@pytest.mark.parametrize("base", ["https://errors.example/", "http://localhost:9000/docs/problems#"])
def test_the_type_starts_with_problem_base_url(settings: Settings, base: str) -> None:
    with serving(replace(settings, problem_base_url=base)) as app:
        body = json.loads(app.test_client().get("/nowhere").text)
    assert body["type"] == f"{base}not_found"


@pytest.mark.parametrize(
    ("path", "instance"),
    [
        ("/nowhere?secret=1", "/nowhere"),
        ("/caf%C3%A9", "/caf%C3%A9"),
        ("/a%20b", "/a%20b"),
        ("/a%0D%0Ab", "/a%0D%0Ab"),
        ("/%22%3Cb%3E", "/%22%3Cb%3E"),
    ],
)
def test_the_instance_is_the_path_as_it_was_sent(anonymous: FlaskClient, path: str, instance: str) -> None:
    assert problem(anonymous.get(path), 404, "Not Found")["instance"] == instance


# Paths and methods


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1",
        "/docs/",
        f"{LATEST}/",
        "/api//v1/balance-snapshots",
        "/api/v1//balance-snapshots",
        "/API/v1/balance-snapshots",
        f"{API}/accounts/{{id}}/balance-history/",
        f"{API}/accounts/{{id}}//balance-history",
        f"{API}/accounts//balance-snapshots",
        f"{API}/accounts/{{id}}",
        "/healthz/",
        "/static/x",
    ],
)
def test_a_path_that_is_not_exactly_a_routes_is_a_404(app: Flask, user: Caller, path: str) -> None:
    response = app.test_client().get(path.format(id=uuid4()), headers=user.authorization)
    problem(response, 404, "Not Found")


@pytest.mark.parametrize("path", ["", f"/{LATEST}", f"/{LATEST}/", "//elsewhere.example/%2e%2e"])
def test_no_path_redirects(app: Flask, user: Caller, path: str) -> None:
    response = app.test_client().get("/", headers=user.authorization, environ_overrides={"PATH_INFO": path})
    assert response.status_code in (200, 404)
    assert "Location" not in response.headers


@pytest.mark.parametrize("read", ["balance-history", "balance-snapshots"])
@pytest.mark.parametrize(
    "path_id",
    [
        pytest.param("1", id="number"),
        pytest.param("mine", id="word"),
        pytest.param("{dashless}", id="no dashes"),
        pytest.param("%7B{id}%7D", id="braces"),
        pytest.param("urn:uuid:{id}", id="urn"),
        pytest.param("{id}%0A", id="line break"),
        pytest.param("{id}%00", id="NUL"),
        pytest.param("%20{id}", id="space"),
        pytest.param("{full_width}", id="full-width digits"),
        pytest.param("{id}0", id="a digit too long"),
        pytest.param("%F0%9F%92%B0", id="emoji"),
        pytest.param("%FF", id="not UTF-8"),
        pytest.param("'%20OR%20true--", id="SQL"),
    ],
)
def test_a_path_id_that_is_no_uuid_names_no_account(
    user: Caller, sync_job: Caller, user_id: str, account_id: str, path_id: str, read: str
) -> None:
    captured(sync_job, snapshot(user_id, account_id))
    full_width = account_id.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"})
    path = path_id.format(id=account_id, dashless=account_id.replace("-", ""), full_width=full_width)
    query = "?start_date=2025-01-01&end_date=2025-12-31" if read == "balance-history" else ""
    response = user.send("GET", f"/accounts/{path}/{read}{query}")
    assert problem(response, 404, "Not Found")["detail"] == "Account not found"


@pytest.mark.parametrize("spelling", [str.upper, str.lower, str.title], ids=["upper", "lower", "mixed"])
def test_a_path_id_may_be_in_upper_or_lower_case(
    user: Caller, sync_job: Caller, user_id: str, account_id: str, spelling: Any
) -> None:
    captured(sync_job, snapshot(user_id, account_id))
    for response in (user.recent(spelling(account_id)), user.history(spelling(account_id))):
        assert [s["account_id"] for s in json.loads(response.text)["snapshots"]] == [account_id]


@pytest.mark.parametrize(
    ("path", "allowed", "methods"),
    [
        (LATEST, {"GET", "HEAD", "POST"}, ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO")),
        (f"{API}/accounts/{uuid4()}/balance-history", {"GET", "HEAD"}, ("POST", "PUT", "DELETE", "OPTIONS")),
        (f"{API}/accounts/x/balance-snapshots", {"GET", "HEAD"}, ("POST", "PATCH", "OPTIONS")),
        ("/healthz", {"GET", "HEAD"}, ("POST", "OPTIONS")),
    ],
    ids=["latest", "history", "recent", "healthz"],
)
def test_another_method_is_a_405_that_says_what_is_allowed(
    app: Flask, user: Caller, path: str, allowed: set[str], methods: tuple[str, ...]
) -> None:
    for method in methods:
        response = app.test_client().open(path, method=method, headers=user.authorization)
        problem(response, 405, "Method Not Allowed")
        assert set(response.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/balance-snapshots", 200),
        ("/accounts/{own}/balance-snapshots", 200),
        ("/accounts/{own}/balance-history?start_date=2025-01-01&end_date=2025-12-31", 200),
        ("/balance-snapshots?nonsense=1", 400),
        ("/accounts/{unknown}/balance-snapshots", 404),
        ("/nowhere", 404),
    ],
    ids=["latest", "recent", "history", "bad query", "unknown account", "unknown path"],
)
def test_head_answers_as_get_without_the_body(
    user: Caller, sync_job: Caller, user_id: str, account_id: str, path: str, status: int
) -> None:
    captured(sync_job, snapshot(user_id, account_id))
    path = path.format(own=account_id, unknown=uuid4())
    get, head = (user.send(method, path, headers={"X-Trace-Id": "same"}) for method in ("GET", "HEAD"))
    assert (get.status_code, head.status_code) == (status, status)
    assert head.data == b""
    for name in ("Content-Type", "Content-Length", "X-Trace-Id"):
        assert head.headers[name] == get.headers[name]


PRECONDITIONS = [
    {"If-Match": '"x"'},
    {"If-Match": "*"},
    {"If-None-Match": '"x"'},
    {"If-None-Match": "*"},
    {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
    {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
    {"Range": "bytes=0-10"},
    {"Range": "bytes=999999999-"},
    {"Range": "bytes=0-1,5-6"},
    {"Range": "lines=1-2"},
    {"Range": "bytes=0-10", "If-Range": '"x"'},
]


@pytest.mark.parametrize("headers", PRECONDITIONS, ids=str)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/docs/swagger-ui.css", "/docs/start.js", "/docs", "/openapi.json"])
def test_preconditions_and_ranges_are_ignored(
    anonymous: FlaskClient, path: str, method: str, headers: dict[str, str]
) -> None:
    with anonymous.open(path, method=method, headers=headers) as conditional, anonymous.get(path) as plain:
        assert conditional.status_code == 200
        assert conditional.data == (plain.data if method == "GET" else b"")
        assert conditional.content_type == plain.content_type


# Order of checks


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


def test_a_missing_token_is_seen_before_the_used_up_limit(exhausted: Caller) -> None:
    exhausted.authorization = {}
    problem(exhausted.send("GET", "/balance-snapshots"), 401, "Unauthorized")


@READS
@pytest.mark.parametrize("account", ["no UUID", "unknown", "another user's"])
def test_a_read_is_checked_for_its_query_third(user: Caller, sync_job: Caller, read: str, account: str) -> None:
    response = user.send("GET", f"/accounts/{account_of(account, sync_job)}/{read}?nonsense=1")
    problem(response, 400, "Bad Request", [*KEYS, "errors"])
    assert "nonsense" in faults(response)


@pytest.mark.parametrize(
    ("account", "status", "title"),
    [("no UUID", 404, "Not Found"), ("unknown", 404, "Not Found"), ("another user's", 403, "Forbidden")],
)
def test_a_read_is_checked_for_its_account_last(
    user: Caller, sync_job: Caller, account: str, status: int, title: str
) -> None:
    account_id = account_of(account, sync_job)
    problem(user.recent(account_id), status, title)
    problem(user.history(account_id), status, title)


def account_of(kind: str, sync_job: Caller) -> str:
    """The id of an account that a user cannot read."""
    if kind == "no UUID":
        return "unknown"
    account_id = str(uuid4())
    if kind == "another user's":
        captured(sync_job, snapshot(str(uuid4()), account_id))
    return account_id


CAPTURE_CHECKS = {
    # What a request is still at fault with, when all that comes before is right.
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


# What never gets out


def assert_tells_nothing(response: TestResponse) -> None:
    """Neither text of a database or an exception, nor code, nor where anything is."""
    told = f"{response.headers}{response.text}".lower()
    database = ("select", "insert", "relation", "statement", "transaction", "connection", "psycopg", "pool")
    for inner in ("marker", "1234.5", "traceback", ".py", "127.0.0.1", *database):
        assert inner not in told


def test_an_exception_is_a_500_that_tells_nothing(failing: Flask) -> None:
    response = failing.test_client().get("/raise")
    problem(response, 500, "Internal Server Error")
    assert_tells_nothing(response)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("SELECT marker FROM accounts", id="unknown column"),
        pytest.param("SELECT 'marker'::uuid", id="bad value"),
        pytest.param("SELECT 1234.5 / 0", id="division"),
        pytest.param("marker", id="syntax"),
        pytest.param("INSERT INTO accounts VALUES (gen_random_uuid(), NULL)", id="a row refused"),
        pytest.param(
            "CREATE TEMPORARY TABLE a (id int PRIMARY KEY); CREATE TEMPORARY TABLE marker (id int REFERENCES a);"
            " INSERT INTO marker VALUES (1234)",
            id="a reference refused",
        ),
        pytest.param("DO $$ BEGIN RAISE 'marker 1234.5'; END $$", id="raised"),
    ],
)
def test_a_statement_that_fails_is_a_500_that_tells_nothing(failing: Flask, statement: str) -> None:
    response = failing.test_client().post("/sql", data=statement)
    problem(response, 500, "Internal Server Error")
    assert_tells_nothing(response)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("SELECT 1234.5 FROM marker", id="not migrated"),
        pytest.param("SELECT pg_terminate_backend(pg_backend_pid())", id="connection lost"),
        pytest.param("SET statement_timeout = 10; SELECT pg_sleep(9)", id="too slow"),
        pytest.param("SET transaction_read_only = on; DELETE FROM accounts", id="read-only"),
    ],
)
def test_a_database_that_cannot_serve_is_a_503_that_tells_nothing(failing: Flask, statement: str) -> None:
    response = failing.test_client().post("/sql", data=statement)
    problem(response, 503, "Service Unavailable")
    assert int(response.headers["Retry-After"]) >= 1
    assert_tells_nothing(response)


@pytest.fixture(scope="module")
def cut_off(settings: Settings) -> Iterator[Flask]:
    """An app whose database cannot be reached."""
    with serving(replace(settings, database_url=UNREACHABLE)) as app:
        yield app


@pytest.mark.parametrize(
    "request_line", ["GET /api/v1/balance-snapshots", "POST /api/v1/balance-snapshots", "GET /readyz"]
)
def test_a_database_that_is_down_is_a_503_that_tells_nothing(
    cut_off: Flask, user_id: str, account_id: str, request_line: str
) -> None:
    method, path = request_line.split()
    authorization = Caller(cut_off, user_token(user_id, scope=SCOPE)).authorization
    body = {"snapshots": [snapshot(user_id, account_id)]} if method == "POST" else None
    response = cut_off.test_client().open(path, method=method, headers=authorization, json=body)
    assert problem(response, 503, "Service Unavailable")["instance"] == path
    assert int(response.headers["Retry-After"]) >= 1
    assert_tells_nothing(response)


def test_a_database_without_its_tables_is_a_503(settings: Settings, empty_database_url: str, user_id: str) -> None:
    with serving(replace(settings, database_url=empty_database_url)) as app:
        response = Caller(app, user_token(user_id)).latest()
    problem(response, 503, "Service Unavailable")
    assert_tells_nothing(response)


def test_a_row_that_the_database_refuses_is_a_500_that_tells_nothing(
    settings: Settings, migrated_database_url: str, user_id: str, account_id: str
) -> None:
    with psycopg.connect(migrated_database_url) as connection:
        connection.execute("ALTER TABLE balance_snapshots ADD CONSTRAINT marker CHECK (balance < 1)")
    with serving(replace(settings, database_url=migrated_database_url)) as app:
        response = Caller(app, token({"sub": "sync", "exp": 4102444800, "scope": SCOPE})).capture(
            snapshot(user_id, account_id, "1234.56")
        )
    problem(response, 500, "Internal Server Error")
    assert_tells_nothing(response)
