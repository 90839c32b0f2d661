"""Gunicorn with deploy/gunicorn.conf.py: its own responses, its log, its use of TCP, and the start of its workers."""

import http.client
import json
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support import PATIENCE_SECONDS, ROOT, SECRET, claims, token, until
from tests.support.gunicorn_server import Gunicorn, serving
from tests.support.running import clean_environ

UNREACHABLE = "postgresql://nobody@127.0.0.1:1/nothing"


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """A gunicorn that logs as much as it can, without a database."""
    folder = tmp_path_factory.mktemp("gunicorn")
    with serving(folder, DATABASE_URL=UNREACHABLE, JWT_SECRET_KEY=SECRET, LOG_LEVEL="DEBUG") as gunicorn:
        yield gunicorn


@pytest.mark.parametrize("header", [b"SCRIPT_NAME: /elsewhere", b"SCRIPT_NAME: /healthz", b"PATH_INFO: /elsewhere"])
def test_a_header_cannot_set_a_variable_of_the_wsgi_environment(gunicorn: Gunicorn, header: bytes) -> None:
    response = gunicorn.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n")

    assert (response.status, response.json) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "request_head",
    [
        pytest.param(b"GET http://[::1/ HTTP/1.1", id="malformed URL"),
        pytest.param(b"GET / HTTP/9", id="malformed version"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: y", id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nTransfer-Encoding: zip", id="unknown transfer coding"),
        pytest.param(b"GET / HTTP/1.1\r\nExpect: a miracle", id="unknown expectation"),
        pytest.param(b"GET / HTTP/1.1" + b"\r\nX: x" * 32769, id="too many headers"),
    ],
)
def test_a_request_that_gunicorn_refuses_is_a_problem(gunicorn: Gunicorn, request_head: bytes) -> None:
    response = gunicorn.send(request_head + b"\r\nHost: x\r\n\r\n")

    assert response.status == 400
    assert response.headers.get_all("Content-Type") == ["application/problem+json"]
    assert (response.json["title"], response.json["status"]) == ("Bad Request", 400)
    assert response.json["type"] == "https://api.dashtam.com/errors/bad_request"
    assert response.headers.get_all("X-Trace-Id") == [response.json["trace_id"]]


@pytest.mark.parametrize(
    "request_line",
    [
        pytest.param(b"GET http://[::1/?needle=secret HTTP/1.1", id="malformed absolute URL"),
        pytest.param(b"GET http://[::1]/?needle=secret HTTP/1.1", id="absolute URL"),
        pytest.param(b"GET needle=secret HTTP/1.1", id="no path"),
        pytest.param(b"GET /?needle=secret HTTP/9", id="malformed version"),
        pytest.param(b"GET /?needle=secret", id="no version"),
        pytest.param(b"get /?needle=secret HTTP/1.1", id="malformed method"),
        pytest.param(b"GET ?needle=secret HTTP/1.1", id="a query alone"),
        pytest.param(b"GET //[::1?needle=secret HTTP/1.1", id="a host without its scheme"),
        pytest.param(b"GET /?needle=secret HTTP/1.1\r\nTransfer-Encoding: zip", id="malformed body"),
        pytest.param(b"GET /?needle=secret HTTP/1.1\r\nneedle secret: 1", id="malformed header"),
        pytest.param(b"GET /nowhere?needle=secret HTTP/1.1", id="well-formed"),
    ],
)
def test_no_line_of_the_log_holds_the_query(gunicorn: Gunicorn, request_line: bytes) -> None:
    before = len(gunicorn.log)
    gunicorn.send(request_line + b"\r\nHost: x\r\n\r\n")
    until(lambda: gunicorn.log[before:].endswith("\n"))

    logged = gunicorn.log[before:]
    assert all(json.loads(line) for line in logged.splitlines())
    assert "needle" not in logged
    assert "secret" not in logged


def test_a_response_arrives_in_one_segment(gunicorn: Gunicorn) -> None:
    with socket.create_connection(("127.0.0.1", gunicorn.port)) as client:
        client.sendall(b"GET /docs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        until(lambda: client.recv(1 << 20) == b"", 10)
        # tcpi_data_segs_in of struct tcp_info (linux/tcp.h).
        (segments,) = struct.unpack_from("I", client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160), 152)

    assert segments == 1


def test_head_has_the_headers_of_get(gunicorn: Gunicorn) -> None:
    heads = []
    with closing(http.client.HTTPConnection("127.0.0.1", gunicorn.port, timeout=PATIENCE_SECONDS)) as client:
        for method in ("GET", "HEAD", "GET"):
            client.request(method, "/healthz", headers={"X-Trace-Id": "the-same"})
            with client.getresponse() as response:
                response.read()
            heads.append([field for field in response.headers.items() if field[0] != "Date"])

    assert heads[0] == heads[1] == heads[2]


def test_sighup_loads_a_changed_secret(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    new_secret = uuid4().hex

    with serving(tmp_path, DATABASE_URL=UNREACHABLE, JWT_SECRET_KEY_FILE=str(secret)) as gunicorn:

        def status_of_a_read(key: str) -> int:
            bearer = f"Authorization: Bearer {token(claims(), key)}".encode()
            request = b"GET /api/v1/balance-snapshots HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            return gunicorn.send(request + bearer + b"\r\n\r\n").status

        assert (status_of_a_read(SECRET), status_of_a_read(new_secret)) == (503, 401)
        secret.write_text(new_secret)
        gunicorn.process.send_signal(signal.SIGHUP)

        until(lambda: status_of_a_read(new_secret) == 503)
        until(lambda: status_of_a_read(SECRET) == 401)


def test_a_worker_has_a_connection_before_it_takes_requests(database_url: str) -> None:
    """A request that arrived while the worker started has little time left to wait for one."""
    statements = [
        # A busy machine may take longer to connect than a worker waits for it.
        f"from service import db; db.CONNECT_SECONDS = {PATIENCE_SECONDS}",
        "import wsgi",
        "print(wsgi.app.extensions['pool'].get_stats()['pool_available'])",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "; ".join(statements)],
        cwd=ROOT,
        env={**clean_environ(), "DATABASE_URL": database_url, "JWT_SECRET_KEY": SECRET},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    # One, or two if the first was not there yet when it was asked for: the pool grows for a request that waits.
    assert int(done.stdout or 0) >= 1, done.stderr
