"""Workers that are killed, frozen or replaced, and a stack that is stopped and started."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.support import LATEST, PATIENCE_SECONDS, ROOT, SECRET, children_of, snapshot, until, user_token
from tests.support.running import clean_environ
from tests.support.stack_client import (
    StackResponse,
    assert_problem,
    capture,
    frozen_service,
    needs_nginx,
    read,
    started,
)
from tools.processes import free_port
from tools.stack import Stack

pytestmark = needs_nginx


def test_a_killed_worker_is_replaced_and_costs_only_its_own_requests(running: Stack) -> None:
    before = set(children_of(running.gunicorn.pid))

    os.kill(before.pop(), signal.SIGKILL)

    until(lambda: len(set(children_of(running.gunicorn.pid)) - before) == 1)
    until(lambda: read(running, str(uuid4())).status == 200)
    assert [read(running, str(uuid4())).status for _ in range(10)] == [200] * 10


def test_a_service_that_was_frozen_serves_again_at_once(running: Stack) -> None:
    with frozen_service(running):
        read(running, str(uuid4()))

    assert read(running, str(uuid4())).status == 200


def test_a_rolling_restart_under_load_fails_nothing(running: Stack) -> None:
    ended = threading.Event()

    def reads(_: int) -> list[StackResponse]:
        responses = []
        # Leaves the cores to the workers that start.
        while not ended.wait(0.02):
            responses.append(read(running, str(uuid4())))
        return responses

    before = set(children_of(running.gunicorn.pid))
    with ThreadPoolExecutor(4) as threads:
        readers = [threads.submit(reads, n) for n in range(4)]
        try:
            running.gunicorn.send_signal(signal.SIGHUP)
            until(lambda: not before & set(children_of(running.gunicorn.pid)))
            time.sleep(0.3)
        finally:
            ended.set()
        responses = [response for reader in readers for response in reader.result()]

    assert len(responses) > 10
    assert [(response.status, response.body) for response in responses if response.status != 200] == []


@dataclass
class Stopped:
    """The outcome of stopping a stack's service during a capture, and then the stack."""

    state: Path
    """The STATE_DIR with which `make stack` finds the same data."""
    user_id: str
    captured: StackResponse
    exit_status: int
    read_afterwards: StackResponse


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    state, user_id, account_id = tmp_path_factory.mktemp("state"), str(uuid4()), str(uuid4())
    with started(state / "stack") as running:
        with psycopg.connect(running.admin_url) as other, ThreadPoolExecutor(1) as thread:
            other.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account_id, user_id])
            under_way = thread.submit(capture, running, snapshot(user_id, account_id))
            until(lambda: _is_waiting(other))

            running.gunicorn.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            other.rollback()

            captured = under_way.result()
        return Stopped(state, user_id, captured, running.gunicorn.wait(PATIENCE_SECONDS), read(running, user_id))


def test_a_service_that_is_stopped_finishes_its_requests(stopped: Stopped) -> None:
    assert stopped.captured.status == 201
    assert stopped.exit_status == 0
    assert_problem(stopped.read_afterwards, 502)


def _is_waiting(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return row is not None and row[0] > 0


def test_make_stack_serves_the_data_of_an_earlier_start_at_the_printed_address_and_stops_on_a_signal(
    stopped: Stopped,
) -> None:
    ports = {"PORT": str(free_port()), "INTERNAL_PORT": str(free_port()), "NGINX_METRICS_PORT": str(free_port())}
    with subprocess.Popen(
        [sys.executable, "-m", "tools.stack"],
        cwd=ROOT,
        env={**clean_environ(), "STATE_DIR": str(stopped.state), "JWT_SECRET_KEY": SECRET, **ports},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            first, second = process.stdout.readline(), process.stdout.readline()
            assert f"http://127.0.0.1:{ports['PORT']}; " in first
            assert f"http://127.0.0.1:{ports['INTERNAL_PORT']}/metrics" in second
            bearer = {"Authorization": f"Bearer {user_token(stopped.user_id)}"}
            request = urllib.request.Request(f"http://127.0.0.1:{ports['PORT']}{LATEST}", headers=bearer)
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
                assert json.load(response)["total_count"] == 1
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.stdout.read().endswith("Stopped.\n")
    assert process.returncode == 0
    assert not stack_responds(ports["PORT"])


def stack_responds(port: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(port))) == 0
