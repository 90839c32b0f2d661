"""The limit that the workers of gunicorn share through a real Valkey."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support import API, SECRET, user_token
from tests.support.gunicorn_server import serving
from tools import valkey_server
from tools.valkey_server import ValkeyServer


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with valkey_server.running() as server:
        yield server


@pytest.fixture
def workers(database_url: str, server: ValkeyServer, tmp_path: Path) -> Iterator[str]:
    """The base URL of gunicorn with two workers of four threads, which share the documented limit."""
    settings = {"DATABASE_URL": database_url, "JWT_SECRET_KEY": SECRET, "REDIS_URL": server.url}
    with serving(tmp_path, **settings, WEB_CONCURRENCY="2", LOG_LEVEL="WARNING") as gunicorn:
        yield f"http://127.0.0.1:{gunicorn.port}{API}"


def status_of(url: str, bearer: str = "") -> int:
    """Return the status, from a client that keeps no connection, so that the workers take turns."""
    command = ["curl", "-s", "-o", os.devnull, "-w", "%{http_code}", "-H", f"Authorization: Bearer {bearer}", url]
    return int(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def test_workers_together_admit_what_one_bucket_holds(workers: str) -> None:
    """No more reads than the bucket held plus what was refilled meanwhile."""
    bearer = user_token(str(uuid4()))
    url = f"{workers}/balance-snapshots"
    admitted = 0
    lock = threading.Lock()

    def hammer(_: int) -> None:
        nonlocal admitted
        config = f'header = "Authorization: Bearer {bearer}"\n' + f'url = "{url}"\noutput = "{os.devnull}"\n' * 50
        command = ["curl", "-s", "-w", "%{http_code}\n", "-K", "-"]
        statuses = subprocess.run(command, input=config, capture_output=True, text=True, check=True).stdout.split()
        assert set(statuses) <= {"200", "429"}
        assert len(statuses) == 50
        with lock:
            admitted += statuses.count("200")

    started = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(hammer, range(8)))
    refilled = (time.monotonic() - started) * 100 / 60

    assert 100 <= admitted <= 100 + refilled


def test_concurrent_users_do_not_use_each_others_limit(workers: str) -> None:
    def first_reads(_: int) -> list[int]:
        bearer = user_token(str(uuid4()))
        return [status_of(f"{workers}/balance-snapshots", bearer) for _ in range(5)]

    with ThreadPoolExecutor(10) as threads:
        assert list(threads.map(first_reads, range(10))) == [[200] * 5] * 10
