"""CORS: what a page of another web origin may send and read; without the setting, the origin changes nothing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from flask import Flask
from werkzeug.test import TestResponse

from config import Settings
from snapshots import queries
from tests.support import LATEST, Caller, captured, snapshot, user_token
from tests.support.apps import serving

ALLOWED = "https://app.example.com"
OTHER_ALLOWED = "http://localhost:3000"
REFUSED = (
    "https://other.example.com",
    "https://appXexample.com",
    "https://app.example.com.evil.example",
    "http://app.example.com",
    "https://app.example.com:8443",
    "null",
)
EXPOSED = {
    "Content-Disposition",
    "Link",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Trace-Id",
}


@pytest.fixture(scope="module")
def open_app(settings: Settings) -> Iterator[Flask]:
    """An app that two origins may call, with three reads an hour for each user."""
    with serving(replace(settings, cors_origins=(ALLOWED, OTHER_ALLOWED), api_read_limit="3/hour")) as app:
        yield app


@pytest.fixture
def reader(open_app: Flask, user_id: str) -> Caller:
    return Caller(open_app, user_token(user_id))


def list_members(response: TestResponse, header: str) -> set[str]:
    """Return the members of a list in a header."""
    return {word.strip() for line in response.headers.getlist(header) for word in line.split(",")} - {""}


def cors_headers(response: TestResponse) -> dict[str, str]:
    return {name: value for name, value in response.headers if name.startswith("Access-Control-")}


def preflight(app: Flask, origin: str, method: str = "GET", headers: str = "authorization") -> TestResponse:
    """Send the preflight of a request with a token; a preflight itself has no token."""
    requested = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return app.test_client().options(LATEST, headers={"Origin": origin, **requested})


@pytest.mark.parametrize("origin", [ALLOWED, OTHER_ALLOWED])
@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", "authorization"),
        ("HEAD", "authorization,prefer,traceparent,tracestate,x-trace-id"),
        ("POST", "authorization,content-encoding,content-type"),
    ],
)
def test_a_preflight_of_an_allowed_origin_permits_the_methods_and_headers_of_the_api(
    open_app: Flask, origin: str, method: str, headers: str
) -> None:
    response = preflight(open_app, origin, method, headers)

    assert (response.status_code, response.data) == (204, b"")
    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert method in list_members(response, "Access-Control-Allow-Methods")
    assert {name.lower() for name in list_members(response, "Access-Control-Allow-Headers")} == set(headers.split(","))
    assert int(response.headers["Access-Control-Max-Age"]) > 0
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize("origin", REFUSED)
def test_a_preflight_of_any_other_origin_permits_nothing(open_app: Flask, origin: str) -> None:
    response = preflight(open_app, origin)

    assert cors_headers(response) == {}
    assert list_members(response, "Vary") >= {"Origin"}


def test_a_preflight_permits_no_other_method_or_header(open_app: Flask) -> None:
    assert "Access-Control-Allow-Methods" not in preflight(open_app, ALLOWED, "DELETE").headers
    assert list_members(preflight(open_app, ALLOWED, "GET", "x-other"), "Access-Control-Allow-Headers") == set()


def test_a_preflight_does_not_count_against_the_limit_of_reads(open_app: Flask, reader: Caller) -> None:
    statuses = {preflight(open_app, ALLOWED).status_code for _ in range(5)}

    assert statuses == {204}
    assert reader.latest().headers["X-RateLimit-Remaining"] == "2"


@pytest.mark.parametrize("headers", [{}, {"Origin": ALLOWED}, {"Access-Control-Request-Method": "GET"}])
def test_options_is_not_a_method_of_the_api_except_in_a_preflight(open_app: Flask, headers: dict[str, str]) -> None:
    assert open_app.test_client().options(LATEST, headers=headers).status_code == 405


def test_a_page_of_an_allowed_origin_may_read_the_headers_of_a_response(reader: Caller) -> None:
    response = reader.send("GET", "/balance-snapshots", headers={"Origin": ALLOWED})

    assert response.status_code == 200
    assert response.headers.getlist("Access-Control-Allow-Origin") == [ALLOWED]
    assert list_members(response, "Access-Control-Expose-Headers") == EXPOSED
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize("origin", [*REFUSED, None])
def test_a_page_of_any_other_origin_may_read_nothing(reader: Caller, origin: str | None) -> None:
    response = reader.send("GET", "/balance-snapshots", headers={"Origin": origin} if origin else {})

    assert response.status_code == 200
    assert cors_headers(response) == {}
    assert list_members(response, "Vary") >= {"Origin"}


def fail(error: Exception) -> Callable[..., None]:
    def query(*_args: object, **_kwargs: object) -> None:
        raise error

    return query


@pytest.mark.parametrize(
    ("error", "status"), [(psycopg.OperationalError(), 503), (RuntimeError(), 500)], ids=["database", "defect"]
)
def test_a_failure_of_the_service_can_be_read_by_a_page(
    reader: Caller, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    monkeypatch.setattr(queries, "get_latest_snapshots", fail(error))

    response = reader.send("GET", "/balance-snapshots", headers={"Origin": ALLOWED})

    assert response.status_code == status
    assert response.headers["Access-Control-Allow-Origin"] == ALLOWED


def test_refusals_of_the_service_can_be_read_by_a_page(
    open_app: Flask, reader: Caller, sync_job: Caller, account_id: str, user_id: str
) -> None:
    captured(sync_job, snapshot("d3300000-0000-4000-8000-0000000000ff", account_id))
    origin = {"Origin": ALLOWED}
    sender = Caller(open_app, user_token("sync-job", scope="balance-snapshots:write"))

    responses = [
        open_app.test_client().get(LATEST, headers=origin),
        reader.send("GET", "/balance-snapshots?x=1", headers=origin),
        reader.send("GET", f"/accounts/{account_id}/balance-snapshots", headers=origin),
        reader.send("GET", f"/accounts/{user_id}/balance-snapshots", headers=origin),
        reader.send("GET", "/balance-snapshots", headers=origin),
        reader.send("DELETE", "/balance-snapshots", headers=origin),
        sender.post([], **origin),
        sender.send("POST", "/balance-snapshots", data="{}", headers=origin),
    ]

    assert [response.status_code for response in responses] == [401, 400, 403, 404, 429, 405, 400, 415]
    for response in responses:
        assert response.headers["Access-Control-Allow-Origin"] == ALLOWED
        assert list_members(response, "Access-Control-Expose-Headers") == EXPOSED


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_without_the_setting_the_origin_changes_nothing(app: Flask, method: str, user_id: str) -> None:
    def respond(**headers: str) -> Any:
        token = {"Authorization": f"Bearer {user_token(user_id)}"} if method == "GET" else {}
        requested = {"Access-Control-Request-Method": "GET", "X-Trace-Id": "same", **token}
        response = app.test_client().open(LATEST, method=method, headers=requested | headers)
        rest = {name: value for name, value in response.headers if not name.startswith("X-RateLimit")}
        return response.status_code, response.data, rest

    assert respond(Origin=ALLOWED) == respond()
    assert "Origin" not in respond(Origin=ALLOWED)[2].get("Vary", "")
