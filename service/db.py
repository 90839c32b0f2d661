"""The PostgreSQL database: one connection pool for each worker process, and its timeouts.

A request waits for the database DEADLINE_SECONDS at most, whether it is down, restarting, frozen or behind a network
that swallows packets. The time counts from the arrival of the request, so requests that queued too long are rejected
without a query. Reads are retried on another connection. Writes are not retried, but start on a connection that has
just proved to be alive.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from flask import Flask, current_app, g
from prometheus_client import Gauge
from psycopg_pool import ConnectionPool, PoolTimeout

from config import Settings
from service import tracing

# How long after its arrival a request goes on waiting for a connection, and repeating a read.
WAIT_SECONDS = 1.0
# How often the pool tries to connect meanwhile.
RETRY_SECONDS = 0.1
# How long after its arrival a request goes on waiting for a response of the database.
DEADLINE_SECONDS = 2.5
CONNECT_SECONDS = 2

# Set once for each connection. Plans are generic, because each query gates its branches by parameter
# (docs/decisions/0003-plans.md). The server gives up just before the client, so that it does no work in vain.
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
    """A connection whose every wait for the server ends at a deadline.

    Nothing else ends it when the server is frozen: timeouts of the server do not elapse then, and those of libpq
    concern the network.
    """

    deadline: float | None = None
    """On the monotonic clock; None: wait for ever."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        if self.deadline is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.deadline - time.monotonic())
        except psycopg.OperationalError:
            if time.monotonic() >= self.deadline:
                # The late response must not be taken for that to the next query.
                self.close()
            raise


def init_app(app: Flask, settings: Settings, application_name: str) -> None:
    """Give the app its pool. It connects in the background, so that the app starts while the database is down."""
    pool = ConnectionPool(
        settings.database_url,
        connection_class=Connection,
        kwargs={
            "autocommit": True,
            "application_name": application_name,
            "connect_timeout": CONNECT_SECONDS,
        },
        configure=_configure,
        min_size=1,
        max_size=settings.web_threads,
        # The pool would repeat a failed attempt at growing intervals, and notice the end of an outage late. With 0 it
        # gives up at once, and tries again for each request that waits (_getconn).
        reconnect_timeout=0,
        open=False,
    )
    app.extensions["pool"] = pool
    pool.open(wait=False)


def wait_until_connected(app: Flask) -> None:
    """Wait for the first connection, for CONNECT_SECONDS at most: the app starts while the database is down, too.

    Requests that arrived while a worker started have little time left to wait for it.
    """
    with app.app_context(), suppress(PoolTimeout):
        _pool().putconn(_pool().getconn(CONNECT_SECONDS))


def close(app: Flask) -> None:
    """Close the pool: its threads end, and so do its connections."""
    app.extensions["pool"].close()


def read(query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return the query's result. Retry on another connection when one is lost, for up to WAIT_SECONDS.

    Raises psycopg.OperationalError when the database does not respond.
    """
    started_at = tracing.received_at()
    while True:
        connection = _checkout(started_at)
        try:
            return query(connection, *args, **kwargs)
        except psycopg.OperationalError:
            if not connection.closed or time.monotonic() > started_at + WAIT_SECONDS:
                raise
        finally:
            _checkin(connection)


@contextmanager
def writing() -> Iterator[Connection]:
    """Yield a connection that has just proved to be alive, because writes are not retried.

    Raises psycopg.OperationalError when the database does not respond.
    """
    started_at = tracing.received_at()
    while True:
        connection = _checkout(started_at)
        try:
            if _is_alive(connection):
                yield connection
                return
        finally:
            _checkin(connection)


def _checkout(started_at: float) -> Connection:
    if time.monotonic() > started_at + DEADLINE_SECONDS:
        raise psycopg.OperationalError("The request has queued too long.")
    connection = _getconn(started_at)
    _IN_USE.inc()
    g.db_pid = connection.info.backend_pid
    connection.deadline = started_at + DEADLINE_SECONDS
    return connection


def _checkin(connection: Connection) -> None:
    connection.deadline = None
    _pool().putconn(connection)
    _IN_USE.dec()


def _getconn(started_at: float) -> Connection:
    while True:
        try:
            return _pool().getconn(RETRY_SECONDS)
        except PoolTimeout:
            if time.monotonic() > started_at + WAIT_SECONDS:
                raise


def _is_alive(connection: Connection) -> bool:
    try:
        ConnectionPool.check_connection(connection)
    except psycopg.OperationalError:
        return False
    return True


def _pool() -> ConnectionPool[Connection]:
    pool: ConnectionPool[Connection] = current_app.extensions["pool"]
    return pool


def _configure(connection: Connection) -> None:
    connection.execute(
        "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS setting (name, value)",
        [list(_SESSION), list(_SESSION.values())],
    )
