"""The limit in a real Valkey that apps share, and what happens when the store is in trouble."""

import contextlib
import time
from collections.abc import Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import valkey
from flask import Flask
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from config import Settings
from service import limits, token_bucket
from tests.support import API, Caller, until, user_token
from tests.support.apps import serving
from tools import valkey_server
from tools.valkey_server import ValkeyServer

Log = list[MutableMapping[str, Any]]
# Longer than the service's timeout, because a busy machine may delay the store.
PATIENT_STORE_SECONDS = 2.0


@pytest.fixture
def server() -> Iterator[ValkeyServer]:
    with valkey_server.running() as server:
        yield server


@pytest.fixture
def sharing(settings: Settings, server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """An app that lets a user read five times an hour and returns to its store at once."""
    monkeypatch.setattr(token_bucket, "STORE_RETRY_SECONDS", 0.05)
    monkeypatch.setattr(limits, "STORE_SECONDS", PATIENT_STORE_SECONDS)
    with serving(replace(settings, api_read_limit="5/hour", redis_url=server.url)) as app:
        yield app


@pytest.fixture
def log() -> Iterator[Log]:
    """The events that are logged, in order."""
    with capture_logs() as log:
        yield log


def times(event: str, log: Log) -> int:
    return sum(entry["event"] == event for entry in log)


def fallbacks() -> float:
    return REGISTRY.get_sample_value("limiter_fallbacks_total") or 0


def reads(app: Flask, user_id: str, tries: int) -> list[int]:
    user = Caller(app, user_token(user_id))
    return [user.latest().status_code for _ in range(tries)]


# Shared


def test_two_apps_share_the_limit_of_a_user(sharing: Flask, settings: Settings, server: ValkeyServer) -> None:
    user_id = str(uuid4())
    with serving(replace(settings, api_read_limit="5/hour", redis_url=server.url)) as other:
        assert reads(sharing, user_id, 3) + reads(other, user_id, 3) == [200] * 5 + [429]


@pytest.mark.parametrize(
    "url", ["valkey://127.0.0.1:{0.port}/0", "redis://127.0.0.1:{0.port}", "redis+unix://{0.socket}"]
)
def test_the_store_is_named_by_url(
    settings: Settings, server: ValkeyServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STORE_SECONDS", PATIENT_STORE_SECONDS)
    with serving(replace(settings, api_read_limit="5/hour", redis_url=url.format(server))) as app:
        assert reads(app, str(uuid4()), 1) == [200]
    assert len(server.execute("KEYS", "*")) == 1


@pytest.mark.parametrize(
    ("url", "kind", "place"),
    [
        ("redis://redis:6379/3", valkey.Connection, {"host": "redis", "port": 6379, "db": 3}),
        ("valkey://redis:6379", valkey.Connection, {"host": "redis", "port": 6379}),
        (
            "rediss://:secret@my-redis.example:6379",
            valkey.SSLConnection,
            {"host": "my-redis.example", "password": "secret"},
        ),
        ("valkeys://redis:6379", valkey.SSLConnection, {"host": "redis"}),
        ("redis+unix:///run/redis.sock", valkey.UnixDomainSocketConnection, {"path": "/run/redis.sock"}),
        ("valkey+unix:///run/redis.sock", valkey.UnixDomainSocketConnection, {"path": "/run/redis.sock"}),
    ],
)
def test_the_url_determines_where_the_store_is_and_whether_tls_is_used(
    url: str, kind: type, place: dict[str, object]
) -> None:
    pool = limits.connect(url).connection_pool

    assert pool.connection_class is kind
    assert pool.connection_kwargs.items() >= place.items()


def test_an_unverifiable_token_never_reaches_the_store(sharing: Flask, server: ValkeyServer) -> None:
    for bearer in ("", "x", user_token(str(uuid4())) + "x", user_token("no uuid")):
        assert Caller(sharing, bearer).latest().status_code == 401
    assert sharing.test_client().get(API + "/balance-snapshots").status_code == 401

    assert server.execute("KEYS", "*") == []


# In trouble


def down(server: ValkeyServer) -> Any:
    server.stop()
    return contextlib.nullcontext()


def frozen(server: ValkeyServer) -> Any:
    return server.frozen()


def refusing_to_write(server: ValkeyServer) -> Any:
    server.execute("CONFIG", "SET", "maxmemory", "1")
    return contextlib.nullcontext()


TROUBLES = [down, frozen, refusing_to_write]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda t: t.__name__)
def test_a_store_in_trouble_fails_no_read_and_limits_from_memory(
    sharing: Flask, server: ValkeyServer, trouble: Callable[[ValkeyServer], Any]
) -> None:
    user_id = str(uuid4())
    assert reads(sharing, user_id, 1) == [200]

    with trouble(server):
        assert reads(sharing, user_id, 6) == [200] * 5 + [429]
        response = Caller(sharing, user_token(user_id)).latest()
        assert response.headers["X-RateLimit-Remaining"] == "0"
        assert int(response.headers["Retry-After"]) > 700


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda t: t.__name__)
def test_the_loss_of_the_store_is_reported_once(
    sharing: Flask,
    server: ValkeyServer,
    trouble: Callable[[ValkeyServer], Any],
    log: Log,
) -> None:
    before = fallbacks()
    with trouble(server):
        reads(sharing, str(uuid4()), 5)
        assert fallbacks() - before == 1
        assert times("limiter_store_lost", log) == 1


def test_concurrent_reads_wait_for_a_frozen_store_no_longer_than_one_does(sharing: Flask, server: ValkeyServer) -> None:
    """The only wait is the store's timeout, for at most one read in each thread; later reads do not wait."""
    waits: list[float] = []

    def read(_: int) -> None:
        started = time.monotonic()
        assert reads(sharing, str(uuid4()), 1) == [200]
        waits.append(time.monotonic() - started)

    reads(sharing, str(uuid4()), 1)
    with server.frozen():
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(read, range(4)))
        first, waits = waits, []
        for n in range(10):
            read(n)
    assert len(first) == 4
    assert max(first) < 2 * limits.STORE_SECONDS, "a read called the store more than once"
    assert sum(wait > limits.STORE_SECONDS for wait in waits) == 0


def test_the_limiter_returns_to_a_store_that_was_restarted_empty(
    sharing: Flask, server: ValkeyServer, log: Log
) -> None:
    user_id = str(uuid4())
    reads(sharing, user_id, 5)
    server.stop()
    assert reads(sharing, user_id, 1) == [200]

    server.start()

    until(lambda: times("limiter_store_returned", log) == 1)
    assert reads(sharing, user_id, 6) == [200] * 5 + [429]


def test_a_metric_shows_that_a_worker_has_lost_the_store_until_it_returns_to_it(
    sharing: Flask, server: ValkeyServer
) -> None:
    def lost() -> float:
        return REGISTRY.get_sample_value("limiter_store_lost") or 0

    before = lost()
    reads(sharing, str(uuid4()), 1)
    assert lost() == before

    server.stop()
    reads(sharing, str(uuid4()), 2)
    assert lost() == before + 1

    server.start()
    until(lambda: lost() == before)


def test_the_limiter_returns_to_a_store_that_was_frozen_and_finds_its_buckets(
    sharing: Flask, server: ValkeyServer, log: Log
) -> None:
    user_id = str(uuid4())
    assert reads(sharing, user_id, 4) == [200] * 4
    with server.frozen():
        assert reads(sharing, user_id, 5) == [200] * 5

    until(lambda: times("limiter_store_returned", log) == 1)
    assert reads(sharing, user_id, 2)[-1] == 429


def test_a_restart_of_the_store_between_two_reads_goes_unnoticed(sharing: Flask, server: ValkeyServer) -> None:
    before = fallbacks()
    user_id = str(uuid4())
    reads(sharing, user_id, 5)
    server.stop()
    server.start()

    assert reads(sharing, user_id, 6) == [200] * 5 + [429]
    assert fallbacks() == before


def test_a_flush_of_the_store_goes_unnoticed(sharing: Flask, server: ValkeyServer) -> None:
    before = fallbacks()
    user_id = str(uuid4())
    reads(sharing, user_id, 5)
    server.execute("FLUSHALL")
    server.execute("SCRIPT", "FLUSH")

    assert reads(sharing, user_id, 6) == [200] * 5 + [429]
    assert fallbacks() == before


def test_anonymous_and_malformed_requests_do_not_make_the_limiter_leave_its_store(
    sharing: Flask, server: ValkeyServer
) -> None:
    before = fallbacks()
    client = sharing.test_client()
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": "Bearer \xff"}, {"Authorization": "Basic eDp5"}):
        assert client.get(API + "/balance-snapshots", headers=headers).status_code == 401

    assert fallbacks() == before
    assert reads(sharing, str(uuid4()), 6) == [200] * 5 + [429]
    assert len(server.execute("KEYS", "*")) == 1
