"""On a Citus cluster a statement about one user is one task, uses an index, and returns what one server returns."""

import json
import os
import re
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from snapshots.statements import DIRECTORY
from tests.sql.test_plans import BIG, OWNER, UNEVEN
from tests.support.citus import SKIPPED, coordinator_url, distributed_database
from tests.support.databases import TEMPLATE, database
from tools import sql

pytestmark = pytest.mark.skipif(not coordinator_url(), reason=SKIPPED)

Connection = psycopg.Connection[tuple[Any, ...]]
TABLES: list[LiteralString] = ["accounts", "balance_snapshots", "superseded_snapshots"]
SUPERSEDED: LiteralString = """
    INSERT INTO superseded_snapshots
    SELECT uuid_v7(now(), n), user_id, id, 1.00, NULL, NULL, NULL, 'XCD', 'account_sync',
        '2000-01-01'::timestamptz + n * interval '1 hour', now(), 'x', now() + n * interval '1 second', 'x', NULL
    FROM accounts, generate_series(1, 20) AS n
"""
RANGE = {"start_date": "2002-06-01", "end_date": "2002-06-02", "bounds": "{2002-06-01,2002-06-02}", "limit": "30"}
ITEM = {
    "user_id": OWNER,
    "account_id": BIG,
    "balance": "7.00",
    "currency": "XCD",
    "source": "account_sync",
    "captured_at": "2002-06-01T00:00:00Z",
}
BATCH = {"items": json.dumps([ITEM]), "users": f"{{{OWNER}}}"}
SOURCES: list[dict[str, Any]] = [
    {"source": source} for source in (None, "account_sync", "manual_sync", "initial_connection")
]
PAGE = {"before_captured_at": "2002-06-01", "before_id": BIG}
CASES = [
    *(("get_balance_history", source) for source in SOURCES),
    *(("get_balance_history_by_interval", source) for source in SOURCES),
    *(("list_recent_snapshots", source | page) for source in SOURCES for page in ({}, PAGE)),
    *(("list_snapshots_to_export", {"source": "account_sync", "with_superseded": with_}) for with_ in ("t", "f")),
    ("get_latest_snapshots", {"as_of": None}),
    ("get_latest_snapshots", {"as_of": "2002-06-01"}),
    ("get_portfolio_history", {}),
    ("list_corrections", {}),
    ("list_corrections", {"before_superseded_at": "2100-01-01", "before_id": BIG}),
    ("match_snapshots", BATCH),
    ("match_corrections", BATCH),
]
# A page and the snapshot before it; the account has 20,000.
MAX_ROWS = 31


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Connection, Connection]]:
    """One server and a cluster that hold the same snapshots."""
    with (
        database(os.environ[TEMPLATE]) as plain_url,
        distributed_database() as cluster_url,
        psycopg.connect(plain_url, autocommit=True) as plain,
        psycopg.connect(cluster_url, autocommit=True) as cluster,
    ):
        for statement in (*UNEVEN, SUPERSEDED):
            plain.execute(statement)
        for table in TABLES:
            copy(plain, cluster, table)
        cluster.execute("VACUUM (ANALYZE)")
        yield plain, cluster


def copy(source: Connection, target: Connection, table: LiteralString) -> None:
    with (
        source.cursor().copy(f"COPY {table} TO STDOUT") as rows,
        target.cursor().copy(f"COPY {table} FROM STDIN") as stored,
    ):
        for row in rows:
            stored.write(row)


def parameters(name: str, changed: dict[str, Any]) -> dict[str, Any]:
    known = {"user_id": OWNER, "account_id": BIG} | RANGE
    return {p.name: known.get(p.name, p.example) for p in sql.read(DIRECTORY / f"{name}.sql").parameters} | changed


def explain(cluster: Connection, name: str, changed: dict[str, Any]) -> str:
    statement = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) " + sql.read(DIRECTORY / f"{name}.sql").statement
    return "\n".join(str(line) for (line,) in cluster.execute(statement.encode(), parameters(name, changed)))


@pytest.mark.parametrize(("name", "changed"), CASES, ids=str)
def test_a_statement_about_one_user_is_one_task_and_uses_an_index(
    servers: tuple[Connection, Connection], name: str, changed: dict[str, Any]
) -> None:
    plan = explain(servers[1], name, changed)

    assert plan.count("Task Count:") == plan.count("Task Count: 1\n") == 1
    assert "Seq Scan on balance_snapshots" not in plan


@pytest.mark.parametrize("source", ["account_sync", "manual_sync"])
@pytest.mark.parametrize("name", ["get_balance_history", "get_balance_history_by_interval", "list_recent_snapshots"])
def test_a_source_of_a_long_account_is_read_by_its_own_index(
    servers: tuple[Connection, Connection], name: str, source: str
) -> None:
    plan = explain(servers[1], name, {"source": source})

    scans = re.findall(r"using (\w+?)_\d+ on balance_snapshots_\d+ \w+ \(actual rows=(\d+)", plan)
    assert {index for index, _ in scans} == {"balance_snapshots_natural_key"}
    assert all(int(rows) <= MAX_ROWS for _, rows in scans)


@pytest.mark.parametrize(("name", "changed"), CASES, ids=str)
def test_a_statement_returns_what_one_server_returns(
    servers: tuple[Connection, Connection], name: str, changed: dict[str, Any]
) -> None:
    statement = sql.read(DIRECTORY / f"{name}.sql").statement.encode()
    plain, cluster = (server.execute(statement, parameters(name, changed)).fetchall() for server in servers)

    assert cluster == plain
