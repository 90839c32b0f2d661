"""The files of sql/queries: their heads are true, and requests take no more round trips than they need."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from flask import Flask
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH

from config import Settings
from snapshots import command_queries, queries
from snapshots.statements import DIRECTORY, statement
from tests.support import Caller, Response, captured, snapshot, user_token
from tests.support.apps import serving
from tests.support.role_database import SERVICE_PRIVILEGES
from tools import demo, sql

Connection = psycopg.Connection[Any]

FILES = sorted(DIRECTORY.glob("*.sql"))
READS = [
    "get_balance_history",
    "get_balance_history_by_interval",
    "get_portfolio_history",
    "get_latest_snapshots",
    "list_corrections",
    "list_recent_snapshots",
]
# The number of rows that an example returns on the demo portfolio, if it is not one.
ROWS = {
    "delete_accounts": 0,
    "insert_imported_snapshots": 0,
    "insert_imported_superseded_snapshots": 0,
    "list_import_contradictions": 0,
    "list_superseded_import_contradictions": 0,
    "list_accounts": 7,
    "supersede_snapshots": 0,
}
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@pytest.fixture
def portfolio(portfolio_url: str) -> Iterator[Connection]:
    """A connection to the demo portfolio, whose changes are rolled back."""
    with psycopg.connect(portfolio_url) as connection:
        yield connection
        connection.rollback()


# The files


@every_file
def test_a_file_has_one_function_of_its_name_that_takes_its_parameters(path: Path) -> None:
    (function,) = [vars(module)[path.stem] for module in (queries, command_queries) if path.stem in vars(module)]

    connection, *parameters = inspect.signature(function).parameters
    assert connection == "connection"
    assert parameters == [p.name for p in sql.read(path).parameters]


@every_file
def test_a_statement_is_short_enough_for_psycopg_to_parse_it_once(path: Path) -> None:
    text = statement(path.stem)

    assert len(text) <= MAX_CACHED_STATEMENT_LENGTH
    assert text.startswith(f"-- {path.stem}\n".encode())
    assert b"--" not in text[3:]


def test_the_name_of_a_file_begins_with_a_known_verb() -> None:
    assert {path.stem.partition("_")[0] for path in FILES} <= {
        "create",
        "delete",
        "get",
        "hold",
        "insert",
        "list",
        "lock",
        "mark",
        "match",
        "supersede",
    }


@every_file
def test_a_file_holds_one_statement_that_casts_every_parameter(path: Path) -> None:
    query = sql.read(path)
    code = re.sub(r"--.*", "", query.statement)

    assert code.count(";") == 1
    types = {p.name: p.type for p in query.parameters}
    assert set(re.findall(r"%\((\w+)\)[sb](?:::(\w+(?:\[\])?))?", code)) == set(types.items())


# The tables of snapshots and their views.
RELATIONS = SERVICE_PRIVILEGES.keys() - {"schema_migrations", "accounts"}


def conditions(name: str) -> list[str]:
    """Return the conditions of a statement on snapshots, one for each place where it reads or deletes some."""
    code = re.sub(r"--.*", "", sql.read(DIRECTORY / f"{name}.sql").statement)
    _, *places = re.split(rf"(?:FROM|JOIN) (?:{'|'.join(RELATIONS)})\b", code)
    return [re.split(r"ORDER BY|UNION|RETURNING|SELECT", place)[0] for place in places]


@pytest.mark.parametrize("name", READS)
def test_a_read_names_the_account_wherever_it_reads_snapshots(name: str) -> None:
    assert conditions(name)
    for condition in conditions(name):
        assert "account_id = " in condition


# The conditions by which a cluster routes a statement (docs/scaling.md): on the user, or on the users of the batch or
# import.
ROUTES = (
    " user_id = %(user_id)s::uuid",
    "routed_to(user_id, ARRAY[%(user_id)s::uuid])",
    "user_id, %(users)s::uuid[])",
)


@every_file
def test_a_statement_names_the_user_wherever_it_reads_snapshots(path: Path) -> None:
    # PostgreSQL moves the conditions of an export into its two branches.
    places = [sql.read(path).statement] if path.stem == "list_snapshots_to_export" else conditions(path.stem)

    for condition in places:
        assert any(route in condition for route in ROUTES)


@every_file
def test_a_file_can_be_planned_with_null_for_every_parameter(connection: Connection, path: Path) -> None:
    query = sql.read(path)
    sql.prepare(connection, query)

    connection.execute(b"EXPLAIN " + query.statement.encode(), dict.fromkeys(query.example))


@every_file
def test_the_example_of_a_file_returns_exactly_its_declared_columns(portfolio: Connection, path: Path) -> None:
    query = sql.read(path)
    sql.prepare(portfolio, query)

    cursor = portfolio.execute(query.statement.encode(), query.example)

    if not query.columns:
        assert cursor.description is None
        return
    assert cursor.description is not None
    types = portfolio.execute("SELECT typname, oid FROM pg_type").fetchall()
    names = {oid: {"bool": "boolean", "int8": "bigint"}.get(name, name) for name, oid in types}
    assert [(c.name, names[c.type_code]) for c in cursor.description] == [(c.name, c.type) for c in query.columns]
    assert cursor.rowcount == ROWS.get(path.stem, 1)


# The owner's account, another user's, and none


def fetch_one(connection: Connection, name: str, **overrides: Any) -> Any:
    query = sql.read(DIRECTORY / f"{name}.sql")
    return connection.execute(query.statement.encode(), query.example | overrides).fetchone()


@pytest.mark.parametrize("name", ["get_balance_history", "get_balance_history_by_interval", "list_recent_snapshots"])
def test_a_read_of_an_account_returns_rows_only_to_its_owner(portfolio: Connection, name: str) -> None:
    is_owner, body, *_ = fetch_one(portfolio, name)
    assert (is_owner, json.loads(body)["total_count"] > 0) == (True, True)
    is_owner, body, *_ = fetch_one(portfolio, name, user_id=uuid4())
    assert (is_owner, json.loads(body)["snapshots"]) == (False, [])
    assert fetch_one(portfolio, name, account_id=uuid4()) is None


def test_latest_returns_only_the_snapshots_of_its_user(portfolio: Connection) -> None:
    assert json.loads(fetch_one(portfolio, "get_latest_snapshots")[0])["total_count"] == len(demo.ACCOUNTS)
    assert json.loads(fetch_one(portfolio, "get_latest_snapshots", user_id=uuid4())[0])["snapshots"] == []


# Round trips


@pytest.fixture
def traced(settings: Settings, tmp_path: Path) -> Iterator[tuple[Flask, Path]]:
    """An app with one connection, whose protocol is written to a file."""
    trace = tmp_path / "trace"
    with serving(settings) as app, trace.open("w") as file:
        pool = app.extensions["pool"]
        pool.resize(1, 1)
        with pool.connection() as connection:
            connection.pgconn.trace(file.fileno())
        yield app, trace
        with pool.connection() as connection:
            connection.pgconn.untrace()


def count_round_trips(trace: Path) -> int:
    """Return the number of round trips: the server responds to each Sync and each simple Query before the next."""
    return len(re.findall(r"\tF\t\d+\t(?:Sync|Query)\b", trace.read_text()))


def test_a_read_is_one_round_trip(traced: tuple[Flask, Path], sync_job: Caller, user_id: str, account_id: str) -> None:
    captured(sync_job, snapshot(user_id, account_id))
    app, trace = traced
    user = Caller(app, user_token(user_id))

    reads: list[Callable[[], Response]] = [
        user.latest,
        partial(user.history, account_id),
        partial(user.history, account_id, "2025-01-01", "2025-02-01", interval="day"),
        partial(user.portfolio, "2025-01-01", "2025-02-01"),
        partial(user.recent, account_id),
        partial(user.corrections, account_id),
    ]
    for read in reads:
        before = count_round_trips(trace)
        assert read().status_code == 200
        assert count_round_trips(trace) - before == 1


def test_a_refused_read_takes_no_more_round_trips_than_a_successful_one(
    traced: tuple[Flask, Path], sync_job: Caller, account_id: str
) -> None:
    captured(sync_job, snapshot(str(uuid4()), account_id))
    app, trace = traced
    stranger = Caller(app, user_token(str(uuid4())))

    for path, status, trips in ((account_id, 403, 1), (str(uuid4()), 404, 1), ("no-uuid", 404, 0)):
        before = count_round_trips(trace)
        assert stranger.recent(path).status_code == status
        assert count_round_trips(trace) - before == trips
