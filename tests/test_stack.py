"""The service as in production: behind nginx, with two workers, from the files of deploy/."""

import contextlib
import gzip
import http.client
import json
import os
import select
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from service.db import DEADLINE_SECONDS
from tests.support import API, SECRET, children_of, snapshot, until, user_token
from tools import processes, stack
from tools.processes import free_port
from tools.stack import Stack

NGINX = not stack.missing_programs()
pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed: apt-get install nginx-light gettext-base")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("JWT_SECRET_KEY", SECRET)
        with stack.running(tmp_path_factory.mktemp("state"), free_port()) as running:
            yield running


class Reply:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(running: Stack, path: str, method: str = "GET", body: Any = None, **headers: str) -> Reply:
    connection = http.client.HTTPConnection(running.base.removeprefix("http://"), timeout=15)
    with contextlib.closing(connection):
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return Reply(connection.getresponse())


def read(running: Stack, user_id: str, **headers: str) -> Reply:
    return ask(running, f"{API}/balance-snapshots", Authorization=f"Bearer {user_token(user_id)}", **headers)


def capture(running: Stack, *items: dict[str, Any]) -> Reply:
    bearer = user_token("sync-job", scope="balance-snapshots:write")
    return ask(
        running,
        f"{API}/balance-snapshots",
        "POST",
        json.dumps({"snapshots": items}),
        Authorization=f"Bearer {bearer}",
        Content_Type="application/json",
    )


def assert_problem(reply: Reply, status: int) -> None:
    assert reply.status == status, reply.body
    assert reply.headers.get_all("Content-Type") == ["application/problem+json"]
    assert reply.json["status"] == status
    assert reply.json["type"].rpartition("/")[2] == reply.json["title"].lower().replace(" ", "_")
    assert reply.headers.get_all("X-Trace-Id") == [reply.json["trace_id"]]
    assert reply.headers.get_all("Cache-Control") == ["private, no-store"]
    assert reply.headers.get_all("Content-Security-Policy") == ["default-src 'none'; frame-ancestors 'none'"]
    assert reply.headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert reply.headers.get_all("Referrer-Policy") == ["no-referrer"]
    assert reply.headers.get_all("Retry-After") == (["1"] if status in (502, 503, 504) else None)


def test_a_capture_is_read_back_through_the_proxy(running: Stack) -> None:
    user_id = str(uuid4())

    assert capture(running, snapshot(user_id, str(uuid4()))).status == 201
    reply = read(running, user_id)
    assert reply.json["total_count"] == 1
    assert reply.headers["Cache-Control"] == "private, no-store"
    assert reply.headers["X-RateLimit-Remaining"] == "99"


def raw(running: Stack, request: bytes) -> Reply:
    host, port = running.base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return Reply(response)


def test_the_proxys_own_errors_are_problems(running: Stack) -> None:
    assert_problem(ask(running, f"{API}/balance-snapshots"), 401)
    assert_problem(ask(running, f"{API}/balance-snapshots?{'x' * 9000}"), 414)
    assert_problem(ask(running, f"{API}/balance-snapshots", Authorization="x" * 9000), 431)
    assert_problem(ask(running, f"{API}/balance-snapshots", "POST", b"x" * 1_048_577), 413)
    assert_problem(read(running, str(uuid4()), **{f"X_{number}": "x" * 100 for number in range(400)}), 431)
    assert_problem(ask(running, f"{API}/balance-snapshots", "GET", b"x" * 1_048_577), 413)
    assert_problem(raw(running, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400)
    assert_problem(raw(running, b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"), 405)
    assert_problem(raw(running, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: zip\r\n\r\n"), 501)
    assert_problem(raw(running, b"GET / HTTP/3.0\r\nHost: a\r\n\r\n"), 505)
    assert ask(running, f"{API}/balance-snapshots").headers.get_all("WWW-Authenticate") == ["Bearer"]


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://[::1/?needle=secret", 400),
        (b"http://[::1]/?needle=secret", 200),
        (b"http://x?needle=secret", 200),
        (b"needle=secret", 400),
    ],
)
def test_a_query_in_an_unusual_request_line_is_not_logged(running: Stack, target: bytes, status: int) -> None:
    reply = raw(running, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    assert reply.status == status
    until(lambda: reply.headers["X-Trace-Id"] in running.log("nginx"), 10)
    for part in ("nginx", "gunicorn"):
        assert "needle" not in running.log(part)
        assert "secret" not in running.log(part)


@pytest.mark.parametrize("length", [5000, 7900])
def test_a_long_url_that_passes_the_proxy_is_the_services_to_judge(running: Stack, length: int) -> None:
    bearer = f"Bearer {user_token(str(uuid4()))}"

    assert_problem(ask(running, f"{API}/balance-snapshots?{'x' * length}", Authorization=bearer), 400)


@pytest.fixture
def breaking(tmp_path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """nginx before a service that breaks every connection off, and what was delivered to it."""
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
    environment = stack.nginx_environment(
        f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}", upstream, "https://example.com/"
    )
    command = [str(stack.DEPLOY / "nginx.sh"), str(tmp_path)]
    with (tmp_path / "log").open("wb") as log:
        nginx = processes.start(command, env=environment, stdout=log, stderr=log)
    until(lambda: _listens(port), 10)
    yield f"127.0.0.1:{port}", delivered
    processes.end(nginx)
    service.shutdown(socket.SHUT_RDWR)
    service.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_capture_whose_worker_ends_is_delivered_once_and_is_the_senders_to_repeat(
    breaking: tuple[str, list[bytes]],
) -> None:
    address, delivered = breaking
    connection = http.client.HTTPConnection(address, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", f"{API}/balance-snapshots", b"{}")
        assert_problem(Reply(connection.getresponse()), 502)

    assert len(delivered) == 1


@pytest.mark.parametrize(("headers", "status"), [(200, 200), (500, 400)])
def test_more_headers_than_the_service_can_hold_are_a_problem_too(running: Stack, headers: int, status: int) -> None:
    reply = read(running, str(uuid4()), **{f"X_{number}": "x" for number in range(headers)})

    assert reply.status == status
    if status == 400:
        assert_problem(reply, 400)


def chunked(*chunks: bytes) -> bytes:
    bearer = user_token("sync-job", scope="balance-snapshots:write")
    head = f"POST {API}/balance-snapshots HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    return head.encode() + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""])


@pytest.mark.parametrize("through", ["nginx", "gunicorn"])
def test_a_chunked_body_beyond_the_limit_is_refused_and_not_cut(running: Stack, through: str) -> None:
    body = json.dumps({"snapshots": [snapshot(str(uuid4()), str(uuid4()))]}).encode()
    ask_raw = raw if through == "nginx" else past_nginx

    assert ask_raw(running, chunked(body, b" " * (1_048_576 - len(body)))).status == 201
    refused = ask_raw(running, chunked(body, b" " * 1_048_576))
    assert refused.status == 413
    assert refused.json["title"] == "Payload Too Large"


def test_a_chunk_that_is_none_is_a_bad_request(running: Stack) -> None:
    request = chunked().removesuffix(b"0\r\n\r\n") + b"zz\r\n{}\r\n0\r\n\r\n"

    assert past_nginx(running, request).status == 400


def past_nginx(running: Stack, request: bytes) -> Reply:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(running.environment["SOCKET"])
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return Reply(response)


@pytest.mark.parametrize("kind", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_a_request_is_not_answered_before_its_unwanted_body_has_come(running: Stack, kind: bytes) -> None:
    """Or what follows it on the connection could be taken for a part of it, and never be answered."""
    body = b"0123\n" if b"Length" in kind else b"5\r\n0123\n\r\n0\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
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


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/.problems/bad_request"])
def test_what_is_not_public_is_not_found(running: Stack, path: str) -> None:
    assert_problem(ask(running, path), 404)


def test_the_services_own_problems_pass(running: Stack) -> None:
    bearer = f"Bearer {user_token(str(uuid4()))}"

    reply = ask(running, f"{API}/balance-snapshots?limit=1", Authorization=bearer)
    assert_problem(reply, 400)
    assert reply.json["errors"] == [{"field": "limit", "message": "Unknown field."}]
    assert_problem(ask(running, f"{API}/accounts/{uuid4()}/balance-snapshots", Authorization=bearer), 404)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}, "a" * 32),
        ({"traceparent": f"01-{'a' * 32}-{'b' * 16}-01-more"}, "a" * 32),
        ({"traceparent": f"00-{'0' * 32}-{'b' * 16}-01", "X_Trace_Id": "mine-1"}, "mine-1"),
        ({"X_Trace_Id": "mine-2"}, "mine-2"),
        ({"X_Trace_Id": "not mine"}, None),
    ],
)
def test_one_trace_id_joins_the_proxys_log_the_services_and_the_answer(
    running: Stack, headers: dict[str, str], expected: str | None
) -> None:
    trace_id = read(running, str(uuid4()), **headers).headers["X-Trace-Id"]

    assert expected in (None, trace_id)
    for part in ("nginx", "gunicorn"):
        until(lambda part=part: f'"{trace_id}"' in running.log(part), 5)  # type: ignore[misc]


@pytest.fixture
def talkative(running: Stack) -> Iterator[Stack]:
    """The stack, its database's log telling of every statement as it would of a slow one."""
    with psycopg.connect(running.admin_url, autocommit=True) as connection:
        connection.execute("ALTER ROLE snapshots_service SET log_min_duration_statement = 0")
        _end_sessions(connection)
        yield running
        connection.execute("ALTER ROLE snapshots_service SET log_min_duration_statement = '500ms'")
        _end_sessions(connection)


def _end_sessions(connection: psycopg.Connection[Any]) -> None:
    """Each with five seconds to be gone."""
    connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'snapshots_service'"
    )


def database_lines(running: Stack, trace_id: str) -> list[str]:
    """The database's log lines of the server process that a request's line in the service's log names."""

    def requests() -> list[dict[str, Any]]:
        return [
            json.loads(line) for line in running.log("gunicorn").splitlines() if trace_id in line and "db_pid" in line
        ]

    until(lambda: len(requests()) == 1, 5)
    mark = f"[{requests()[0]['db_pid']}]"
    return [line for line in running.log("postgres").splitlines() if mark in line]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("balance-snapshots", "get_latest_snapshots"),
        ("accounts/{}/balance-history?start_date=2025-01-01&end_date=2025-01-02", "get_balance_history"),
        ("accounts/{}/balance-snapshots", "list_recent_snapshots"),
    ],
)
def test_the_line_of_a_read_names_the_process_whose_lines_are_in_the_databases_log(
    talkative: Stack, path: str, query: str
) -> None:
    trace_id = f"sql-{uuid4().hex}"

    bearer = f"Bearer {user_token(str(uuid4()))}"
    reply = ask(talkative, f"{API}/{path}".format(uuid4()), Authorization=bearer, X_Trace_Id=trace_id)

    assert reply.status in (200, 404)
    until(lambda: any(f"-- {query}" in line for line in database_lines(talkative, trace_id)), 5)


def test_the_line_of_a_capture_leads_to_each_of_its_statements_and_none_shows_an_amount(talkative: Stack) -> None:
    trace_id = f"sql-{uuid4().hex}"
    item = snapshot(str(uuid4()), str(uuid4()), balance="271828.18")
    bearer = f"Bearer {user_token('sync-job', scope='balance-snapshots:write')}"

    reply = ask(
        talkative,
        f"{API}/balance-snapshots",
        "POST",
        # The second item takes the statement that a batch of new snapshots does without.
        json.dumps({"snapshots": [item, item]}),
        Authorization=bearer,
        X_Trace_Id=trace_id,
        Content_Type="application/json",
    )

    assert reply.status == 201
    for name in ("insert_accounts", "insert_snapshots", "match_snapshots"):
        until(lambda name=name: any(f"-- {name}" in line for line in database_lines(talkative, trace_id)), 5)  # type: ignore[misc]
    assert "271828.18" not in talkative.log("postgres")


def test_every_line_of_the_logs_is_json_and_holds_no_token_or_query(running: Stack) -> None:
    bearer = user_token(str(uuid4()))
    ask(running, f"{API}/balance-snapshots?secret=hush", Authorization=f"Bearer {bearer}")
    ask(running, f"{API}/balance-snapshots?hush{'x' * 9000}")

    for part in ("nginx", "gunicorn"):
        for line in running.log(part).splitlines():
            assert {"time", "event"} <= set(json.loads(line))
        assert "hush" not in running.log(part)
        assert bearer[:40] not in running.log(part)


def test_a_client_cannot_choose_its_address(running: Stack) -> None:
    trace_id = f"address-{uuid4().hex}"
    read(running, str(uuid4()), X_Trace_Id=trace_id, X_Forwarded_For="192.0.2.1")

    lines: list[dict[str, Any]] = []

    def is_logged() -> bool:
        found = (json.loads(line) for line in running.log("gunicorn").splitlines() if trace_id in line)
        lines[:] = [line for line in found if line["event"] == "request"]
        return bool(lines)

    until(is_logged, 5)
    assert [line["client"] for line in lines] == ["127.0.0.1"]


def test_long_answers_are_compressed_for_who_asks(running: Stack) -> None:
    user_id = str(uuid4())
    capture(running, *(snapshot(user_id, str(uuid4())) for _ in range(20)))

    reply = read(running, user_id, Accept_Encoding="gzip")

    assert reply.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(reply.body))["total_count"] == 20
    assert "Content-Encoding" not in read(running, user_id).headers


def test_half_sent_requests_starve_nobody(running: Stack) -> None:
    host, port = running.base.removeprefix("http://").split(":")
    with contextlib.ExitStack() as clients:
        for _ in range(50):
            client = clients.enter_context(socket.create_connection((host, int(port)), timeout=10))
            client.sendall(b"POST /api/v1/balance-snapshots HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        for _ in range(5):
            assert read(running, str(uuid4())).status == 200


def test_every_refused_token_gets_the_services_own_401_however_many_come(running: Stack) -> None:
    replies = [ask(running, f"{API}/balance-snapshots", Authorization="Bearer x") for _ in range(50)]

    for reply in replies:
        assert_problem(reply, 401)
        assert reply.json["instance"] == f"{API}/balance-snapshots"
        assert reply.headers.get_all("WWW-Authenticate") == ["Bearer"]


# Processes


def test_a_killed_worker_is_replaced_and_costs_only_what_it_was_answering(running: Stack) -> None:
    before = set(children_of(running.gunicorn.pid))

    os.kill(before.pop(), signal.SIGKILL)

    until(lambda: len(set(children_of(running.gunicorn.pid)) - before) == 1, 10)
    until(lambda: read(running, str(uuid4())).status == 200, 10)
    assert [read(running, str(uuid4())).status for _ in range(10)] == [200] * 10


def test_a_service_that_stands_still_is_a_gateway_timeout(running: Stack) -> None:
    workers = children_of(running.gunicorn.pid)
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        reply = read(running, str(uuid4()))
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)

    assert_problem(reply, 504)
    assert reply.headers["Retry-After"] == "1"
    assert read(running, str(uuid4())).status == 200


def test_a_rolling_restart_under_load_fails_nothing(running: Stack) -> None:
    ended = threading.Event()

    def reads(_: int) -> list[int]:
        statuses = []
        while not ended.is_set():
            statuses.append(read(running, str(uuid4())).status)
        return statuses

    before = set(children_of(running.gunicorn.pid))
    with ThreadPoolExecutor(4) as threads:
        readers = [threads.submit(reads, n) for n in range(4)]
        try:
            running.gunicorn.send_signal(signal.SIGHUP)
            until(lambda: not before & set(children_of(running.gunicorn.pid)), 20)
            time.sleep(0.3)
        finally:
            ended.set()
        statuses = [status for reader in readers for status in reader.result()]

    assert len(statuses) > 10
    assert set(statuses) == {200}


@pytest.fixture
def short_lived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.setenv("JWT_SECRET_KEY", SECRET)
    with stack.running(tmp_path, free_port()) as running:
        yield running


def test_a_stack_starts_again_with_the_data_of_its_first_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET_KEY", SECRET)
    user_id = str(uuid4())
    with stack.running(tmp_path, free_port()) as first:
        assert capture(first, snapshot(user_id, str(uuid4()))).status == 201

    with stack.running(tmp_path, free_port()) as second:
        assert read(second, user_id).json["total_count"] == 1


def test_a_service_that_is_asked_to_end_finishes_what_it_is_answering(short_lived: Stack) -> None:
    user_id, account_id = str(uuid4()), str(uuid4())
    with psycopg.connect(short_lived.admin_url) as other, ThreadPoolExecutor(1) as thread:
        other.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account_id, user_id])
        under_way = thread.submit(capture, short_lived, snapshot(user_id, account_id))
        until(lambda: _is_waiting(other), 5)

        short_lived.gunicorn.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        other.rollback()

        assert under_way.result().status == 201
    assert short_lived.gunicorn.wait(20) == 0
    assert_problem(read(short_lived, user_id), 502)


def _is_waiting(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return row is not None and row[0] > 0


def test_metrics_add_up_over_the_workers(running: Stack) -> None:
    for _ in range(20):
        read(running, str(uuid4()))
    text = urllib.request.urlopen(f"{running.internal_base}/metrics", timeout=10).read().decode()

    counted = [
        float(line.split()[-1])
        for line in text.splitlines()
        if line.startswith("http_request_duration_seconds_count")
        and f'method="GET",route="{API}/balance-snapshots",status="200"' in line
    ]
    assert counted[0] >= 20


# Overload


def test_reads_behind_a_lock_are_turned_away_within_bounds_however_long_the_queue(running: Stack) -> None:
    """Three for each thread: what waits for a thread meanwhile waits on its own time."""
    bearers = [user_token(str(uuid4())) for _ in range(24)]

    def timed(bearer: str) -> tuple[int, float]:
        began = time.monotonic()
        status = ask(running, f"{API}/balance-snapshots", Authorization=f"Bearer {bearer}").status
        return status, time.monotonic() - began

    with psycopg.connect(running.admin_url) as other, ThreadPoolExecutor(24) as threads:
        other.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
        seen = list(threads.map(timed, bearers))
        other.rollback()

    assert {status for status, _ in seen} == {503}
    assert max(seconds for _, seconds in seen) < DEADLINE_SECONDS + 1


def test_what_is_too_much_is_shed_at_once_with_a_time_to_come_again(running: Stack) -> None:
    """More requests under way than the proxy lets in, while a lock holds the service up."""
    user_id, account_id = str(uuid4()), str(uuid4())
    with psycopg.connect(running.admin_url) as other, ThreadPoolExecutor(90) as threads:
        other.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account_id, user_id])
        under_way = [threads.submit(capture, running, snapshot(user_id, account_id)) for _ in range(90)]
        until(lambda: sum(attempt.done() for attempt in under_way) >= 20, 10)
        other.rollback()
        replies = [attempt.result() for attempt in under_way]

    shed = [reply for reply in replies if reply.status == 503 and "busy" in reply.json["detail"]]
    assert len(shed) >= 20
    for reply in shed:
        assert_problem(reply, 503)
        assert reply.headers["Retry-After"] == "1"
    assert {reply.status for reply in replies} <= {200, 201, 503}
    assert read(running, str(uuid4())).status == 200
