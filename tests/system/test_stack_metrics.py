"""The metrics of the stack, as Prometheus scrapes them."""

import json
import os
import shutil
import signal
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.support import API, LATEST, PATIENCE_SECONDS, SCOPE, children_of, snapshot, until, user_token
from tests.support.stack_client import (
    capture,
    frozen_service,
    needs_nginx,
    past_nginx,
    read,
    send_request,
    started,
    unreachable_service,
)
from tools import processes, stack
from tools.processes import free_port
from tools.stack import Stack

pytestmark = needs_nginx
needs_mtail = pytest.mark.skipif(not shutil.which("mtail"), reason="mtail is not installed: apt-get install mtail")


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as response:
        return str(response.read().decode())


def get_from_other_worker(running: Stack, worker: int, path: str) -> str:
    """Freeze this worker, so that the other one answers, and return the response."""
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user_token(str(uuid4()))}\r\n"
    os.kill(worker, signal.SIGSTOP)
    try:
        response = past_nginx(running, f"{request}Connection: close\r\n\r\n".encode())
    finally:
        os.kill(worker, signal.SIGCONT)
    assert response.status == 200
    return response.body.decode()


def test_metrics_add_up_over_the_workers(running: Stack) -> None:
    def count_reads(worker: int) -> float:
        return sum(
            float(line.split()[-1])
            for line in get_from_other_worker(running, worker, "/metrics").splitlines()
            if line.startswith("http_request_duration_seconds_count")
            and f'method="GET",route="{LATEST}",status="200"' in line
        )

    workers = children_of(running.gunicorn.pid)
    before = max(count_reads(worker) for worker in workers)
    for worker in workers:
        get_from_other_worker(running, worker, LATEST)

    assert len(workers) == 2
    assert min(count_reads(worker) for worker in workers) >= before + 2


@pytest.mark.parametrize(("path", "status"), [("/readyz", "ready"), ("/healthz", "ok")])
def test_the_internal_port_answers_probes(running: Stack, path: str, status: str) -> None:
    assert json.loads(get(running.internal_base + path)) == {"status": status}


def test_the_internal_port_serves_nothing_of_the_api(running: Stack) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(f"{running.internal_base}{API}/balance-snapshots")


def count_responses(running: Stack, status: int, origin: str) -> float:
    """Return the number of responses of this status that nginx has sent."""
    for line in get(f"{running.nginx_metrics_base}/metrics").splitlines():
        if line.startswith(f'nginx_responses_total{{origin="{origin}",status="{status}"}}'):
            return float(line.split()[-1])
    return 0


Expect = Callable[[int, int, str], None]


@pytest.fixture
def expect_more(running: Stack) -> Iterator[Expect]:
    """Wait until nginx has counted this many more responses of a status than when the test began."""
    keys = [(status, origin) for status in (200, 401, 429, 502, 503, 504) for origin in ("nginx", "service")]
    # The lines of earlier requests are counted when this one's is. No other request to this stack gets a 415.
    unsupported = count_responses(running, 415, "service")
    bearer = f"Bearer {user_token('sync-job', scope=SCOPE)}"
    marker = send_request(running, LATEST, "POST", "", Authorization=bearer, Content_Type="text/plain")
    assert marker.status == 415
    until(lambda: count_responses(running, 415, "service") == unsupported + 1)
    before = {key: count_responses(running, *key) for key in keys}
    expected = dict.fromkeys(keys, 0)

    def expect(count: int, status: int, origin: str) -> None:
        expected[status, origin] = count

    yield expect
    until(lambda: {key: count_responses(running, *key) - before[key] for key in keys} == expected)


@needs_mtail
def test_responses_of_the_service_are_counted_as_its_own(running: Stack, expect_more: Expect) -> None:
    for _ in range(3):
        assert read(running, str(uuid4())).status == 200
    assert send_request(running, f"{API}/balance-snapshots").status == 401

    expect_more(3, 200, "service")
    expect_more(1, 401, "service")


@needs_mtail
def test_a_bad_gateway_is_counted_for_nginx(running: Stack, expect_more: Expect) -> None:
    with unreachable_service(running):
        assert capture(running, snapshot(str(uuid4()), str(uuid4()))).status == 502

    expect_more(1, 502, "nginx")


@needs_mtail
def test_a_timeout_is_counted_for_nginx(running: Stack, expect_more: Expect) -> None:
    with frozen_service(running):
        assert read(running, str(uuid4())).status == 504

    expect_more(1, 504, "nginx")


@needs_mtail
def test_a_shed_request_is_counted_for_nginx_and_a_failed_one_for_the_service(
    running: Stack, expect_more: Expect
) -> None:
    user_id, account_id = str(uuid4()), str(uuid4())
    with psycopg.connect(running.admin_url) as other, ThreadPoolExecutor(40) as threads:
        other.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account_id, user_id])
        under_way = [threads.submit(capture, running, snapshot(user_id, account_id)) for _ in range(40)]
        responses = [attempt.result() for attempt in under_way]
        other.rollback()

    busy = [response for response in responses if "busy" in response.json["detail"]]
    assert {response.status for response in responses} == {503}
    assert 0 < len(busy) < 40
    expect_more(len(busy), 503, "nginx")
    expect_more(40 - len(busy), 503, "service")


@needs_mtail
def test_a_read_beyond_the_bound_of_a_caller_is_counted_for_nginx(running: Stack, expect_more: Expect) -> None:
    bearer = f"Bearer {user_token(str(uuid4()))}"
    with psycopg.connect(running.admin_url) as other, ThreadPoolExecutor(6) as threads:
        other.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
        under_way = [
            threads.submit(send_request, running, f"{API}/balance-snapshots", Authorization=bearer) for _ in range(6)
        ]
        until(lambda: sum(attempt.done() for attempt in under_way) >= 2)
        other.rollback()
        statuses = Counter(attempt.result().status for attempt in under_way)

    assert statuses[429] == 2
    expect_more(2, 429, "nginx")
    # The service gives up if the machine is so busy that the lock is held for too long.
    for status in (200, 503):
        expect_more(statuses[status], status, "service")


@needs_mtail
def test_the_log_of_nginxs_metrics_stays_small_and_counting_continues(tmp_path: Path) -> None:
    log, port = tmp_path / "status.log", free_port()
    base = f"http://127.0.0.1:{port}"
    log.touch()
    counting = processes.start(
        [str(stack.DEPLOY / "nginx-metrics.sh"), str(log), "--address=127.0.0.1", f"--port={port}"]
    )

    def write(lines: int, line: str) -> None:
        with log.open("a") as status_log:
            status_log.write(f"{line}\n" * lines)

    def is_counted(lines: int, status: int) -> bool:
        return f'{{origin="service",status="{status}"}} {lines}\n' in get(f"{base}/metrics")

    try:
        assert processes.wait_until_up(f"{base}/metrics", PATIENCE_SECONDS, lambda: counting.poll() is None)
        # Long lines that are not counted reach the limit sooner.
        write(7_900, "x" * 999)
        write(5, "200 service")
        until(lambda: is_counted(5, 200))
        write(200, "x" * 999)
        until(lambda: log.stat().st_size < 1000)
        write(5, "201 service")
        until(lambda: is_counted(5, 201))
    finally:
        processes.end(counting)


def test_the_stack_serves_without_mtail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name != "mtail":
            (programs / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(programs))

    with started(tmp_path / "state") as running:
        assert running.nginx_metrics_base is None
        assert json.loads(get(f"{running.internal_base}/readyz")) == {"status": "ready"}
