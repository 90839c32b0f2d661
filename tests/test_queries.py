"""Every file of sql/queries: its head is true, it runs alone, its plans go by index and cost what they return."""

import inspect
import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest
from flask import Flask
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH
from psycopg.conninfo import make_conninfo

from config import Settings
from schemas.fields import SOURCES
from snapshots import queries
from tests.conftest import serving
from tests.support import Answer, Caller, captured, snapshot, user_token
from tools import demo, sql

Connection = psycopg.Connection[Any]

FILES = sorted(queries.DIRECTORY.glob("*.sql"))
READS = ["get_balance_history", "get_latest_snapshots", "list_recent_snapshots"]
# How many rows an example answers, on the demo portfolio, where it is not one.
ROWS = {
    "delete_accounts": 0,
    "insert_accounts": 0,
    "insert_imported_accounts": 0,
    "list_import_contradictions": 0,
    "lock_accounts": 5,
}
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def example(query: sql.Query) -> dict[str, str | None]:
    return {p.name: p.example for p in query.parameters}


# The files


@every_file
def test_a_file_has_one_function_of_its_name_that_takes_its_parameters(path: Path) -> None:
    function = getattr(queries, path.stem)

    connection, *parameters = inspect.signature(function).parameters
    assert connection == "connection"
    assert parameters == [p.name for p in sql.read(path).parameters]


@every_file
def test_a_statement_is_short_enough_for_psycopg_to_parse_it_once(path: Path) -> None:
    statement = queries._statement(path.stem)

    assert len(statement) <= MAX_CACHED_STATEMENT_LENGTH
    assert statement.startswith(f"-- {path.stem}\n".encode())
    assert b"--" not in statement[3:]


def test_every_file_is_named_by_a_verb_and_a_noun() -> None:
    assert {path.stem.partition("_")[0] for path in FILES} <= {
        "create",
        "delete",
        "get",
        "insert",
        "list",
        "lock",
        "mark",
        "match",
    }


@every_file
def test_a_file_holds_one_statement_that_casts_every_parameter(path: Path) -> None:
    query = sql.read(path)
    code = re.sub(r"--.*", "", query.statement)

    assert code.count(";") == 1
    types = {p.name: p.type for p in query.parameters}
    assert set(re.findall(r"%\((\w+)\)s(?:::(\w+(?:\[\])?))?", code)) == set(types.items())


@pytest.mark.parametrize("name", READS)
def test_a_read_names_the_user_and_the_account_wherever_it_reads_snapshots(name: str) -> None:
    statement = sql.read(queries.DIRECTORY / f"{name}.sql").statement
    _, *branches = re.split(r"(?:FROM|JOIN) balance_snapshots", statement)

    assert branches
    for branch in branches:
        condition = re.split(r"ORDER BY|UNION", branch)[0]
        assert re.search(r"user_id (=|IS NOT DISTINCT FROM) %\(user_id\)s::uuid", condition)
        assert "account_id = " in condition


@every_file
def test_a_file_plans_whatever_its_parameters(connection: Connection, path: Path) -> None:
    query = sql.read(path)
    make_room_for_import(connection, path)

    # A definition has no plan.
    explain = b"" if path.stem == "create_import" else b"EXPLAIN "
    connection.execute(explain + query.statement.encode(), dict.fromkeys(example(query)))


def make_room_for_import(connection: Connection, path: Path) -> None:
    """The table that statements about imports are about lives in their transaction."""
    if "import" in path.stem and path.stem != "create_import":
        queries.create_import(connection)


@every_file
def test_a_files_example_answers_exactly_its_declared_columns(connection: Connection, path: Path) -> None:
    demo.load(connection)
    query = sql.read(path)
    make_room_for_import(connection, path)

    cursor = connection.execute(query.statement.encode(), example(query))

    if not query.columns:
        assert cursor.description is None
        return
    assert cursor.description is not None
    types = connection.execute("SELECT typname, oid FROM pg_type").fetchall()
    names = {oid: {"bool": "boolean", "int8": "bigint"}.get(name, name) for name, oid in types}
    assert [(c.name, names[c.type_code]) for c in cursor.description] == [(c.name, c.type) for c in query.columns]
    assert cursor.rowcount == ROWS.get(path.stem, 1)


# Hit, miss, another owner


def one(connection: Connection, name: str, **changed: Any) -> Any:
    query = sql.read(queries.DIRECTORY / f"{name}.sql")
    return connection.execute(query.statement.encode(), example(query) | changed).fetchone()


@pytest.mark.parametrize("name", ["get_balance_history", "list_recent_snapshots"])
def test_a_read_of_an_account_answers_its_owner_alone(connection: Connection, name: str) -> None:
    demo.load(connection)

    is_owner, body = one(connection, name)
    assert (is_owner, json.loads(body)["total_count"] > 0) == (True, True)
    is_owner, body = one(connection, name, user_id=uuid4())
    assert (is_owner, json.loads(body)["snapshots"]) == (False, [])
    assert one(connection, name, account_id=uuid4()) is None


def test_latest_answers_each_user_with_their_own(connection: Connection) -> None:
    demo.load(connection)

    assert json.loads(one(connection, "get_latest_snapshots")[0])["total_count"] == len(demo.ACCOUNTS)
    assert json.loads(one(connection, "get_latest_snapshots", user_id=uuid4())[0])["snapshots"] == []


# Plans


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
    parameters = example(query) | {"user_id": OWNER} | changed
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


def round_trips(trace: Path) -> int:
    """How often the client waited for the server: each Sync and each simple Query is answered before the next."""
    return len(re.findall(r"\tF\t\d+\t(?:Sync|Query)\b", trace.read_text()))


def test_a_read_is_one_round_trip(traced: tuple[Flask, Path], sync_job: Caller, user_id: str, account_id: str) -> None:
    captured(sync_job, snapshot(user_id, account_id))
    app, trace = traced
    user = Caller(app, user_token(user_id))

    history, recent = partial(user.history, account_id), partial(user.recent, account_id)
    reads: list[Callable[[], Answer]] = [user.latest, history, recent]
    for read in reads:
        before = round_trips(trace)
        assert read().status_code == 200
        assert round_trips(trace) - before == 1


def test_a_refused_read_costs_no_more_than_one_that_is_answered(
    traced: tuple[Flask, Path], sync_job: Caller, account_id: str
) -> None:
    captured(sync_job, snapshot(str(uuid4()), account_id))
    app, trace = traced
    stranger = Caller(app, user_token(str(uuid4())))

    for path, status, trips in ((account_id, 403, 1), (str(uuid4()), 404, 1), ("no-uuid", 404, 0)):
        before = round_trips(trace)
        assert stranger.recent(path).status_code == status
        assert round_trips(trace) - before == trips


# The tool that runs a file alone


def test_a_file_runs_alone_in_psql(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], migrated_database_url: str
) -> None:
    with psycopg.connect(migrated_database_url) as connection:
        demo.load(connection)
    monkeypatch.setenv("DATABASE_URL", migrated_database_url)

    for path in (path for path in FILES if "import" not in path.stem):
        for command, sign in (("run", "row"), ("explain", "Execution Time")):
            with pytest.raises(SystemExit) as ended:
                sql.main([command, path.stem])
            assert ended.value.code == 0
            assert sign in capfd.readouterr().out


def test_a_file_runs_with_other_parameters_than_its_example(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], migrated_database_url: str
) -> None:
    with psycopg.connect(migrated_database_url) as connection:
        demo.load(connection)
    monkeypatch.setenv("DATABASE_URL", make_conninfo(migrated_database_url))

    with pytest.raises(SystemExit):
        sql.main(["run", "list_recent_snapshots", "limit=1", f"source={SOURCES[2]}"])

    assert '"total_count":1' in capfd.readouterr().out


@pytest.mark.parametrize("setting", ["limit", "nonsense=1"])
def test_a_parameter_that_is_none_is_answered_with_those_there_are(setting: str) -> None:
    with pytest.raises(SystemExit, match="user_id, account_id, limit, source"):
        sql.main(["run", "list_recent_snapshots", setting])


@pytest.mark.parametrize("arguments", [[], ["run"], ["run", "no_such_query"], ["drop", "get_latest_snapshots"]])
def test_an_unknown_query_is_answered_with_the_known_ones(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="get_latest_snapshots"):
        sql.main(arguments)
