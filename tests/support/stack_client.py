"""Requests to a running stack, and checks of its problems."""

import contextlib
import http.client
import json
import os
import signal
import socket
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import validate

from tests.support import API, PATIENCE_SECONDS, SECRET, children_of, until, user_token
from tests.support.clusters import new_cluster
from tests.support.gunicorn_server import kill
from tools import stack
from tools.processes import free_port
from tools.stack import Stack
from tools.strict_contract import strict_schema

needs_nginx = pytest.mark.skipif(
    bool(stack.missing_programs()), reason="nginx is not installed: apt-get install nginx-light gettext-base"
)
CONTRACT: dict[str, Any] = json.loads((stack.ROOT / "docs" / "openapi.json").read_text())
BASE_URL = "https://api.dashtam.com/errors/"
_REQUIRED_HEADERS = {
    name: CONTRACT["components"]["headers"][name]
    for name in (
        "X-Trace-Id",
        "Cache-Control",
        "Content-Security-Policy",
        "X-Content-Type-Options",
        "Referrer-Policy",
    )
}


@contextlib.contextmanager
def started(state: Path, **settings: str) -> Iterator[Stack]:
    """Run a stack with these settings that accepts the tokens of tests; keep the data that the folder holds."""
    if not (state / "postgres").exists():
        new_cluster(state / "postgres")
    with contextlib.ExitStack() as parts:
        with pytest.MonkeyPatch.context() as environ:
            environ.setenv("JWT_SECRET_KEY", SECRET)
            running = parts.enter_context(stack.running(state, free_port(), **settings))
        # The stack is up with its first worker; gunicorn forks the second up to 0.1 s later.
        until(lambda: len(children_of(running.gunicorn.pid)) == int(running.environment["WEB_CONCURRENCY"]))
        yield running
        kill(running.gunicorn)


class StackResponse:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def send_request(running: Stack, path: str, method: str = "GET", body: Any = None, **headers: str) -> StackResponse:
    connection = http.client.HTTPConnection(running.base.removeprefix("http://"), timeout=PATIENCE_SECONDS)
    with contextlib.closing(connection):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return StackResponse(connection.getresponse())


def read(running: Stack, user_id: str, **headers: str) -> StackResponse:
    return send_request(running, f"{API}/balance-snapshots", Authorization=f"Bearer {user_token(user_id)}", **headers)


def capture(running: Stack, *items: dict[str, Any], **headers: str) -> StackResponse:
    bearer = user_token("sync-job", scope="balance-snapshots:write")
    return send_request(
        running,
        f"{API}/balance-snapshots",
        "POST",
        json.dumps({"snapshots": items}),
        Authorization=f"Bearer {bearer}",
        Content_Type="application/json",
        **headers,
    )


def raw(running: Stack, request: bytes) -> StackResponse:
    """Send exactly these bytes to nginx and read one response."""
    host, port = running.base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return StackResponse(response)


def past_nginx(running: Stack, request: bytes) -> StackResponse:
    """Send exactly these bytes to the service's socket, which only nginx uses otherwise, and read one response."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(running.environment["SOCKET"])
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return StackResponse(response)


@contextlib.contextmanager
def frozen_service(running: Stack) -> Iterator[None]:
    """Freeze the workers until the context ends."""
    workers = children_of(running.gunicorn.pid)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def unreachable_service(running: Stack) -> Iterator[None]:
    """Keep nginx from connecting until the context ends. A capture needs a new connection; reads share open ones."""
    socket_path = Path(running.environment["SOCKET"])
    away = socket_path.rename(f"{socket_path}.away")
    try:
        yield
    finally:
        away.rename(socket_path)


def assert_problem(response: StackResponse, status: int) -> None:
    """Check a problem and its headers against the contract."""
    assert response.status == status, response.body
    assert response.headers.get_all("Content-Type") == ["application/problem+json"]
    validate(_problem_schema(status), response.json, validate_formats=True)
    for name, header in _REQUIRED_HEADERS.items():
        (value,) = response.headers.get_all(name, [])
        validate(header["schema"], value, validate_formats=True)
    assert response.headers["X-Trace-Id"] == response.json["trace_id"]
    assert response.headers.get_all("Retry-After") == (["1"] if status in (429, 502, 503, 504) else None)


def _problem_schema(status: int) -> dict[str, Any]:
    responses = CONTRACT["paths"]["/balance-snapshots"]["get"]["responses"]
    if str(status) in responses:
        return strict_schema(CONTRACT, status, responses[str(status)])
    # Statuses that no operation documents: an unknown path, or a method or an HTTP version that is not supported.
    title = HTTPStatus(status).phrase
    known = {"status": status, "title": title, "type": BASE_URL + title.lower().replace(" ", "_")}
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": known}
    return strict_schema(CONTRACT, status, {"content": {"application/problem+json": content}})
