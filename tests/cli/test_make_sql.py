"""`make sql` and `make explain`: every query runs by itself, with its example or with other parameters."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from schemas.fields import SOURCES
from snapshots.statements import DIRECTORY
from tests.support import ROOT
from tests.support.citus import coordinator_url
from tests.support.running import clean_environ
from tools import sql

NAMES = sorted(path.stem for path in DIRECTORY.glob("*.sql"))
every_query = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def portfolio(monkeypatch: pytest.MonkeyPatch, portfolio_url: str) -> str:
    """The database that the tool uses."""
    monkeypatch.setenv("DATABASE_URL", make_conninfo(portfolio_url))
    return portfolio_url


def contents(url: str) -> list[tuple[Any, ...]]:
    """Return the number of rows of each user, by table."""
    tables = ("accounts", "balance_snapshots", "superseded_snapshots")
    counts = " UNION ALL ".join(
        f"SELECT '{table}', user_id, count(*) FROM {table} GROUP BY user_id" for table in tables
    )
    with psycopg.connect(url) as connection:
        return sorted(connection.execute(counts.encode()).fetchall())


@every_query
def test_a_query_runs_by_itself_and_changes_nothing(
    name: str, portfolio: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(portfolio)

    sql.main(["run", name])

    columns = [column.name for column in sql.read(DIRECTORY / f"{name}.sql").columns]
    printed = capsys.readouterr().out
    if columns:
        assert all(list(row) == columns for row in json.loads(printed))
    else:
        assert printed.strip() in ("done", "0 rows")
    assert contents(portfolio) == before


@pytest.mark.skipif(
    bool(coordinator_url()), reason="a cluster does not explain statements that write; tests/citus explains the others"
)
@every_query
def test_a_query_shows_the_plan_that_ran(name: str, portfolio: str, capsys: pytest.CaptureFixture[str]) -> None:
    sql.main(["explain", name])

    assert "Execution Time" in capsys.readouterr().out


def test_a_response_is_printed_as_indented_json(portfolio: str, capsys: pytest.CaptureFixture[str]) -> None:
    sql.main(["run", "list_recent_snapshots"])

    printed = capsys.readouterr().out
    (row,) = json.loads(printed)
    assert len(row["body"]["snapshots"]) == 5
    assert max(map(len, printed.splitlines())) < 100


def test_a_query_runs_with_parameters_other_than_its_examples(
    portfolio: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sql.main(["run", "list_recent_snapshots", "limit=1", f"source={SOURCES[2]}"])

    (row,) = json.loads(capsys.readouterr().out)
    assert [snapshot["source"] for snapshot in row["body"]["snapshots"]] == [SOURCES[2]]


@pytest.fixture(scope="module")
def examples() -> dict[str, str]:
    """The examples that `make help` shows, by command."""
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {
        command: f"{query} {values}"
        for command, query, values in re.findall(
            r"^  make (sql|explain) .*: (Q=\w+) \[(SET=.*)\]$", listed, re.MULTILINE
        )
    }


def test_the_example_of_make_sql_in_make_help_works_before_the_first_make_run(
    examples: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        ["bash", "-c", f"make -s sql VENV={sys.prefix} {examples['sql']}"],
        cwd=ROOT,
        env={**clean_environ(), "STATE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    (row,) = json.loads(done.stdout)
    assert len(row["body"]["snapshots"]) == 3


def test_the_example_of_make_explain_in_make_help_shows_a_plan(
    examples: dict[str, str], portfolio: str, capsys: pytest.CaptureFixture[str]
) -> None:
    query, values = (word.partition("=")[2] for word in shlex.split(examples["explain"]))

    sql.main(["explain", query, *values.split()])

    assert "Execution Time" in capsys.readouterr().out


@pytest.mark.parametrize("setting", ["limit", "nonsense=1"])
def test_an_unknown_parameter_is_refused_with_a_list_of_the_known_ones(setting: str) -> None:
    with pytest.raises(SystemExit, match="user_id, account_id, limit, source"):
        sql.main(["run", "list_recent_snapshots", setting])


@pytest.mark.parametrize("arguments", [[], ["run"], ["run", "no_such_query"], ["drop", "get_latest_snapshots"]])
def test_an_unknown_query_is_refused_with_a_list_of_the_known_ones(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="get_latest_snapshots"):
        sql.main(arguments)


def test_a_value_that_its_type_does_not_accept_is_reported_in_one_line(portfolio: str) -> None:
    with pytest.raises(SystemExit, match='invalid input syntax for type integer: "some"'):
        sql.main(["run", "list_recent_snapshots", "limit=some"])
