"""The exit of a gunicorn worker: soon, whatever it has opened, but not before it has answered."""

import http.client
import json
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from config import Settings
from tests.support import API, ROOT, SECRET, Caller, children_of, snapshot, until, user_token
from tests.support.apps import serving as serving_app
from tests.support.gunicorn_server import Gunicorn, GunicornResponse, serving, started
from tools import valkey_server
from tools.valkey_server import ValkeyServer

# Less than graceful_timeout (20 s), and enough for a busy machine.
EXIT_SECONDS = 15
# The service's settings, with a worker that takes long from its fork to its signal handlers, as on a busy machine.
SLOW_FORK = f"""
import runpy
import time

globals().update(runpy.run_path({str(ROOT / "deploy" / "gunicorn.conf.py")!r}))
service_post_fork = post_fork


def post_fork(server, worker):
    time.sleep(2)
    service_post_fork(server, worker)
"""


@pytest.fixture
def store() -> Iterator[ValkeyServer]:
    with valkey_server.running() as store:
        yield store


@pytest.fixture
def gunicorn(tmp_path: Path, database_url: str, store: ValkeyServer) -> Iterator[Gunicorn]:
    """A gunicorn whose worker has opened all of its connections."""
    with serving(tmp_path, DATABASE_URL=database_url, JWT_SECRET_KEY=SECRET, REDIS_URL=store.url) as gunicorn:
        with ThreadPoolExecutor(4) as threads:
            assert set(threads.map(lambda _: read(gunicorn).status, range(8))) == {200}
        yield gunicorn


def read(gunicorn: Gunicorn) -> GunicornResponse:
    bearer = user_token(str(uuid4()))
    return gunicorn.send(
        f"GET {API}/balance-snapshots HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n\r\n".encode()
    )


def capture(gunicorn: Gunicorn, user_id: str, account_id: str) -> GunicornResponse:
    bearer = user_token("sync-job", scope="balance-snapshots:write")
    body = json.dumps({"snapshots": [snapshot(user_id, account_id)]})
    head = f"POST {API}/balance-snapshots HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return gunicorn.send((head + body).encode())


def test_a_worker_that_has_served_requests_exits_at_once_on_sigint_too(gunicorn: Gunicorn) -> None:
    gunicorn.process.send_signal(signal.SIGINT)

    assert gunicorn.process.wait(EXIT_SECONDS) == 0


def test_a_worker_that_is_told_to_stop_before_it_handles_signals_exits_at_once(
    tmp_path: Path, database_url: str
) -> None:
    config = tmp_path / "gunicorn.conf.py"
    config.write_text(SLOW_FORK)
    settings = {"DATABASE_URL": database_url, "JWT_SECRET_KEY": SECRET, "WEB_CONCURRENCY": "1"}
    with started(tmp_path, config=str(config), **settings) as gunicorn:
        until(lambda: "Booting worker" in gunicorn.log)

        gunicorn.process.send_signal(signal.SIGTERM)

        assert gunicorn.process.wait(EXIT_SECONDS) == 0


def test_a_worker_exits_at_once_while_its_limiter_waits_for_the_store(gunicorn: Gunicorn, store: ValkeyServer) -> None:
    store.stop()
    assert read(gunicorn).status == 200

    gunicorn.process.send_signal(signal.SIGTERM)

    assert gunicorn.process.wait(EXIT_SECONDS) == 0


def test_an_idle_connection_does_not_keep_a_worker_from_exiting(gunicorn: Gunicorn) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", gunicorn.port)) as client:
        client.request("GET", "/healthz")
        with client.getresponse() as response:
            response.read()

        gunicorn.process.send_signal(signal.SIGTERM)

        assert gunicorn.process.wait(EXIT_SECONDS) == 0


def test_an_exiting_worker_answers_on_its_idle_connections_until_it_has_announced_their_end(gunicorn: Gunicorn) -> None:
    """nginx may be sending a request just then, and would not repeat a capture."""
    with closing(http.client.HTTPConnection("127.0.0.1", gunicorn.port)) as client:
        announced = None
        while announced != "close":
            client.request("GET", "/healthz")
            with client.getresponse() as response:
                response.read()
            announced = response.headers["Connection"]
            if gunicorn.process.poll() is None:
                gunicorn.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)

    assert response.status == 200
    assert gunicorn.process.wait(EXIT_SECONDS) == 0


def test_a_reload_ends_the_previous_workers_at_once(gunicorn: Gunicorn) -> None:
    before = set(children_of(gunicorn.process.pid))

    gunicorn.process.send_signal(signal.SIGHUP)

    until(lambda: not before & set(children_of(gunicorn.process.pid)), EXIT_SECONDS)
    assert read(gunicorn).status == 200


def test_a_request_in_flight_is_answered_before_its_worker_exits(gunicorn: Gunicorn, database_url: str) -> None:
    user_id, account_id = str(uuid4()), str(uuid4())
    with ThreadPoolExecutor(1) as thread, psycopg.connect(database_url) as other:
        other.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account_id, user_id])
        pending = thread.submit(capture, gunicorn, user_id, account_id)
        until(lambda: pending.done() or is_waited_for(other))

        gunicorn.process.send_signal(signal.SIGTERM)
        # Shorter than the two seconds that a capture waits for a lock.
        time.sleep(0.3)
        other.rollback()

        assert pending.result().status == 201
    assert gunicorn.process.wait(EXIT_SECONDS) == 0


def is_waited_for(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    """Return whether another session waits for a lock that this one holds."""
    return connection.execute("SELECT FROM pg_locks WHERE pg_backend_pid() = any(pg_blocking_pids(pid))").rowcount > 0


def test_closing_an_app_ends_the_threads_it_has_started(settings: Settings, store: ValkeyServer) -> None:
    before = set(threading.enumerate())

    def started() -> set[str]:
        return {thread.name for thread in set(threading.enumerate()) - before}

    with serving_app(replace(settings, redis_url=store.url)) as app:
        store.stop()
        assert Caller(app, user_token(str(uuid4()))).latest().status_code == 200
        assert {"limiter", f"{app.extensions['pool'].name}-scheduler"} <= started()

    until(lambda: started() == set())
