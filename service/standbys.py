"""Reads from standbys of the database, and how far they lag behind (docs/decisions/0013-standbys.md).

No read fails because of a standby: the primary answers whatever a standby cannot answer in time. A thread checks every
CHECK_SECONDS whether a standby answers. While none does, reads go straight to the primary.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import psycopg
import structlog
from flask import g
from prometheus_client import Counter, Gauge
from psycopg_pool import ConnectionPool

from service.connection import IN_USE, Connection

# How long a read waits for a free connection to a standby.
GETCONN_SECONDS = 0.1
# A standby that does not respond for this long counts as frozen. A read with less time left does not show that.
FROZEN_SECONDS = 0.5
CHECK_SECONDS = 1.0
# Number of checks from which the lag is computed.
_MAX_CHECKS = 3600

# Position in the WAL, in bytes: of the last write or, on a standby, of the replay; NULL if it has replayed nothing yet.
_POSITION = """
SELECT pg_wal_lsn_diff(
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, '0/0'
)::bigint
"""

_READS = Counter("db_reads", "Reads, by the database that answered; counted only with standbys.", ["database"])
FROM_STANDBY = _READS.labels("standby")
FROM_PRIMARY = _READS.labels("primary")
_LOST = Gauge(
    "db_standbys_lost",
    "Workers whose reads all go to the primary, because no standby answers.",
    multiprocess_mode="livesum",
)
_LAG_SECONDS = Gauge("db_standby_lag_seconds", "How far reads are behind the primary.", multiprocess_mode="livemax")
_LAG_BYTES = Gauge("db_standby_lag_bytes", "WAL that the standby has not replayed yet.", multiprocess_mode="livemax")

P = ParamSpec("P")
R = TypeVar("R")
_Pool = ConnectionPool[Connection]
_log = structlog.get_logger(__name__)


class Standbys:
    """The standbys that a pool connects to, and a thread that watches them."""

    def __init__(self, pool: _Pool, primary: _Pool) -> None:
        """`primary`: the primary's pool. The lag of the standbys is measured against the primary's position."""
        self._pool = pool
        self._primary = primary
        self._is_available = False
        self._is_lost = False
        self._lag = Lag()
        self._closed = threading.Event()
        self._check_now = threading.Event()
        threading.Thread(target=self._watch, name="standbys", daemon=True).start()

    def read(
        self, deadline: float, query: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R | None:
        """Return the query's result; None if that is the result, or if no standby answered.

        A standby may take half of the time until the deadline, and the primary the other half.
        """
        if not self._is_available or time.monotonic() >= deadline:
            return None
        try:
            connection = self._pool.getconn(GETCONN_SECONDS)
        except psycopg.OperationalError:
            self._suspend()
            return None
        IN_USE.inc()
        try:
            return self._run(connection, deadline, query, *args, **kwargs)
        finally:
            connection.deadline = None
            self._pool.putconn(connection)
            IN_USE.dec()

    def _run(
        self,
        connection: Connection,
        deadline: float,
        query: Callable[Concatenate[Connection, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R | None:
        now = time.monotonic()
        seconds = (deadline - now) / 2
        connection.deadline = now + seconds
        try:
            result = query(connection, *args, **kwargs)
        except psycopg.Error as error:
            # Of any kind: a standby may also lack a migration that the primary has.
            _log.warning(
                "standby_read_failed",
                exception=f"{type(error).__module__}.{type(error).__qualname__}",
                sqlstate=error.sqlstate,
            )
            if seconds >= FROZEN_SECONDS and time.monotonic() >= connection.deadline:
                # Frozen, or behind a network that drops packets. The pool's other connections may be affected too.
                self._pool.drain()
                self._suspend()
            return None
        if connection.server_was_promoted:
            connection.close()
            self._pool.drain()
            self._suspend()
            return None
        g.db_pid = connection.info.backend_pid
        g.standby = connection.info.host
        return result

    def _suspend(self) -> None:
        """Send all reads to the primary until a standby has answered a check."""
        self._is_available = False
        self._check_now.set()

    def _watch(self) -> None:
        while not self._closed.is_set():
            self._check_now.clear()
            primary = self._primary_position()
            try:
                standby = self._standby_position()
            except psycopg.Error as error:
                if not self._closed.is_set():
                    self._mark_lost(error)
            else:
                self._mark_available(primary, standby)
            self._check_now.wait(CHECK_SECONDS)

    def _primary_position(self) -> int | None:
        try:
            return _position(self._primary)
        except psycopg.Error:
            return None

    def _standby_position(self) -> int | None:
        try:
            return _position(self._pool)
        except psycopg.Error:
            # The connection may predate a restart.
            self._pool.drain()
            return _position(self._pool)

    def _mark_lost(self, error: psycopg.Error) -> None:
        self._is_available = False
        if not self._is_lost:
            self._is_lost = True
            _LOST.inc()
            _log.warning("standbys_lost", reason=type(error).__name__)
        # Reads go to the primary, which does not lag.
        _LAG_SECONDS.set(0)
        _LAG_BYTES.set(0)

    def _mark_available(self, primary: int | None, standby: int | None) -> None:
        if self._is_lost:
            self._is_lost = False
            _LOST.dec()
            _log.warning("standbys_returned")
        self._is_available = True
        if primary is not None and standby is not None:
            self._lag.add(time.monotonic(), primary)
            _LAG_SECONDS.set(self._lag.seconds(standby))
            _LAG_BYTES.set(max(0, primary - standby))

    def close(self) -> None:
        """Stop the thread and close the connections to standbys."""
        self._closed.set()
        self._check_now.set()
        self._pool.close()
        if self._is_lost:
            _LOST.dec()


class Lag:
    """The lag of a standby in seconds, computed from the primary's positions at earlier checks.

    The age of the last replayed transaction would not do: while the primary is idle, it grows without any lag.
    """

    def __init__(self) -> None:
        self._checks: deque[tuple[float, int]] = deque(maxlen=_MAX_CHECKS)

    def add(self, now: float, primary: int) -> None:
        """Add a check: the time, and the position of the primary."""
        self._checks.append((now, primary))

    def seconds(self, standby: int) -> float:
        """Return the time from the last check whose position the standby has replayed to the newest check.

        If it has not replayed the position of any check, return the time from the oldest to the newest.
        """
        newest = oldest = self._checks[-1][0]
        for checked_at, primary in reversed(self._checks):
            oldest = checked_at
            if primary <= standby:
                break
        return newest - oldest


def _position(pool: _Pool) -> int | None:
    """Return the server's position in the WAL.

    Raises psycopg.OperationalError if the server was promoted, or if connecting or the statement takes longer than
    CHECK_SECONDS.
    """
    with pool.connection(CHECK_SECONDS) as connection:
        connection.deadline = time.monotonic() + CHECK_SECONDS
        try:
            row = connection.execute(_POSITION).fetchone()
        finally:
            connection.deadline = None
        if connection.server_was_promoted:
            connection.close()
            raise psycopg.OperationalError("The standby was promoted.")
    assert row is not None
    return row[0] and int(row[0])
