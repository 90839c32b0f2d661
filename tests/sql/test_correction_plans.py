"""The plans of captures and corrections: they use an index, however many snapshots were superseded."""

import json
from collections.abc import Iterator
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest

from snapshots.statements import DIRECTORY
from tests.sql.test_plans import BIG, MODES, OWNER, SMALL, buffers, nodes, plan
from tests.support import snapshot
from tests.support.databases import database
from tools import sql

_FILL: LiteralString = """
    INSERT INTO superseded_snapshots (id, user_id, account_id, balance, currency, source, captured_at, created_at,
        reason, superseded_at, superseded_by)
    SELECT uuid_v7(now(), n), a.user_id, a.id, 1.00, 'XCD', 'account_sync',
        '2000-01-01'::timestamptz + n * interval '1 hour', now(), 'x', now() + n * interval '1 second', 'x'
    FROM accounts AS a, generate_series(1, {}) AS n
    WHERE {}
"""
STATEMENTS: list[LiteralString] = [
    f"INSERT INTO accounts (id, user_id) VALUES ('{BIG}', '{OWNER}'), ('{SMALL}', '{OWNER}')",
    "INSERT INTO accounts (id, user_id) SELECT gen_random_uuid(), gen_random_uuid() FROM generate_series(1, 2000)",
    _FILL.format(20000, f"a.id = '{BIG}'"),
    _FILL.format(50, f"a.id = '{SMALL}'"),
    _FILL.format(5, f"a.user_id <> '{OWNER}'"),
    "VACUUM (ANALYZE) accounts, superseded_snapshots",
]
PAGE = {"before_superseded_at": None, "before_id": None, "limit": 20}


@pytest.fixture(scope="module")
def corrected() -> Iterator[str]:
    """A database with 20,000 superseded snapshots of one account, 50 of another, and five of each of 2,000 others."""
    with database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in STATEMENTS:
                connection.execute(statement)
        yield url


def scans(ran: dict[str, Any], table: str) -> list[tuple[str, int]]:
    """Return the nodes that read a table, and the rows that each reads."""
    return [
        (
            node.get("Index Name", node["Node Type"]),
            round(node["Actual Rows"] * node["Actual Loops"]) + node.get("Rows Removed by Filter", 0),
        )
        for node in nodes(ran)
        if node.get("Relation Name") == table
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("before", [None, "2100-01-01T00:00:00Z"])
def test_a_page_of_corrections_reads_its_rows_and_one_more_by_the_primary_key(
    corrected: str, mode: Any, before: str | None
) -> None:
    cursor = {"before_superseded_at": before, "before_id": before and BIG}
    ran = plan(corrected, "list_corrections", mode, account_id=BIG, **PAGE | cursor)

    assert scans(ran, "superseded_snapshots") == [("superseded_snapshots_pkey", 21)]


def test_a_page_of_corrections_costs_the_same_in_a_long_list_as_in_a_short_one(corrected: str) -> None:
    cost = {
        account: buffers(plan(corrected, "list_corrections", MODES[0], account_id=account, **PAGE))
        for account in (BIG, SMALL)
    }

    assert cost[BIG] <= cost[SMALL] + 2


def test_the_formatting_of_a_superseded_snapshot_is_inlined_into_the_plan(corrected: str) -> None:
    ran = plan(corrected, "list_corrections", MODES[0], account_id=BIG, **PAGE)

    assert "json_v1" not in json.dumps(ran)


def test_a_capture_looks_up_each_item_among_the_superseded_snapshots_by_their_natural_key(corrected: str) -> None:
    items = [snapshot(OWNER, BIG, "1.00", captured_at=f"2001-01-01T{hour:02}:30:00Z") for hour in range(24)]
    for item in items:
        item |= {"currency": "XCD", "balance": "2.00"}
    again = {"currency": "XCD", "balance": "1.00", "captured_at": "2000-01-02T00:00:00Z"}
    items.append(snapshot(OWNER, BIG) | again)

    ran = plan_of_batch(corrected, "insert_snapshots", items=json.dumps(items), users=f"{{{OWNER}}}")

    [(index, rows)] = scans(ran, "superseded_snapshots")
    assert index == "superseded_snapshots_natural_key"
    # PostgreSQL 15 rounds the average of the rows for each item to 0.
    assert rows <= 1
    [insertion] = [node for node in nodes(ran) if node["Node Type"] == "ModifyTable"]
    assert insertion["Tuples Inserted"] == 24


@pytest.mark.parametrize("name", ["match_corrections", "match_snapshots"])
def test_outcomes_are_looked_up_by_the_natural_key(corrected: str, name: str) -> None:
    key = {"user_id": OWNER, "account_id": BIG, "source": "account_sync", "captured_at": "2000-01-02T00:00:00Z"}
    item = {"id": str(uuid4()), **key, "reason": "x", "balance": "1.00", "currency": "XCD"}
    created = {"created": "{}"} if name == "match_snapshots" else {}

    ran = plan_of_batch(corrected, name, items=json.dumps([item]), users=f"{{{OWNER}}}", **created)

    found = scans(ran, "superseded_snapshots")
    assert found
    assert {index for index, _ in found} == {"superseded_snapshots_natural_key"}


def plan_of_batch(url: str, name: str, **parameters: str) -> dict[str, Any]:
    """Run a statement with these parameters, roll it back, and return its generic plan."""
    statement = sql.read(DIRECTORY / f"{name}.sql").statement
    for number, parameter in enumerate(parameters, 1):
        statement = statement.replace(f"%({parameter})s", f"${number}")
    values = ", ".join(f"'{value}'" for value in parameters.values())
    with psycopg.connect(url) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.execute(f"PREPARE q AS {statement}".encode())
        row = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE q({values})".encode()).fetchone()
        connection.rollback()
    assert row is not None
    return dict(row[0][0]["Plan"])
