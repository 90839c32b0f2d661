"""One id for each request, in its response and in its log lines (rule 14)."""

import json
import logging
import re
from uuid import uuid4

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from config import Settings
from service.auth import public
from tests.support import API, LATEST, Caller, user_token
from tests.support.apps import serving
from tests.support.printed_log import Output, printing

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


NEW = re.compile(r"[A-Za-z0-9-]{1,64}")


def id_of(client: FlaskClient, **headers: str) -> str:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get("/healthz", headers=sent).headers["X-Trace-Id"]


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
def test_an_invalid_traceparent_is_ignored(anonymous: FlaskClient, parent: str) -> None:
    assert id_of(anonymous, traceparent=parent, X_Trace_Id="second-best") == "second-best"
    assert TRACE not in id_of(anonymous, traceparent=parent).lower()


@pytest.mark.parametrize("sent", ["a", "-", "0", "abc123-DEF456-ghi789", "x" * 64], ids=str)
def test_the_id_is_a_valid_x_trace_id_without_a_traceparent(anonymous: FlaskClient, sent: str) -> None:
    assert id_of(anonymous, X_Trace_Id=sent) == sent


@pytest.mark.parametrize(
    "sent",
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
def test_the_id_is_a_new_one_when_no_valid_one_was_sent(anonymous: FlaskClient, sent: str) -> None:
    made = {id_of(anonymous, X_Trace_Id=sent) for _ in range(2)} | {id_of(anonymous)}
    assert len(made) == 3
    assert sent not in made
    assert all(NEW.fullmatch(one) for one in made)


def test_a_line_break_in_an_x_trace_id_is_not_sent_back(anonymous: FlaskClient) -> None:
    response = anonymous.get("/healthz", environ_overrides={"HTTP_X_TRACE_ID": "given\r\nX-More: 1"})
    assert "X-More" not in response.headers
    assert NEW.fullmatch(response.headers["X-Trace-Id"])


def test_a_line_break_after_an_x_trace_id_makes_it_invalid(anonymous: FlaskClient) -> None:
    response = anonymous.get("/healthz", environ_overrides={"HTTP_X_TRACE_ID": "given\n"})
    assert NEW.fullmatch(response.headers["X-Trace-Id"])
    assert response.headers["X-Trace-Id"] != "given"


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
def test_header_body_and_log_show_the_same_id(
    raising: Flask, output: Output, user_id: str, method: str, path: str, status: int
) -> None:
    headers = Caller(raising, user_token(user_id)).authorization | {"traceparent": PARENT}
    response = raising.test_client().open(path, method=method, headers=headers)
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


def test_lines_of_libraries_are_json_under_the_requests_id(settings: Settings) -> None:
    with printing() as output, serving(settings) as app:

        @app.get("/library")
        @public
        def use_library() -> Response:
            logging.getLogger("a.library").warning("%s is late", "it")
            return Response()

        app.test_client().get("/library", headers={"X-Trace-Id": "mine"})
    assert [(line["event"], line["trace_id"]) for line in output.lines] == [("it is late", "mine"), ("request", "mine")]
