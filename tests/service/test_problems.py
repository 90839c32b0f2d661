"""Problems: their members and their types (rule 13)."""

import json
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from flask import Flask, Response, abort
from flask.testing import FlaskClient

from config import Settings
from service.auth import public
from tests.support import API, LATEST, Caller
from tests.support.apps import serving
from tests.support.captures import TOO_LARGE
from tests.support.problems import KEYS, problem


@pytest.fixture(scope="module")
def failing(settings: Settings) -> Iterator[Flask]:
    """An app with a view that fails with any status."""
    with serving(settings) as app:

        @app.get("/status/<int:status>")
        @public
        def fail_with_status(status: int) -> Response:
            abort(status)

        yield app


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "title"),
    [
        pytest.param("GET", LATEST, {"Authorization": ""}, b"", 401, "Unauthorized", id="401"),
        pytest.param("POST", LATEST, {}, b"{}", 403, "Forbidden", id="403"),
        pytest.param("GET", "/nowhere", {}, b"", 404, "Not Found", id="404 of the framework"),
        pytest.param(
            "GET", f"{API}/accounts/{uuid4()}/balance-snapshots", {}, b"", 404, "Not Found", id="404 of a view"
        ),
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
def test_a_problem_of_a_capture_has_every_member_in_order(
    sync_job: Caller, content_type: str, body: bytes, status: int, title: str
) -> None:
    response = sync_job.send("POST", "/balance-snapshots", data=body, content_type=content_type)
    assert problem(response, status, title)["instance"] == LATEST


def test_errors_are_the_last_member_of_a_problem(user: Caller) -> None:
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
