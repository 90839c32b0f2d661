"""The limit that the workers of gunicorn share through a real Valkey."""

import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support import API, SECRET, until, user_token
from tests.support.gunicorn_server import Gunicorn, serving
from tools import valkey_server
from tools.valkey_server import ValkeyServer


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with valkey_server.running() as server:
        yield server


@pytest.fixture
def workers(database_url: str, server: ValkeyServer, tmp_path: Path) -> Iterator[Gunicorn]:
    """A gunicorn with two workers, which share the documented limit."""
    settings = {"DATABASE_URL": database_url, "JWT_SECRET_KEY": SECRET, "REDIS_URL": server.url}
    with serving(tmp_path, **settings, WEB_CONCURRENCY="2", LOG_LEVEL="WARNING") as gunicorn:
        yield gunicorn


def url(workers: Gunicorn) -> str:
    return f"http://127.0.0.1:{workers.port}{API}/balance-snapshots"


def status_of(url: str, bearer: str = "") -> int:
    """Return the status, from a client that keeps no connection, so that the workers take turns."""
    command = ["curl", "-s", "-o", os.devnull, "-w", "%{http_code}", "-H", f"Authorization: Bearer {bearer}", url]
    return int(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def test_workers_together_admit_what_one_bucket_holds(workers: Gunicorn) -> None:
    """They may admit the tokens that the bucket held, and those that were added while the reads were sent."""
    for _ in range(10):
        lost = workers.log.count("limiter_store_lost")
        started = time.monotonic()
        admitted = count_admitted_reads(workers)
        refilled = (time.monotonic() - started) * 100 / 60
        # A busy machine may delay the store, and then a worker limits from its own memory.
        if workers.log.count("limiter_store_lost") == lost:
            break
        until(lambda: workers.log.count("limiter_store_returned") == workers.log.count("limiter_store_lost"))
    else:
        pytest.fail("The workers lost the store each time.")

    assert 100 <= admitted <= 100 + refilled


def count_admitted_reads(workers: Gunicorn) -> int:
    """Send 400 reads of a new user over eight connections; return how many are admitted."""
    header = f'header = "Authorization: Bearer {user_token(str(uuid4()))}"\n'

    def send_50(_: int) -> int:
        config = header + f'url = "{url(workers)}"\noutput = "{os.devnull}"\n' * 50
        command = ["curl", "-s", "-w", "%{http_code}\n", "-K", "-"]
        statuses = subprocess.run(command, input=config, capture_output=True, text=True, check=True).stdout.split()
        assert set(statuses) <= {"200", "429"}
        assert len(statuses) == 50
        return statuses.count("200")

    with ThreadPoolExecutor(8) as threads:
        return sum(threads.map(send_50, range(8)))


def test_concurrent_users_do_not_use_each_others_limit(workers: Gunicorn) -> None:
    def first_reads(_: int) -> list[int]:
        bearer = user_token(str(uuid4()))
        return [status_of(url(workers), bearer) for _ in range(5)]

    with ThreadPoolExecutor(10) as threads:
        assert list(threads.map(first_reads, range(10))) == [[200] * 5] * 10
