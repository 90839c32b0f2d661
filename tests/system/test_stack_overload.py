"""More requests than the stack can serve, or slower ones."""

import contextlib
import os
import re
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from service.db import DEADLINE_SECONDS
from tests.support import API, PATIENCE_SECONDS, snapshot, until, user_token
from tests.support.stack_client import assert_problem, capture, needs_nginx, read, send_request
from tools import stack
from tools.processes import free_port
from tools.stack import Stack

pytestmark = needs_nginx


def test_half_sent_requests_starve_nobody(running: Stack) -> None:
    host, port = running.base.removeprefix("http://").split(":")
    with contextlib.ExitStack() as clients:
        for _ in range(50):
            client = clients.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS))
            client.sendall(b"POST /api/v1/balance-snapshots HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        for _ in range(5):
            assert read(running, str(uuid4())).status == 200


def test_reads_behind_a_lock_are_refused_within_bounds_however_long_the_queue(running: Stack) -> None:
    """There are six reads per thread; the time that a read waits for a thread counts towards its deadline."""
    bearers = [user_token(str(uuid4())) for _ in range(24)]

    def timed(bearer: str) -> tuple[int, float]:
        started_at = time.monotonic()
        status = send_request(running, f"{API}/balance-snapshots", Authorization=f"Bearer {bearer}").status
        return status, time.monotonic() - started_at

    with psycopg.connect(running.admin_url) as other, ThreadPoolExecutor(24) as threads:
        other.execute("LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE")
        seen = list(threads.map(timed, bearers))
        other.rollback()

    assert {status for status, _ in seen} == {503}
    # nginx gives up with a 504 after five seconds. The rest is what a busy machine may add.
    assert max(seconds for _, seconds in seen) < 5 + DEADLINE_SECONDS


def test_excess_requests_are_shed_at_once_with_a_retry_after(running: Stack) -> None:
    """A lock holds the service up while more requests arrive than nginx admits at once."""
    user_id, account_id = str(uuid4()), str(uuid4())
    with psycopg.connect(running.admin_url) as other, ThreadPoolExecutor(90) as threads:
        other.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account_id, user_id])
        under_way = [threads.submit(capture, running, snapshot(user_id, account_id)) for _ in range(90)]
        until(lambda: sum(attempt.done() for attempt in under_way) >= 20)
        other.rollback()
        responses = [attempt.result() for attempt in under_way]

    shed = [response for response in responses if response.status == 503 and "busy" in response.json["detail"]]
    assert len(shed) >= 20
    for response in shed:
        assert_problem(response, 503)
        assert response.headers["Retry-After"] == "1"
    assert {response.status for response in responses} <= {200, 201, 503}
    assert read(running, str(uuid4())).status == 200


@pytest.mark.parametrize(
    ("workers", "bounds"), [("3", ["36", "12"]), ("", ["12", "4"])], ids=["as set", "as the cores"]
)
def test_nginx_lets_more_requests_through_to_more_workers(tmp_path: Path, workers: str, bounds: list[str]) -> None:
    environment = stack.nginx_environment(
        f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}", "unix:/none", "https://problems.example/"
    )
    on_one_core = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))]
    command = [*on_one_core, str(stack.DEPLOY / "nginx.sh"), str(tmp_path), "-T"]

    done = subprocess.run(
        command, env=environment | {"WORKERS": workers}, capture_output=True, text=True, timeout=300, check=True
    )

    assert re.findall(r"max_conns=(\d+)", done.stdout) == bounds
