"""The PostgreSQL database: one connection pool for each worker process, and its timeouts.

A request waits for the database for at most DEADLINE_SECONDS, even if the database is down, restarting, frozen or
behind a network that drops packets. The time counts from the arrival of the request, so requests that queued too long
are rejected without a query. Reads are retried on another connection. Writes are retried only until their transaction
has begun. If there are standbys, reads try one first (service/standbys.py).
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import psycopg
from flask import Flask, current_app, g, request
from psycopg_pool import ConnectionPool, PoolTimeout
from werkzeug.http import parse_dict_header

from config import Settings
from service import tracing
from service.connection import IN_USE, Connection
from service.standbys import FROM_PRIMARY, FROM_STANDBY, Standbys

# How long after its arrival a request keeps waiting for a connection and retrying a read.
WAIT_SECONDS = 1.0
# Interval between attempts to get a connection meanwhile.
RETRY_SECONDS = 0.1
# How long after its arrival a request keeps waiting for a response from the database.
DEADLINE_SECONDS = 2.5
CONNECT_SECONDS = 2

# Set once for each connection. The server gives up just before the client, so that it does no work in vain.
_SESSION = {
    "statement_timeout": "2s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "5s",
}
# A standby has half of the time, so that the primary can still be asked.
_STANDBY_SESSION = {"statement_timeout": "1s"}
# Plans are generic, because parameters select the branches of a query (docs/decisions/0003-plans.md). Citus cannot make
# such plans: it routes a statement by the values of its parameters.
_PLANS = """
    SELECT set_config('plan_cache_mode', 'force_generic_plan', false)
    WHERE NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')
"""

P = ParamSpec("P")
R = TypeVar("R")


def init_app(app: Flask, settings: Settings, application_name: str) -> None:
    """Give the app its pool, and one for the standbys if there are any.

    They connect in the background, so that the app starts even if a database is down.
    """
    create = partial(_create_pool, application_name=application_name)
    app.extensions["standbys"] = None
    if settings.read_database_url is None:
        app.extensions["pool"] = create(settings.database_url, _SESSION, 1, settings.web_threads)
        return
    # One more connection, for the thread that watches the standbys. All connections to standbys are opened in advance,
    # because a read waits only GETCONN_SECONDS for one.
    app.extensions["pool"] = primary = create(settings.database_url, _SESSION, 1, settings.web_threads + 1)
    size = settings.web_threads + 1
    pool = create(settings.read_database_url, _SESSION | _STANDBY_SESSION, size, size)
    app.extensions["standbys"] = Standbys(pool, primary)


def _create_pool(
    url: str, session: dict[str, str], min_size: int, max_size: int, application_name: str
) -> ConnectionPool[Connection]:
    pool = ConnectionPool(
        url,
        connection_class=Connection,
        kwargs={
            "autocommit": True,
            "application_name": application_name,
            "connect_timeout": CONNECT_SECONDS,
        },
        configure=partial(_configure, session=session),
        min_size=min_size,
        max_size=max_size,
        # The pool would repeat a failed attempt at growing intervals, and notice the end of an outage late. With 0 it
        # gives up at once, and tries again for each request that waits (_getconn).
        reconnect_timeout=0,
        open=False,
    )
    pool.open(wait=False)
    return pool


def wait_until_connected(app: Flask) -> None:
    """Wait up to CONNECT_SECONDS for the first connection; without one, the app starts all the same.

    Requests that arrived while a worker was starting have little time left to wait for a connection.
    """
    with app.app_context(), suppress(PoolTimeout):
        _pool().putconn(_pool().getconn(CONNECT_SECONDS))


def close(app: Flask) -> None:
    """Close the pools: their threads end, and so do their connections."""
    if app.extensions["standbys"]:
        app.extensions["standbys"].close()
    app.extensions["pool"].close()


def read(query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return the query's result, from a standby if one is available and the caller does not prefer strong consistency.

    If a standby returns None, the primary is asked too, because the standby may lag. Raises psycopg.OperationalError
    when the primary does not respond either.
    """
    standbys: Standbys | None = current_app.extensions["standbys"]
    if standbys is None:
        return read_primary(query, *args, **kwargs)
    started_at = time.monotonic()
    if not _prefers_strong_consistency():
        result = standbys.read(tracing.received_at() + DEADLINE_SECONDS, query, *args, **kwargs)
        if result is not None:
            FROM_STANDBY.inc()
            return result
    FROM_PRIMARY.inc()
    # The time spent on a standby does not count towards WAIT_SECONDS.
    return _read_primary(WAIT_SECONDS + time.monotonic() - started_at, query, *args, **kwargs)


def read_primary(query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return the query's result. Retry on another connection when one is lost, for up to WAIT_SECONDS.

    Raises psycopg.OperationalError when the database does not respond.
    """
    return _read_primary(WAIT_SECONDS, query, *args, **kwargs)


def _read_primary(
    wait_seconds: float, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
) -> R:
    started_at = tracing.received_at()
    while True:
        connection = _checkout(started_at, wait_seconds)
        try:
            return query(connection, *args, **kwargs)
        except psycopg.OperationalError:
            if not connection.closed or time.monotonic() > started_at + wait_seconds:
                raise
        finally:
            _checkin(connection)


def _prefers_strong_consistency() -> bool:
    """Return whether the request has `Prefer: consistency=strong` (RFC 7240)."""
    header = request.headers.get("Prefer")
    if header is None:
        return False
    return any(
        name.lower() == "consistency" and (value or "").partition(";")[0].strip(' "') == "strong"
        for name, value in parse_dict_header(header).items()
    )


def write(change: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return the change's result. Its first statement must begin a transaction.

    If that statement finds the connection lost, start over on another one, for up to WAIT_SECONDS; later failures are
    not retried. Raises psycopg.OperationalError when the database does not respond.
    """
    started_at = tracing.received_at()
    while True:
        connection = _checkout(started_at, WAIT_SECONDS)
        try:
            return change(connection, *args, **kwargs)
        except psycopg.OperationalError:
            if connection.has_responded or time.monotonic() > started_at + WAIT_SECONDS:
                raise
        finally:
            _checkin(connection)


def _checkout(started_at: float, wait_seconds: float) -> Connection:
    if time.monotonic() > started_at + DEADLINE_SECONDS:
        raise psycopg.OperationalError("The request has queued too long.")
    connection = _getconn(started_at + wait_seconds)
    IN_USE.inc()
    g.db_pid = connection.info.backend_pid
    connection.deadline = started_at + DEADLINE_SECONDS
    connection.has_responded = False
    return connection


def _checkin(connection: Connection) -> None:
    connection.deadline = None
    _pool().putconn(connection)
    IN_USE.dec()


def _getconn(wait_until: float) -> Connection:
    while True:
        try:
            return _pool().getconn(RETRY_SECONDS)
        except PoolTimeout:
            if time.monotonic() > wait_until:
                raise


def _pool() -> ConnectionPool[Connection]:
    pool: ConnectionPool[Connection] = current_app.extensions["pool"]
    return pool


def _configure(connection: Connection, session: dict[str, str]) -> None:
    connection.execute(
        "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS setting (name, value)",
        [list(session), list(session.values())],
    )
    connection.execute(_PLANS)
    connection.server_was_standby = connection.server_is_standby
