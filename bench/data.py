"""Databases for the benchmarks: a small one, and one of a realistic size, both created once and kept.

The large one has ten million snapshots: a million in one account, 100,000 within a year in another, the rest in
accounts with a few hundred each. Both have a user with eight accounts, one of which has ten years of daily snapshots,
and an account with a hundred snapshots.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import LiteralString

import psycopg

from tools import local
from tools.migrate import migrate

USER = "be000000-0000-4000-8000-000000000001"
DAILY = "be000000-0000-4000-8000-00000000000a"
SHORT_USER = "be000000-0000-4000-8000-000000000002"
SHORT = "be000000-0000-4000-8000-00000000000b"
LONG_USER = "be000000-0000-4000-8000-000000000003"
LONG = "be000000-0000-4000-8000-00000000000c"
DENSE_USER = "be000000-0000-4000-8000-000000000004"
DENSE = "be000000-0000-4000-8000-00000000000d"
RARE = "initial_connection"

# The accounts: owner, id, number of snapshots, time between two snapshots.
_ACCOUNTS: LiteralString = """
    CREATE TEMPORARY TABLE planned AS
    SELECT '{user}'::uuid AS user_id, '{daily}'::uuid AS id, 3650 AS snapshots, interval '1 day' AS step
    UNION ALL SELECT '{user}', gen_random_uuid(), 400, '1 day' FROM generate_series(1, 7)
    UNION ALL SELECT '{short_user}', '{short}', 100, '1 day'
    UNION ALL SELECT '{dense_user}', '{dense}', 100000, interval '364 days' / 100000 WHERE {size} > 10000
    UNION ALL SELECT '{long_user}', '{long}', 1000000, '1 hour' WHERE {size} > 1000000
    UNION ALL SELECT gen_random_uuid(), gen_random_uuid(), 450, '1 day'
        FROM generate_series(1, greatest(0, ({size} - 1000000) / 450))
"""
_FILL: tuple[LiteralString, ...] = (
    "INSERT INTO accounts (id, user_id) SELECT id, user_id FROM planned",
    """
    INSERT INTO balance_snapshots (id, user_id, account_id, balance, available_balance, holdings_value, cash_value,
        currency, source, captured_at, created_at)
    SELECT uuid_v7(at, 0), user_id, id, amount, amount - 500, amount - 3000, 3000.00, 'USD',
        (CASE WHEN n % 100000 = 99999 THEN 'initial_connection' WHEN n % 2 = 0 THEN 'account_sync'
            ELSE 'holdings_sync' END)::snapshot_source,
        at, at
    FROM planned
    CROSS JOIN generate_series(0, snapshots - 1) AS n
    CROSS JOIN LATERAL (
        SELECT '2025-12-31T10:00:00Z'::timestamptz - n * step AS at,
            20000.00 + (n::bigint * 7919 % 1000003) / 100.00 AS sum
    ) AS generated
    CROSS JOIN LATERAL (SELECT round(generated.sum, 2) AS amount) AS rounded
    """,
)


@contextmanager
def database(folder: Path, size: int) -> Iterator[str]:
    """Yield the URL of a database of about `size` snapshots, created on first use.

    Raises tools.postgres.PostgresError.
    """
    with local.embedded(folder / f"postgres-{size}") as url:
        migrate(url)
        with psycopg.connect(url, autocommit=True) as connection:
            row = connection.execute("SELECT count(*) FROM accounts WHERE id = %s", [DAILY]).fetchone()
            if row == (0,):
                print(f"Creating {size:,} snapshots; later runs reuse them.", file=sys.stderr, flush=True)
                started_at = time.monotonic()
                with connection.transaction():
                    _fill(connection, size)
                connection.execute("VACUUM (ANALYZE, FREEZE) balance_snapshots, accounts")
                print(f"Created in {time.monotonic() - started_at:.0f} s.", file=sys.stderr, flush=True)
        yield url


def _fill(connection: psycopg.Connection[tuple[object, ...]], size: int) -> None:
    """Insert the rows without constraints and add those afterwards: building an index is faster than growing it."""
    planned = _ACCOUNTS.format(
        user=USER,
        daily=DAILY,
        short_user=SHORT_USER,
        short=SHORT,
        dense_user=DENSE_USER,
        dense=DENSE,
        long_user=LONG_USER,
        long=LONG,
        size=size,
    )
    connection.execute(planned.encode())
    constraints = connection.execute(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'balance_snapshots'::regclass AND contype <> 'n'"
    ).fetchall()
    drops = ", ".join(f"DROP CONSTRAINT {name}" for name, _ in constraints)
    adds = ", ".join(f"ADD CONSTRAINT {name} {definition}" for name, definition in constraints)
    connection.execute(f"ALTER TABLE balance_snapshots {drops}".encode())
    for statement in _FILL:
        connection.execute(statement)
    connection.execute("SET LOCAL maintenance_work_mem = '1GB'")
    connection.execute(f"ALTER TABLE balance_snapshots {adds}".encode())
