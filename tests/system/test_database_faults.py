"""What callers see of a database that restarts, is down, frozen, busy or cut off: real servers and real faults."""

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from flask import Flask

from config import Settings
from service import db
from tests.support import PATIENCE_SECONDS, Caller, Response, captured, snapshot, until, user_token
from tests.support.apps import serving
from tests.support.postgres_server import Network, PostgresServer

THREADS = 4
# A busy machine may exceed a limit of the service by this much; without the limit, requests would outlast the fault.
SLACK_SECONDS = 10


@pytest.fixture
def network(server: PostgresServer) -> Iterator[Network]:
    network = Network(server.url)
    yield network
    network.close()


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="snapshots-"))
    server = PostgresServer(folder)
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def app(settings: Settings, server: PostgresServer) -> Iterator[Flask]:
    with serving(replace(settings, database_url=server.url, web_threads=THREADS)) as app:
        yield app


def assert_unavailable(response: Response) -> None:
    assert response.status_code == 503, response.text
    assert response.content_type == "application/problem+json"
    assert int(response.headers["Retry-After"]) >= 1


def test_no_read_fails_over_a_restart_that_takes_less_time_than_a_read_waits(
    app: Flask, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine may take longer than a second to restart the server.
    monkeypatch.setattr(db, "WAIT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(db, "DEADLINE_SECONDS", PATIENCE_SECONDS)
    ended = threading.Event()

    def reads(_: int) -> list[int]:
        user = Caller(app, user_token(str(uuid4())))
        statuses = []
        # Leaves the cores to the server that starts.
        while not ended.wait(0.01):
            statuses.append(user.latest().status_code)
        return statuses

    with ThreadPoolExecutor(THREADS) as threads:
        readers = [threads.submit(reads, n) for n in range(THREADS)]
        try:
            for _ in range(2):
                time.sleep(0.2)
                server.kill()
                server.start()
            time.sleep(0.2)
        finally:
            ended.set()
        statuses = [status for reader in readers for status in reader.result()]

    assert len(statuses) > 10
    assert set(statuses) == {200}


def test_an_outage_is_a_503_and_its_end_is_noticed_by_the_next_request(app: Flask, server: PostgresServer) -> None:
    user_id = str(uuid4())
    user = Caller(app, user_token(user_id))
    sync_job = Caller(app, user_token("sync-job", scope="balance-snapshots:write"))
    item = snapshot(user_id, str(uuid4()))
    captured(sync_job, item)

    server.stop()
    for _ in range(3):
        assert_unavailable(user.latest())
    assert_unavailable(sync_job.capture(item))
    server.start()

    assert user.latest().json["total_count"] == 1
    assert sync_job.capture(item).json["duplicate_count"] == 1


def test_a_request_that_has_queued_for_a_while_does_not_wait_out_an_outage_as_well(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "WAIT_SECONDS", SLACK_SECONDS)
    monkeypatch.setattr(db, "DEADLINE_SECONDS", PATIENCE_SECONDS)
    a_while_ago = {"X-Request-Start": f"{time.time() - SLACK_SECONDS:.3f}"}
    unreachable = "postgresql://nobody@127.0.0.1:1/nothing"
    with serving(replace(settings, socket="behind-a-proxy", database_url=unreachable)) as app:
        user = Caller(app, user_token(str(uuid4())))
        started_at = time.monotonic()
        assert_unavailable(user.send("GET", "/balance-snapshots", headers=a_while_ago))
        assert time.monotonic() - started_at < SLACK_SECONDS


def test_a_capture_over_a_restart_is_given_a_live_connection(app: Flask, server: PostgresServer) -> None:
    sync_job = Caller(app, user_token("sync-job", scope="balance-snapshots:write"))
    captured(sync_job, snapshot(str(uuid4()), str(uuid4())))

    server.kill()
    server.start()

    captured(sync_job, snapshot(str(uuid4()), str(uuid4())))


def test_a_frozen_database_holds_no_request_beyond_the_deadline(app: Flask, server: PostgresServer) -> None:
    user = Caller(app, user_token(str(uuid4())))
    sync_job = Caller(app, user_token("sync-job", scope="balance-snapshots:write"))
    assert user.latest().status_code == 200

    with server.frozen():
        calls: list[Callable[[], Response]] = [
            user.latest,
            partial(sync_job.capture, snapshot(str(uuid4()), str(uuid4()))),
        ]
        for call in calls:
            started_at = time.monotonic()
            assert_unavailable(call())
            assert time.monotonic() - started_at < db.DEADLINE_SECONDS + SLACK_SECONDS

    assert user.latest().status_code == 200


def test_a_network_that_swallows_packets_holds_no_request_beyond_the_deadline(
    settings: Settings, network: Network
) -> None:
    sync_job_token = user_token("sync-job", scope="balance-snapshots:write")
    with serving(replace(settings, database_url=network.url, web_threads=THREADS)) as app:
        user = Caller(app, user_token(str(uuid4())))
        calls: list[Callable[[], Response]] = [
            user.latest,
            lambda: Caller(app, sync_job_token).capture(snapshot(str(uuid4()), str(uuid4()))),
        ] * THREADS
        assert user.latest().status_code == 200

        with network.swallowing(), ThreadPoolExecutor(len(calls)) as threads:
            for _ in range(2):
                for response, seconds in threads.map(_timed, calls):
                    assert_unavailable(response)
                    assert seconds < db.DEADLINE_SECONDS + SLACK_SECONDS

        until(lambda: user.latest().status_code == 200)


def _timed(call: Callable[[], Response]) -> tuple[Response, float]:
    started_at = time.monotonic()
    return call(), time.monotonic() - started_at


def test_a_result_that_comes_too_late_is_not_given_to_another_request(
    app: Flask, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [str(uuid4()) for _ in range(2)]
    sync_job = Caller(app, user_token("sync-job", scope="balance-snapshots:write"))
    for number, user_id in enumerate(users):
        captured(sync_job, snapshot(user_id, str(uuid4()), f"{number}.00"))
    first, second = (Caller(app, user_token(user_id)) for user_id in users)

    with server.frozen(), monkeypatch.context() as patch:
        patch.setattr(db, "DEADLINE_SECONDS", 0.3)
        assert_unavailable(first.latest())

    assert second.latest().json["total_balance_by_currency"] == {"USD": "1.00"}


def test_a_request_that_queued_too_long_at_the_proxy_is_refused_without_a_query(settings: Settings) -> None:
    long_ago = {"X-Request-Start": f"{time.time() - db.DEADLINE_SECONDS - 0.1:.3f}"}
    just_now = {"X-Request-Start": f"{time.time() - 0.1:.3f}"}
    with serving(replace(settings, socket="behind-a-proxy")) as app:
        user = Caller(app, user_token(str(uuid4())))
        assert_unavailable(user.send("GET", "/balance-snapshots", headers=long_ago))
        assert user.send("GET", "/balance-snapshots", headers=just_now).status_code == 200


@pytest.mark.parametrize("start", ["long ago", "nan", "-inf", "1", "9999999999", ""])
def test_a_request_start_that_no_proxy_sends_is_ignored(settings: Settings, start: str) -> None:
    with serving(replace(settings, socket="behind-a-proxy")) as app:
        user = Caller(app, user_token(str(uuid4())))
        assert user.send("GET", "/balance-snapshots", headers={"X-Request-Start": start}).status_code == 200


def test_a_request_start_is_ignored_without_a_proxy(app: Flask) -> None:
    long_ago = {"X-Request-Start": f"{time.time() - db.DEADLINE_SECONDS - 0.1:.3f}"}
    user = Caller(app, user_token(str(uuid4())))
    assert user.send("GET", "/balance-snapshots", headers=long_ago).status_code == 200


def test_a_pool_without_a_free_connection_is_a_503_and_not_a_queue(app: Flask) -> None:
    user = Caller(app, user_token(str(uuid4())))
    pool = app.extensions["pool"]
    taken = [pool.getconn() for _ in range(THREADS)]
    try:
        started_at = time.monotonic()
        assert_unavailable(user.latest())
        assert time.monotonic() - started_at < db.WAIT_SECONDS + SLACK_SECONDS
    finally:
        for connection in taken:
            pool.putconn(connection)
    assert user.latest().status_code == 200


def test_the_pool_has_a_connection_for_each_thread_with_the_settings_of_the_service(
    app: Flask, server: PostgresServer
) -> None:
    pool = app.extensions["pool"]
    taken = [pool.getconn(PATIENCE_SECONDS) for _ in range(THREADS)]
    sessions = [dict(connection.execute("SELECT name, setting FROM pg_settings").fetchall()) for connection in taken]
    for connection in taken:
        pool.putconn(connection)

    assert pool.max_size == THREADS
    for session in sessions:
        assert session["plan_cache_mode"] == "force_generic_plan"
        assert session["statement_timeout"] == session["lock_timeout"] == "2000"
        assert session["idle_in_transaction_session_timeout"] == "5000"
        # Those of the embedded server.
        assert session["unix_socket_permissions"] == "0700"
        assert session["listen_addresses"] == ""


def test_a_capture_that_waits_for_a_lock_gives_up(app: Flask, server: PostgresServer) -> None:
    account_id = str(uuid4())
    sync_job = Caller(app, user_token("sync-job", scope="balance-snapshots:write"))
    with psycopg.connect(server.url) as other:
        other.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account_id, str(uuid4())])

        assert_unavailable(sync_job.capture(snapshot(str(uuid4()), account_id)))
        other.rollback()

    captured(sync_job, snapshot(str(uuid4()), account_id))
