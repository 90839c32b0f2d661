"""Paths, ids in paths, methods, preconditions and ranges (rules 9 and 12)."""

import json
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.support import API, LATEST, Caller, captured, snapshot
from tests.support.contract import docs_assets
from tests.support.problems import problem


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
def test_a_path_that_does_not_match_a_route_exactly_is_a_404(app: Flask, user: Caller, path: str) -> None:
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
def test_a_path_id_that_is_not_a_uuid_is_a_404(
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
def test_any_other_method_is_a_405_that_lists_the_allowed_ones(
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
def test_head_returns_the_status_and_headers_of_get_without_the_body(
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
    {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
    {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
    {"Range": "bytes=0-10"},
    {"Range": "bytes=999999999-"},
    {"Range": "bytes=0-1,5-6"},
    {"Range": "lines=1-2"},
    {"Range": "bytes=0-10", "If-Range": '"x"'},
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("path", "status"), [("swagger-ui.css", 304), ("/docs", 200), ("/openapi.json", 200)])
def test_if_none_match_any_is_a_304_where_there_is_an_etag(
    anonymous: FlaskClient, path: str, status: int, method: str
) -> None:
    url = docs_assets(anonymous).get(path, path)
    with anonymous.open(url, method=method, headers={"If-None-Match": "*"}) as response:
        assert response.status_code == status
        assert status == 200 or response.data == b""


@pytest.mark.parametrize("headers", PRECONDITIONS, ids=str)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["swagger-ui.css", "docs.js", "/docs", "/openapi.json"])
def test_preconditions_and_ranges_are_ignored(
    anonymous: FlaskClient, path: str, method: str, headers: dict[str, str]
) -> None:
    url = docs_assets(anonymous).get(path, path)
    with anonymous.open(url, method=method, headers=headers) as conditional, anonymous.get(url) as plain:
        assert conditional.status_code == 200
        assert conditional.data == (plain.data if method == "GET" else b"")
        assert conditional.content_type == plain.content_type
