"""The plans of the reads: they use an index and cost what they return, whatever the account's length."""

import re
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from snapshots.statements import DIRECTORY
from tests.support.databases import database
from tools import sql

Connection = psycopg.Connection[Any]

BIG = "00000000-0000-4000-8000-000000000001"
SMALL = "00000000-0000-4000-8000-000000000002"
OWNER = "00000000-0000-4000-8000-00000000000f"
RARE = "initial_connection"
COMMON = "account_sync"


@pytest.fixture(scope="module")
def crowd(database_url: str) -> Iterator[str]:
    """A database with accounts of 50,000 and 100 snapshots, and 2,000 accounts of other users; one source is rare."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in CROWD:
            connection.execute(statement)
    yield database_url
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM balance_snapshots WHERE currency = 'XCD'")
        connection.execute(
            "DELETE FROM accounts WHERE id NOT IN (SELECT account_id FROM balance_snapshots)"
            " AND id NOT IN (SELECT account_id FROM superseded_snapshots)"
        )


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
    """Run a query and return its plan."""
    query = sql.read(DIRECTORY / f"{name}.sql")
    parameters = query.example | {"user_id": OWNER} | changed
    order = list(parameters)
    statement = re.sub(r"%\((\w+)\)[sb]", lambda m: f"${order.index(m[1]) + 1}", query.statement)
    values = ", ".join("NULL" if v is None else f"'{v}'" for v in parameters.values())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(b"SET plan_cache_mode = " + mode.encode())
        connection.execute(f"PREPARE q AS {statement}".encode())
        connection.execute(f"EXECUTE q({values})".encode())
        # VERBOSE shows the functions that were not inlined.
        explain = f"EXPLAIN (ANALYZE, VERBOSE, BUFFERS, FORMAT JSON) EXECUTE q({values})"
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
LATEST, LIST, HISTORY = "get_latest_snapshots", "list_recent_snapshots", "get_balance_history"
INTERVALS = "get_balance_history_by_interval"
PRIMARY, NATURAL = "balance_snapshots_pkey", "balance_snapshots_natural_key"
NEXT_PAGE = {"before_captured_at": "2005-06-01T00:00:00Z", "before_id": BIG}
HOURS = [f"2005-06-01T{hour:02}:00:00Z" for hour in range(24)]
# An hour with a snapshot of the rare source, which also has an earlier one: each loop of the scan must return a row,
# because PostgreSQL 15 rounds the average of the loops.
RARE_HOUR = {
    "bounds": "{2001-02-20T17:00:00Z,2001-02-20T18:00:00Z}",
    "start_date": "2001-02-20T17:00:00Z",
    "end_date": "2001-02-20T18:00:00Z",
}
# For each read of the long account: its index, and the snapshots it may read, which are those it returns and one more.
CASES = [
    pytest.param(LATEST, {}, PRIMARY, 4, id="latest"),
    pytest.param(LATEST, {"as_of": "2001-01-01"}, PRIMARY, 4, id="latest as of an instant"),
    pytest.param(LIST, {"source": None}, PRIMARY, 25, id="list"),
    pytest.param(LIST, {"source": RARE}, NATURAL, 25, id="list of a rare source"),
    pytest.param(LIST, {"source": COMMON}, NATURAL, 25, id="list of a common source"),
    pytest.param(LIST, {"source": None, **NEXT_PAGE}, PRIMARY, 25, id="next page"),
    pytest.param(LIST, {"source": RARE, **NEXT_PAGE}, NATURAL, 25, id="next page of a rare source"),
    pytest.param(LIST, {"source": COMMON, **NEXT_PAGE}, NATURAL, 25, id="next page of a common source"),
    pytest.param(HISTORY, {"source": None}, PRIMARY, 26, id="history"),
    pytest.param(HISTORY, {"source": RARE, **RARE_HOUR}, NATURAL, 2, id="history of a rare source"),
    pytest.param(HISTORY, {"source": COMMON}, NATURAL, 26, id="history of a common source"),
    pytest.param(INTERVALS, {"source": None}, PRIMARY, 24, id="intervals"),
    pytest.param(INTERVALS, {"source": RARE, **RARE_HOUR}, NATURAL, 2, id="intervals of a rare source"),
    pytest.param(INTERVALS, {"source": COMMON}, NATURAL, 24, id="intervals of a common source"),
]
RANGE = {
    "start_date": "2005-06-01",
    "end_date": "2005-06-02",
    "limit": 24,
    "maximum": 10_000,
    "bounds": "{" + ",".join(HOURS) + "}",
}


def parameters_of(name: str, account_id: str, **more: Any) -> dict[str, Any]:
    known = {p.name for p in sql.read(DIRECTORY / f"{name}.sql").parameters}
    return {k: v for k, v in {"account_id": account_id, **RANGE, **more}.items() if k in known}


def snapshots_read(root: dict[str, Any]) -> int:
    return sum(
        round(node["Actual Rows"] * node["Actual Loops"]) + int(node.get("Rows Removed by Filter", 0))
        for node in nodes(root)
        if node.get("Relation Name") == "balance_snapshots"
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "more", "index", "maximum"), CASES)
def test_a_read_uses_an_index_and_reads_only_what_it_returns(
    crowd: str, name: str, more: dict[str, Any], index: str, maximum: int, mode: Any
) -> None:
    root = plan(crowd, name, mode, **parameters_of(name, BIG, **more))

    accounts = "accounts_user_id_id_key" if name == LATEST else "accounts_pkey"
    assert {n["Index Name"] for n in nodes(root) if "Index Name" in n and n["Actual Rows"]} == {index, accounts}
    assert [n["Node Type"] for n in nodes(root) if n["Node Type"] in ("Seq Scan", "Bitmap Heap Scan")] == []
    assert 0 < snapshots_read(root) <= maximum


def test_a_portfolio_costs_one_probe_for_each_account_and_bucket(crowd: str) -> None:
    days = [f"2003-{month:02}-{day:02}T00:00:00Z" for month in range(1, 13) for day in range(1, 29)]
    parameters = {"bounds": "{" + ",".join(days) + "}", "end_date": days[-1]}
    for mode in ("force_generic_plan", "force_custom_plan"):
        root = plan(crowd, "get_portfolio_history", mode, **parameters)

        assert snapshots_read(root) <= 2 * len(days)
        assert buffers(root) <= 12 * len(days)


def test_a_portfolio_that_is_too_large_is_refused_without_reading_a_snapshot(crowd: str) -> None:
    # Two accounts in three intervals.
    for mode in ("force_generic_plan", "force_custom_plan"):
        assert snapshots_read(plan(crowd, "get_portfolio_history", mode, maximum=6)) > 0
        assert snapshots_read(plan(crowd, "get_portfolio_history", mode, maximum=5)) == 0


def test_a_history_that_is_too_long_is_detected_by_one_snapshot_too_many(crowd: str) -> None:
    # The snapshot before the range is read too. The numbers are even: PostgreSQL 15 rounds the average of two loops.
    for source, rows in ((None, 1_002), (COMMON, 1_002), (RARE, 4)):
        parameters = parameters_of(HISTORY, BIG, start_date="2001-03-01", end_date="2100-01-01", source=source)
        root = plan(crowd, HISTORY, "force_generic_plan", **parameters | {"maximum": 1_000})

        assert snapshots_read(root) == rows


def test_a_history_that_is_too_long_is_not_formatted(crowd: str) -> None:
    parameters = parameters_of(HISTORY, BIG, start_date="2001-03-01", end_date="2100-01-01", source=RARE)

    def has_formatted(maximum: int) -> bool:
        root = plan(crowd, HISTORY, "force_generic_plan", **parameters | {"maximum": maximum})
        return any('"available_balance":' in column for node in nodes(root) for column in node.get("Output", []))

    assert has_formatted(1_000)
    assert not has_formatted(1)


def test_a_year_of_days_costs_at_most_six_buffers_a_day(crowd: str) -> None:
    days = [f"2003-{month:02}-{day:02}T00:00:00Z" for month in range(1, 13) for day in range(1, 29)]
    for source in (None, COMMON):
        bounds = "{" + ",".join(days) + "}"
        parameters = parameters_of(INTERVALS, BIG, bounds=bounds, end_date=days[-1], source=source)
        root = plan(crowd, INTERVALS, "force_generic_plan", **parameters)

        assert buffers(root) <= 6 * len(days)


@pytest.fixture(scope="module")
def uneven() -> Iterator[str]:
    """A database with a long account among many short ones, and with unevenly distributed sources."""
    with database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in UNEVEN:
                connection.execute(statement)
        yield url


UNEVEN: list[LiteralString] = [
    f"INSERT INTO accounts (id, user_id) VALUES ('{BIG}', '{OWNER}')",
    "INSERT INTO accounts (id, user_id) SELECT gen_random_uuid(), gen_random_uuid() FROM generate_series(1, 300)",
    """
    INSERT INTO balance_snapshots (user_id, account_id, id, balance, currency, source, captured_at)
    SELECT a.user_id, a.id, uuid_v7(now(), n), in_currency(n, 'XCD'), 'XCD',
        (CASE WHEN n % 97 = 0 THEN 'initial_connection' WHEN n % 3 = 0 THEN 'account_sync' ELSE 'holdings_sync' END
        )::snapshot_source,
        '2000-01-01'::timestamptz + n * interval '1 hour'
    FROM accounts AS a, generate_series(1, 130) AS n
    """,
    f"""
    INSERT INTO balance_snapshots (user_id, account_id, id, balance, currency, source, captured_at)
    SELECT '{OWNER}', '{BIG}', uuid_v7(now(), n), in_currency(n, 'XCD'), 'XCD',
        (CASE WHEN n % 5000 = 1 THEN 'manual_sync' WHEN n % 2 = 0 THEN 'account_sync' ELSE 'scheduled_sync' END
        )::snapshot_source,
        '2001-01-01'::timestamptz + n * interval '1 hour'
    FROM generate_series(1, 20000) AS n
    """,
    "VACUUM (ANALYZE) accounts, balance_snapshots",
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("source", [None, "account_sync", "manual_sync", "initial_connection"])
@pytest.mark.parametrize("name", [LIST, HISTORY, INTERVALS])
def test_a_read_by_source_costs_little_even_if_the_source_is_rare_here_and_common_elsewhere(
    uneven: str, name: str, source: str | None, mode: Any
) -> None:
    day = {"start_date": "2002-06-01", "end_date": "2002-06-02", "bounds": "{2002-06-01,2002-06-02}"}
    root = plan(uneven, name, mode, **parameters_of(name, BIG, source=source, **day))

    assert snapshots_read(root) <= 26
    assert buffers(root) <= 50


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

    # In a long history each of the two index scans descends one level more.
    assert cost[BIG] <= cost[SMALL] + 4
