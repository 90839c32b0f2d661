"""The plans of the reads: they go by index and cost what they return, whatever the account's length."""

import re
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from snapshots import queries
from tools import sql

Connection = psycopg.Connection[Any]

BIG = "00000000-0000-4000-8000-000000000001"
SMALL = "00000000-0000-4000-8000-000000000002"
OWNER = "00000000-0000-4000-8000-00000000000f"
RARE = "initial_connection"
COMMON = "account_sync"


@pytest.fixture(scope="module")
def crowd(database_url: str) -> Iterator[str]:
    """A table with an account of 50,000 snapshots, one of 100, and 2,000 of others; a rare source among them."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in CROWD:
            connection.execute(statement)
    yield database_url
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM balance_snapshots WHERE currency = 'XCD'")
        connection.execute("DELETE FROM accounts WHERE id NOT IN (SELECT account_id FROM balance_snapshots)")


_FILL: LiteralString = """
    INSERT INTO balance_snapshots (user_id, account_id, id, balance, currency, source, captured_at)
    SELECT a.user_id, a.id, uuid_v7(now(), n), in_currency(n, 'XCD'), 'XCD',
        (CASE WHEN n % 10000 = 1 THEN 'initial_connection' WHEN n % 2 = 0 THEN 'account_sync' ELSE 'holdings_sync' END
        )::snapshot_source,
        '2000-01-01'::timestamptz + n * interval '1 hour'
    FROM accounts AS a, generate_series(1, {}) AS n
    WHERE {}
"""
CROWD: list[LiteralString] = [
    f"INSERT INTO accounts (id, user_id) VALUES ('{BIG}', '{OWNER}'), ('{SMALL}', '{OWNER}')",
    "INSERT INTO accounts (id, user_id) SELECT gen_random_uuid(), gen_random_uuid() FROM generate_series(1, 2000)",
    _FILL.format(50000, f"a.id = '{BIG}'"),
    _FILL.format(100, f"a.id = '{SMALL}'"),
    _FILL.format(10, f"a.user_id <> '{OWNER}'"),
    "VACUUM (ANALYZE) accounts, balance_snapshots",
]


def plan(url: str, name: str, mode: LiteralString, **changed: Any) -> dict[str, Any]:
    """The plan that ran."""
    query = sql.read(queries.DIRECTORY / f"{name}.sql")
    parameters = query.example | {"user_id": OWNER} | changed
    order = list(parameters)
    statement = re.sub(r"%\((\w+)\)s", lambda m: f"${order.index(m[1]) + 1}", query.statement)
    values = ", ".join("NULL" if v is None else f"'{v}'" for v in parameters.values())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(b"SET plan_cache_mode = " + mode.encode())
        connection.execute(f"PREPARE q AS {statement}".encode())
        connection.execute(f"EXECUTE q({values})".encode())
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE q({values})"
        row = connection.execute(explain.encode()).fetchone()
    assert row is not None
    return dict(row[0][0]["Plan"])


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if node["Actual Loops"]:
        yield node
        for child in node.get("Plans", []):
            yield from nodes(child)


def buffers(root: dict[str, Any]) -> int:
    return int(root["Shared Hit Blocks"] + root["Shared Read Blocks"])


MODES = ["force_generic_plan", "force_custom_plan"]
CASES = [
    pytest.param("get_latest_snapshots", {}, {"balance_snapshots_pkey", "accounts_user_id_id_key"}, id="latest"),
    pytest.param("list_recent_snapshots", {"source": None}, {"balance_snapshots_pkey", "accounts_pkey"}, id="recent"),
    pytest.param(
        "list_recent_snapshots", {"source": RARE}, {"balance_snapshots_natural_key", "accounts_pkey"}, id="recent rare"
    ),
    pytest.param(
        "list_recent_snapshots",
        {"source": COMMON},
        {"balance_snapshots_natural_key", "accounts_pkey"},
        id="recent common",
    ),
    pytest.param("get_balance_history", {"source": None}, {"balance_snapshots_pkey", "accounts_pkey"}, id="history"),
    pytest.param(
        "get_balance_history", {"source": RARE}, {"balance_snapshots_natural_key", "accounts_pkey"}, id="history rare"
    ),
]
RANGE = {"start_date": "2005-06-01", "end_date": "2005-06-02", "limit": 24}


def parameters_of(name: str, account_id: str, **more: Any) -> dict[str, Any]:
    known = {p.name for p in sql.read(queries.DIRECTORY / f"{name}.sql").parameters}
    return {k: v for k, v in {"account_id": account_id, **RANGE, **more}.items() if k in known}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "more", "indexes"), CASES)
def test_a_read_goes_by_index(crowd: str, name: str, more: dict[str, Any], indexes: set[str], mode: Any) -> None:
    ran = list(nodes(plan(crowd, name, mode, **parameters_of(name, BIG, **more))))

    assert {node["Index Name"] for node in ran if "Index Name" in node and node["Actual Rows"]} == indexes
    assert [node["Node Type"] for node in ran if node["Node Type"] in ("Seq Scan", "Bitmap Heap Scan")] == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "more", "indexes"), CASES)
def test_a_read_reads_no_more_rows_than_it_returns_and_one(
    crowd: str, name: str, more: dict[str, Any], indexes: set[str], mode: Any
) -> None:
    ran = nodes(plan(crowd, name, mode, **parameters_of(name, BIG, **more)))

    scanned = sum(
        int(node["Actual Rows"] * node["Actual Loops"] + node.get("Rows Removed by Filter", 0))
        for node in ran
        if node.get("Relation Name") == "balance_snapshots"
    )
    most = {"get_latest_snapshots": 4, "list_recent_snapshots": 25, "get_balance_history": 26}
    assert 0 < scanned <= most[name]


@pytest.mark.parametrize("name", ["get_latest_snapshots", "list_recent_snapshots", "get_balance_history"])
def test_the_formatting_of_a_snapshot_is_inlined_into_the_plan(connection: Connection, name: str) -> None:
    query = sql.read(queries.DIRECTORY / f"{name}.sql")

    plan = "\n".join(
        line for (line,) in connection.execute(b"EXPLAIN (VERBOSE) " + query.statement.encode(), query.example)
    )

    assert '"change_percent":' in plan
    assert "snapshot_json_v1" not in plan
    assert "history_json_v1" not in plan


@pytest.mark.parametrize("name", ["list_recent_snapshots", "get_balance_history"])
def test_a_read_costs_the_same_in_a_long_history_as_in_a_short_one(crowd: str, name: str) -> None:
    day = {BIG: ("2005-06-01", "2005-06-02"), SMALL: ("2000-01-02", "2000-01-03")}
    cost = {
        account: buffers(
            plan(
                crowd,
                name,
                "force_generic_plan",
                **parameters_of(name, account, start_date=start, end_date=end, source=None),
            )
        )
        for account, (start, end) in day.items()
    }

    # Each of the two index scans of a long history goes one level deeper.
    assert cost[BIG] <= cost[SMALL] + 4
