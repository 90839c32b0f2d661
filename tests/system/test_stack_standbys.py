"""The stack with a standby: two workers, their restarts, and the role that serves."""

import signal
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple
from uuid import uuid4

import pytest

from tests.support import PATIENCE_SECONDS, children_of, snapshot, until
from tests.support.postgres_server import Standby
from tests.support.stack_client import capture, needs_nginx, read, started
from tools.stack import Stack

pytestmark = needs_nginx


class Replicated(NamedTuple):
    stack: Stack
    standby: Standby

    def metric(self, name: str) -> float:
        """Return the sum or the maximum over both workers."""
        text = urllib.request.urlopen(f"{self.stack.internal_base}/metrics", timeout=PATIENCE_SECONDS).read().decode()
        return float(dict(line.rsplit(" ", 1) for line in text.splitlines())[name])


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    """A stack that was started before its standby."""
    folder = tmp_path_factory.mktemp("standby")
    url = f"postgresql://snapshots_service@/postgres?host={folder}/data.socket&target_session_attrs=standby"
    with started(tmp_path_factory.mktemp("state"), READ_DATABASE_URL=url) as stack:
        standby = Standby(folder, stack.admin_url)
        replicated = Replicated(stack, standby)
        until(lambda: replicated.metric("db_standbys_lost") == 0)
        yield replicated
        standby.stop()


def test_a_rolling_restart_under_load_fails_no_read_while_the_standby_is_down(replicated: Replicated) -> None:
    stack, standby = replicated
    ended = threading.Event()

    def reads(_: int) -> set[int]:
        statuses = set()
        # Leaves the cores to the servers that start.
        while not ended.wait(0.02):
            statuses.add(read(stack, str(uuid4())).status)
        return statuses

    before = set(children_of(stack.gunicorn.pid))
    with ThreadPoolExecutor(4) as threads:
        readers = [threads.submit(reads, n) for n in range(4)]
        try:
            until(lambda: replicated.metric('db_reads_total{database="standby"}') > 0)
            standby.kill()
            until(lambda: replicated.metric("db_standbys_lost") == 2)
            stack.gunicorn.send_signal(signal.SIGHUP)
            until(lambda: not before & set(children_of(stack.gunicorn.pid)))
            time.sleep(0.3)
        finally:
            ended.set()
            standby.start()

    assert set().union(*(reader.result() for reader in readers)) == {200}
    until(lambda: replicated.metric("db_standbys_lost") == 0)


def test_the_role_that_serves_may_measure_the_lag(replicated: Replicated) -> None:
    with replicated.standby.lagging():
        assert capture(replicated.stack, snapshot(str(uuid4()), str(uuid4()))).status == 201
        until(lambda: replicated.metric("db_standby_lag_bytes") > 0)
