"""Bytes per snapshot: on disk with its indexes, and in the write-ahead log (WAL) when it is captured.

The first change of a page after a checkpoint writes the whole page to the WAL, so a capture costs more then. Each
account is therefore captured twice: right after a checkpoint, and again when its pages have been written already.
"""

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from bench import data
from snapshots import batch
from tools import postgres

BATCH_SIZES = (1, 100, 1000)
# Each is captured right after a checkpoint and once more, for every batch size.
ACCOUNTS = 2000
# Later than every snapshot of the database, as new snapshots are.
START = datetime(2026, 1, 1, tzinfo=UTC)


def measure(database_url: str) -> dict[str, Any]:
    """Return the bytes per snapshot, and leave the database as it was. Raises tools.postgres.PostgresError."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        on_disk = _bytes_on_disk(connection)
        accounts = _accounts(connection)
        instants = map(START.__add__, itertools.accumulate(itertools.repeat(timedelta(minutes=1))))
        try:
            wal = [_wal_of_captures(connection, accounts, size, instants) for size in BATCH_SIZES]
        finally:
            connection.execute("DELETE FROM balance_snapshots WHERE captured_at >= %s", [START])
    return {"on_disk": on_disk, "wal": wal}


def _bytes_on_disk(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Return the number of snapshots, and the bytes per snapshot of the table, of each index and of all together."""
    snapshots = _number(connection, "SELECT count(*) FROM balance_snapshots")
    sizes = {"table": _number(connection, "SELECT pg_table_size('balance_snapshots')")}
    sizes |= connection.execute(
        "SELECT 'index ' || indexrelid::regclass, pg_relation_size(indexrelid)"
        " FROM pg_index WHERE indrelid = 'balance_snapshots'::regclass ORDER BY 1"
    ).fetchall()
    sizes["all"] = sum(sizes.values())
    return {"snapshots": snapshots, **{place: round(size / snapshots) for place, size in sizes.items()}}


def _accounts(connection: psycopg.Connection[Any]) -> list[tuple[str, str]]:
    """Return the owners and ids of accounts from all over the table, except those that the other parts read."""
    accounts: list[tuple[str, str]] = connection.execute(
        "SELECT user_id::text, id::text FROM accounts WHERE user_id <> ALL(%s::uuid[]) ORDER BY md5(id::text) LIMIT %s",
        [[data.USER, data.SHORT_USER, data.LONG_USER, data.DENSE_USER], ACCOUNTS],
    ).fetchall()
    if len(accounts) < ACCOUNTS:
        raise postgres.PostgresError("The part size needs a larger database: SIZE=2000000 at least.")
    return accounts


def _wal_of_captures(
    connection: psycopg.Connection[Any], accounts: list[tuple[str, str]], size: int, instants: Iterator[datetime]
) -> dict[str, int]:
    connection.execute("CHECKPOINT")
    positions = [_wal_position(connection)]
    for _ in range(2):
        _capture(connection, accounts, size, next(instants))
        positions.append(_wal_position(connection))
    after_checkpoint, later = (end - start for start, end in itertools.pairwise(positions))
    return {
        "snapshots_per_capture": size,
        "after_checkpoint": round(after_checkpoint / len(accounts)),
        "later": round(later / len(accounts)),
    }


def _capture(
    connection: psycopg.Connection[Any], accounts: list[tuple[str, str]], size: int, captured_at: datetime
) -> None:
    """Capture one snapshot of each account, `size` of them at once."""
    for start in range(0, len(accounts), size):
        items = [
            {
                "user_id": user_id,
                "account_id": account_id,
                "balance": "24500.25",
                "available_balance": "24000.25",
                "holdings_value": "21500.25",
                "cash_value": "3000.00",
                "currency": "USD",
                "source": "account_sync",
                "captured_at": captured_at.isoformat(),
            }
            for user_id, account_id in accounts[start : start + size]
        ]
        batch.store(connection, items)


def _wal_position(connection: psycopg.Connection[Any]) -> int:
    """Return the number of bytes that have been written to the WAL."""
    return _number(connection, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")


def _number(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])
