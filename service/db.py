"""The PostgreSQL that is served from: one pool of connections a worker process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from flask import Flask, current_app
from psycopg_pool import ConnectionPool

from config import Settings

Connection = psycopg.Connection[tuple[Any, ...]]

# How long a request waits for a connection, and a connection attempt for the server.
WAIT_SECONDS = 1.0
CONNECT_SECONDS = 2

# Set once a connection. The plans are made once and hold for every parameter, because each query gates its
# branches by parameter (docs/decisions/0003-plans.md); a statement that takes this long is not worth waiting for.
_SESSION = {
    "plan_cache_mode": "force_generic_plan",
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
}


def init_app(app: Flask, settings: Settings) -> None:
    """Gives the app its pool. It opens in the background: a database that is down does not stop a start."""
    pool = ConnectionPool(
        settings.database_url,
        kwargs={
            "autocommit": True,
            "application_name": "balance-snapshots",
            "connect_timeout": CONNECT_SECONDS,
        },
        configure=_configure,
        min_size=1,
        max_size=settings.web_threads,
        timeout=WAIT_SECONDS,
        open=False,
    )
    app.extensions["pool"] = pool
    pool.open(wait=False)


@contextmanager
def connection() -> Iterator[Connection]:
    """A connection of the pool, in autocommit, so that a read is one round trip.

    Raises psycopg.OperationalError when none is to be had within WAIT_SECONDS.
    """
    with current_app.extensions["pool"].connection() as connection:
        yield connection


def _configure(connection: Connection) -> None:
    connection.execute(
        "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS setting (name, value)",
        [list(_SESSION), list(_SESSION.values())],
    )
