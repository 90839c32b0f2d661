"""On a Citus cluster a statement about one user is one task, uses an index, and returns what one server returns."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

import psycopg
import pytest

from snapshots.statements import DIRECTORY
from tests.sql.test_plans import UNEVEN
from tests.support import ROOT
from tests.support.citus import SKIPPED, coordinator_url, distributed_database
from tests.support.databases import TEMPLATE, database
from tools import postgres, sql

pytestmark = pytest.mark.skipif(not coordinator_url(), reason=SKIPPED)

# A psql script that stores accounts of very different lengths in a migrated database. If there is no such file, the
# data of tests/sql/test_plans.py is used.
UNEVEN_ACCOUNTS = Path(os.environ.get("TEST_UNEVEN_ACCOUNTS", ROOT.parent / "shared" / "data" / "uneven_accounts.sql"))
Connection = psycopg.Connection[tuple[Any, ...]]
TABLES: list[LiteralString] = ["accounts", "balance_snapshots", "superseded_snapshots"]
SUPERSEDED: LiteralString = """
    INSERT INTO superseded_snapshots
    SELECT uuid_v7(now(), n), user_id, id, 1.00, NULL, NULL, NULL, 'XCD', 'account_sync',
        '2000-01-01'::timestamptz + n * interval '1 hour', now(), 'x', now() + n * interval '1 second', 'x', NULL
    FROM accounts, generate_series(1, 20) AS n
"""
DAY = {"start_date": "2002-06-01", "end_date": "2002-06-02", "bounds": "{2002-06-01,2002-06-02}"}
YEARS = {
    "start_date": "2000-01-01",
    "end_date": "2026-01-01",
    "bounds": "{2000-01-01,2002-06-01,2024-03-01,2026-01-01}",
}
SOURCES: list[dict[str, Any]] = [
    {"source": source} for source in (None, "account_sync", "manual_sync", "initial_connection")
]
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
PAGE = {"before_captured_at": "2002-06-01", "before_id": LAST_ID}
CASES = [
    *(("get_balance_history", source) for source in SOURCES),
    *(("get_balance_history_by_interval", source) for source in SOURCES),
    *(("list_recent_snapshots", source | page) for source in SOURCES for page in ({}, PAGE)),
    *(("list_snapshots_to_export", {"source": "account_sync", "with_superseded": with_}) for with_ in ("t", "f")),
    ("get_latest_snapshots", {"as_of": None}),
    ("get_latest_snapshots", {"as_of": "2002-06-01"}),
    ("get_portfolio_history", {}),
    ("list_corrections", {}),
    ("list_corrections", {"before_superseded_at": "2100-01-01", "before_id": LAST_ID}),
    ("match_snapshots", {}),
    ("match_corrections", {}),
]
# A page and the snapshot before it; the longest account has 20,000 or more.
MAX_ROWS = 31


class Account(NamedTuple):
    user_id: str
    id: str


class Servers(NamedTuple):
    """One server and a cluster that hold the same snapshots."""

    plain: Connection
    cluster: Connection
    longest: Account
    others: list[Account]
    """The first accounts of some users, and a pair of a user and another user's account."""


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with (
        database(os.environ[TEMPLATE]) as plain_url,
        distributed_database() as cluster_url,
        psycopg.connect(plain_url, autocommit=True) as plain,
        psycopg.connect(cluster_url, autocommit=True) as cluster,
    ):
        if UNEVEN_ACCOUNTS.exists():
            postgres.run_script(plain_url, UNEVEN_ACCOUNTS)
        else:
            for statement in UNEVEN:
                plain.execute(statement)
        plain.execute(SUPERSEDED)
        for table in TABLES:
            copy(plain, cluster, table)
        cluster.execute("VACUUM (ANALYZE)")
        [longest] = plain.execute(
            "SELECT user_id::text, account_id::text FROM balance_snapshots GROUP BY 1, 2 ORDER BY count(*) DESC LIMIT 1"
        )
        others = [
            Account(*row)
            for row in plain.execute("SELECT user_id::text, min(id::text) FROM accounts GROUP BY 1 ORDER BY 1 LIMIT 12")
        ]
        yield Servers(plain, cluster, Account(*longest), [*others, Account(others[0].user_id, others[1].id)])


def copy(source: Connection, target: Connection, table: LiteralString) -> None:
    with (
        source.cursor().copy(f"COPY {table} TO STDOUT") as rows,
        target.cursor().copy(f"COPY {table} FROM STDIN") as stored,
    ):
        for row in rows:
            stored.write(row)


def parameters(name: str, account: Account, overrides: dict[str, Any]) -> dict[str, Any]:
    item = {
        "user_id": account.user_id,
        "account_id": account.id,
        "balance": "7.00",
        "currency": "XCD",
        "source": "account_sync",
        "captured_at": "2002-06-01T00:00:00Z",
    }
    known = {
        "user_id": account.user_id,
        "account_id": account.id,
        "limit": "30",
        "items": json.dumps([item]),
        "users": f"{{{account.user_id}}}",
    } | DAY
    return {p.name: known.get(p.name, p.example) for p in sql.read(DIRECTORY / f"{name}.sql").parameters} | overrides


def explain(servers: Servers, name: str, overrides: dict[str, Any]) -> str:
    """Return the plan of a statement about the longest account."""
    statement = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) " + sql.read(DIRECTORY / f"{name}.sql").statement
    rows = servers.cluster.execute(statement.encode(), parameters(name, servers.longest, overrides))
    return "\n".join(str(line) for (line,) in rows)


@pytest.mark.parametrize(("name", "overrides"), CASES, ids=str)
def test_a_statement_about_one_user_is_one_task_and_uses_an_index(
    servers: Servers, name: str, overrides: dict[str, Any]
) -> None:
    plan = explain(servers, name, overrides)

    assert plan.count("Task Count:") == plan.count("Task Count: 1\n") == 1
    assert "Seq Scan on balance_snapshots" not in plan


# The inserts, whose plans Citus shows for literal values only, and without running them; and the statements of imports.
INSERTS_AND_IMPORTS = [
    "insert_snapshots",
    "insert_imported_superseded_snapshots",
    "list_import_contradictions",
    "list_superseded_import_contradictions",
    "mark_import_repetitions",
]


@pytest.mark.parametrize("name", INSERTS_AND_IMPORTS)
def test_an_insert_or_import_of_one_user_reads_the_shard_of_that_user_only(servers: Servers, name: str) -> None:
    query = sql.read(DIRECTORY / f"{name}.sql")
    with servers.cluster.transaction(force_rollback=True):
        sql.prepare(servers.cluster, query)
        rows = psycopg.ClientCursor(servers.cluster).execute(
            b"EXPLAIN (COSTS OFF) " + query.statement.encode(), parameters(name, servers.longest, {})
        )
        plan = "\n".join(str(line) for (line,) in rows)

    assert plan.count("Task Count:") == plan.count("Task Count: 1\n") > 0


@pytest.mark.parametrize("source", ["account_sync", "manual_sync"])
@pytest.mark.parametrize("name", ["get_balance_history", "get_balance_history_by_interval", "list_recent_snapshots"])
def test_a_source_of_a_long_account_is_read_by_its_own_index(servers: Servers, name: str, source: str) -> None:
    plan = explain(servers, name, {"source": source})

    scans = re.findall(r"using (\w+?)_\d+ on balance_snapshots_\d+ \w+ \(actual rows=(\d+)", plan)
    assert {index for index, _ in scans} == {"balance_snapshots_natural_key"}
    assert all(int(rows) <= MAX_ROWS for _, rows in scans)


@pytest.mark.parametrize("dates", [DAY, YEARS], ids=["a day", "years"])
@pytest.mark.parametrize(("name", "overrides"), CASES, ids=str)
def test_a_statement_returns_what_one_server_returns(
    servers: Servers, name: str, overrides: dict[str, Any], dates: dict[str, str]
) -> None:
    statement = sql.read(DIRECTORY / f"{name}.sql").statement.encode()
    names = {parameter.name for parameter in sql.read(DIRECTORY / f"{name}.sql").parameters}
    dated = {key: value for key, value in dates.items() if key in names} | overrides

    def rows(server: Connection) -> list[Any]:
        return [
            server.execute(statement, parameters(name, account, dated)).fetchall()
            for account in (servers.longest, *servers.others)
        ]

    assert rows(servers.cluster) == rows(servers.plain)
