"""Requests through nginx, on the stack of `make stack`."""

import contextlib
import gzip
import http.client
import json
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support import API, PATIENCE_SECONDS, snapshot, until, user_token
from tests.support.stack_client import (
    BASE_URL,
    StackResponse,
    assert_problem,
    capture,
    needs_nginx,
    past_nginx,
    raw,
    read,
    send_request,
)
from tools import processes, stack
from tools.processes import free_port
from tools.stack import Stack

pytestmark = needs_nginx


def test_a_capture_is_read_back_through_the_proxy(running: Stack) -> None:
    user_id = str(uuid4())

    assert capture(running, snapshot(user_id, str(uuid4()))).status == 201
    response = read(running, user_id)
    assert response.json["total_count"] == 1
    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.headers["X-RateLimit-Remaining"] == "99"


@pytest.mark.parametrize("length", [5000, 7900])
def test_a_long_url_that_nginx_accepts_is_answered_by_the_service(running: Stack, length: int) -> None:
    bearer = f"Bearer {user_token(str(uuid4()))}"

    assert_problem(send_request(running, f"{API}/balance-snapshots?{'x' * length}", Authorization=bearer), 400)


@pytest.fixture
def nginx_and_delivered(tmp_path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """nginx in front of a service that drops every connection, and the requests that it received."""
    delivered: list[bytes] = []
    service = socket.socket(socket.AF_UNIX)
    service.bind(str(tmp_path / "service.sock"))
    service.listen(8)

    def take() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = service.accept()
                with connection:
                    delivered.append(connection.recv(65536))

    threading.Thread(target=take, daemon=True).start()
    port = free_port()
    upstream = f"unix:{tmp_path}/service.sock"
    environment = stack.nginx_environment(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}", upstream, BASE_URL)
    command = [str(stack.DEPLOY / "nginx.sh"), str(tmp_path)]
    with (tmp_path / "log").open("wb") as log:
        nginx = processes.start(command, env=environment, stdout=log, stderr=log)
    until(lambda: _listens(port))
    yield f"127.0.0.1:{port}", delivered
    processes.end(nginx)
    service.shutdown(socket.SHUT_RDWR)
    service.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_capture_whose_connection_the_service_drops_is_a_502_and_not_sent_again(
    nginx_and_delivered: tuple[str, list[bytes]],
) -> None:
    address, delivered = nginx_and_delivered
    connection = http.client.HTTPConnection(address, timeout=PATIENCE_SECONDS)
    with contextlib.closing(connection):
        connection.request("POST", f"{API}/balance-snapshots", b"{}")
        assert_problem(StackResponse(connection.getresponse()), 502)

    assert len(delivered) == 1


def chunked(*chunks: bytes) -> bytes:
    bearer = user_token("sync-job", scope="balance-snapshots:write")
    head = f"POST {API}/balance-snapshots HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    return head.encode() + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])


@pytest.mark.parametrize("through", ["nginx", "gunicorn"])
def test_a_chunked_body_beyond_the_limit_is_refused_and_not_truncated(running: Stack, through: str) -> None:
    body = json.dumps({"snapshots": [snapshot(str(uuid4()), str(uuid4()))]}).encode()
    send = raw if through == "nginx" else past_nginx

    assert send(running, chunked(body, b" " * (1_048_576 - len(body)))).status == 201
    refused = send(running, chunked(body, b" " * 1_048_576))
    assert refused.status == 413
    assert refused.json["title"] == "Payload Too Large"


def test_a_malformed_chunk_is_a_bad_request(running: Stack) -> None:
    request = chunked().removesuffix(b"0\r\n\r\n") + b"zz\r\n{}\r\n0\r\n\r\n"

    assert past_nginx(running, request).status == 400


@pytest.mark.parametrize("kind", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_a_request_is_not_answered_before_its_unwanted_body_has_come(running: Stack, kind: bytes) -> None:
    """Otherwise the next request on the connection could be taken for part of the body and never be answered."""
    body = b"0123\n" if b"Length" in kind else b"5\r\n0123\n\r\n0\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(running.environment["SOCKET"])
        connection.sendall(b"DELETE /healthz HTTP/1.1\r\nHost: x\r\n" + kind + b"\r\n\r\n")
        early, _, _ = select.select([connection], [], [], 0.5)
        connection.sendall(body)
        unwanted = http.client.HTTPResponse(connection, method="DELETE")
        unwanted.begin()
        unwanted.read()
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        following = http.client.HTTPResponse(connection)
        following.begin()

    assert not early
    assert (unwanted.status, following.status) == (405, 200)


def test_long_responses_are_compressed_on_request(running: Stack) -> None:
    user_id = str(uuid4())
    capture(running, *(snapshot(user_id, str(uuid4())) for _ in range(20)))

    response = read(running, user_id, Accept_Encoding="gzip")

    assert response.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(response.body))["total_count"] == 20
    assert "Content-Encoding" not in read(running, user_id).headers
