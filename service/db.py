"""The PostgreSQL that is served from: one pool of connections a worker process, and how long anything may take.

A request never waits for a database longer than DEADLINE_SECONDS, whatever became of it: down, restarting, frozen, or
behind a network that swallows packets. Its time counts from when it came in, not from when a thread was free for it: of
what has queued too long, nothing is asked any more. A read is repeated on another connection while there is time for
it; a capture is not, but it is given a connection that has just answered.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from flask import Flask, current_app, g
from prometheus_client import Gauge
from psycopg_pool import ConnectionPool, PoolTimeout

from config import Settings
from service import tracing

# How long a request waits for a connection, and tries again to read.
WAIT_SECONDS = 1.0
# How often, meanwhile, it has the pool try to connect.
RETRY_SECONDS = 0.1
# How long a request may be about it altogether, and a new connection be in the making.
DEADLINE_SECONDS = 2.5
CONNECT_SECONDS = 2

# Set once a connection. The plans are made once and hold for every parameter, because each query gates its branches by
# parameter (docs/decisions/0003-plans.md). The server gives up just before we do, so that it does not work for nobody.
_SESSION = {
    "plan_cache_mode": "force_generic_plan",
    "statement_timeout": "2s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "5s",
}

_IN_USE = Gauge("db_connections_in_use", "Connections that requests hold.", multiprocess_mode="livesum")

P = ParamSpec("P")
R = TypeVar("R")


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that waits for its server until its deadline and no longer."""

    deadline = float("inf")

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        left = self.deadline - time.monotonic()
        try:
            return super().wait(gen, interval, min(left, timeout or left) if left < float("inf") else timeout)
        except psycopg.errors._WaitTimeout:
            # A late answer would be taken for that to the next question.
            self.pgconn.finish()
            raise


class Pool(ConnectionPool[Connection]):
    """A pool that knows since when it has had nothing to give.

    A request waits WAIT_SECONDS from then on, and not from its own beginning: what has queued behind those that waited
    is not to wait as long again. Where nobody has been turned away for a while, nothing is known of an outage.
    """

    outage_began = float("-inf")
    failed_at = float("-inf")


def init_app(app: Flask, settings: Settings) -> None:
    """Gives the app its pool. It opens in the background: a database that is down does not stop a start."""
    pool = Pool(
        settings.database_url,
        connection_class=Connection,
        kwargs={
            "autocommit": True,
            "application_name": "balance-snapshots",
            "connect_timeout": CONNECT_SECONDS,
        },
        configure=_configure,
        min_size=1,
        max_size=settings.web_threads,
        # The pool's own attempts to connect come ever more rarely in an outage. Here a failed one is not repeated:
        # each request that waits has the pool try anew.
        reconnect_timeout=0,
        open=False,
    )
    app.extensions["pool"] = pool
    pool.open(wait=False)


def close(app: Flask) -> None:
    """Close the pool: its threads end, and so do its connections."""
    app.extensions["pool"].close()


def read(query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What the query answers, in one round trip. Asked again while it fails for the connection and WAIT_SECONDS last.

    Raises psycopg.OperationalError when the database does not answer.
    """
    begun = tracing.arrived()
    while True:
        connection = _lend(begun)
        try:
            return query(connection, *args, **kwargs)
        except psycopg.OperationalError:
            if not connection.closed or time.monotonic() - begun > WAIT_SECONDS:
                raise
        finally:
            _take_back(connection)


@contextmanager
def writing() -> Iterator[Connection]:
    """A connection to write on, which has answered just now: what is begun on it, we do not begin again.

    Raises psycopg.OperationalError when the database does not answer.
    """
    begun = tracing.arrived()
    while True:
        connection = _lend(begun)
        try:
            if _answers(connection):
                yield connection
                return
        finally:
            _take_back(connection)


def _lend(begun: float) -> Connection:
    if time.monotonic() > begun + DEADLINE_SECONDS:
        raise psycopg.OperationalError("The request has waited too long for its turn.")
    connection = _take(begun)
    _IN_USE.inc()
    g.db_pid = connection.info.backend_pid
    connection.deadline = begun + DEADLINE_SECONDS
    return connection


def _take_back(connection: Connection) -> None:
    connection.deadline = float("inf")
    _pool().putconn(connection)
    _IN_USE.dec()


def _take(begun: float) -> Connection:
    pool = _pool()
    while True:
        try:
            connection = pool.getconn(RETRY_SECONDS)
        except PoolTimeout:
            if begun - pool.failed_at > WAIT_SECONDS:
                pool.outage_began = begun
            pool.failed_at = time.monotonic()
            if pool.failed_at - pool.outage_began > WAIT_SECONDS:
                raise
        else:
            pool.failed_at = float("-inf")
            return connection


def _answers(connection: Connection) -> bool:
    try:
        connection.execute("")
    except psycopg.OperationalError:
        return False
    return True


def _pool() -> Pool:
    pool: Pool = current_app.extensions["pool"]
    return pool


def _configure(connection: Connection) -> None:
    connection.execute(
        "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS setting (name, value)",
        [list(_SESSION), list(_SESSION.values())],
    )
