"""The problems of the stack, including nginx's own, as the contract documents them."""

from uuid import uuid4

import pytest

from tests.support import API, LATEST, snapshot, user_token
from tests.support.stack_client import (
    assert_problem,
    capture,
    frozen_service,
    needs_nginx,
    raw,
    read,
    send_request,
    unreachable_service,
)
from tools.stack import Stack

pytestmark = needs_nginx


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_body_over_the_limit_is_refused_by_its_length(running: Stack, method: str) -> None:
    assert_problem(send_request(running, LATEST, method, b"x" * 1_048_577), 413)


def test_a_url_that_is_too_long_is_refused(running: Stack) -> None:
    assert_problem(send_request(running, f"{LATEST}?{'x' * 9000}"), 414)


@pytest.mark.parametrize(
    "headers", [{"Authorization": "x" * 9000}, {f"X_{number}": "x" * 100 for number in range(400)}], ids=["one", "all"]
)
def test_headers_that_are_too_large_are_refused(running: Stack, headers: dict[str, str]) -> None:
    assert_problem(send_request(running, LATEST, **headers), 431)


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b", 400),
        (b"nonsense", 400),
        (b"TRACE / HTTP/1.1\r\nHost: a", 405),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: zip", 501),
        (b"GET / HTTP/3.0\r\nHost: a", 505),
    ],
)
def test_http_that_nginx_does_not_accept_is_a_problem(running: Stack, request_head: bytes, status: int) -> None:
    response = raw(running, request_head + b"\r\n\r\n")

    assert_problem(response, status)
    assert response.headers["Allow"] == ("GET, HEAD, POST" if status == 405 else None)


def test_a_service_that_cannot_be_reached_is_a_bad_gateway(running: Stack) -> None:
    with unreachable_service(running):
        response = capture(running, snapshot(str(uuid4()), str(uuid4())))

    assert_problem(response, 502)


def test_a_service_that_does_not_answer_is_a_gateway_timeout(running: Stack) -> None:
    with frozen_service(running):
        response = read(running, str(uuid4()))

    assert_problem(response, 504)


@pytest.mark.parametrize(("headers", "status"), [(200, 200), (500, 400)])
def test_more_headers_than_the_service_can_hold_are_a_problem_too(running: Stack, headers: int, status: int) -> None:
    response = read(running, str(uuid4()), **{f"X_{number}": "x" for number in range(headers)})

    assert response.status == status
    if status == 400:
        assert_problem(response, 400)


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/.problems/bad_request"])
def test_a_path_that_is_not_public_is_a_404(running: Stack, path: str) -> None:
    assert_problem(send_request(running, path), 404)


def test_the_problems_of_the_service_pass_through_nginx(running: Stack) -> None:
    bearer = f"Bearer {user_token(str(uuid4()))}"

    response = send_request(running, f"{API}/balance-snapshots?limit=1", Authorization=bearer)
    assert_problem(response, 400)
    assert response.json["errors"] == [{"field": "limit", "message": "Unknown field."}]
    assert_problem(send_request(running, f"{API}/accounts/{uuid4()}/balance-snapshots", Authorization=bearer), 404)


def test_every_refused_token_gets_the_services_own_401_however_many_come(running: Stack) -> None:
    responses = [send_request(running, f"{API}/balance-snapshots", Authorization="Bearer x") for _ in range(50)]

    for response in responses:
        assert_problem(response, 401)
        assert response.json["instance"] == f"{API}/balance-snapshots"
        assert response.headers.get_all("WWW-Authenticate") == ["Bearer"]
