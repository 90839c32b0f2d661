"""Snapshots written to files by `flask snapshots export`, and users removed by `flask users erase`."""

import csv
import io
import json
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from flask import Flask

from snapshots.rows import COLUMNS
from tests.support import Caller, captured, snapshot, user_token
from tests.support.command_line import SYSTEM_FAULT, USAGE, Flasks, Stored, in_process, series
from tools import demo

# Export


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_exported_snapshots_are_imported_back_unchanged(migrated_database_url: str, tmp_path: Path, form: str) -> None:
    with psycopg.connect(migrated_database_url) as connection:
        demo.load(connection)
    flask = in_process(migrated_database_url)
    exported = flask("snapshots", "export", "--user", demo.USER, "--format", form)
    path = tmp_path / f"demo.{form}"
    path.write_text(exported.stdout, newline="")

    imported = flask("snapshots", "import", str(path))
    again = flask("snapshots", "export", "--user", demo.USER, "--format", form)

    assert imported.returncode == 0, imported.stderr
    assert len(exported.stdout.splitlines()) == 2302 + (form == "csv")
    assert again.stdout == exported.stdout


def test_an_export_holds_the_requested_snapshots(
    flask: Flasks, sync_job: Caller, user_id: str, account_id: str
) -> None:
    items = series(user_id, account_id, 5)
    items[2]["source"] = "manual_sync"
    captured(sync_job, *items, snapshot(user_id, str(uuid4())), snapshot(str(uuid4()), str(uuid4())))

    def exported(*options: str) -> list[str]:
        done = flask("snapshots", "export", "--user", user_id.upper(), *options, "--format", "ndjson")
        assert done.returncode == 0, done.stderr
        return [json.loads(line)["captured_at"][8:10] for line in done.stdout.splitlines()]

    assert len(exported()) == 6
    assert exported("--account", account_id) == ["01", "02", "03", "04", "05"]
    span = ["--account", account_id, "--start", "2025-01-02", "--end", "2025-01-04"]
    assert exported(*span) == ["02", "03", "04"]
    assert exported(*span, "--source", "manual_sync") == ["03"]
    assert flask("snapshots", "export", "--user", "nobody").returncode == USAGE
    assert flask("snapshots", "export", "--user", str(uuid4())).stdout.strip() == ",".join(COLUMNS)


def test_all_times_of_an_exported_csv_file_have_one_form_and_are_imported_as_duplicates(
    flask: Flasks, sync_job: Caller, tmp_path: Path, user_id: str, account_id: str
) -> None:
    times = ("2025-01-01T00:00:00Z", "2025-01-01T00:00:01.5Z")
    captured(sync_job, *(snapshot(user_id, account_id, captured_at=time) for time in times))

    exported = flask("snapshots", "export", "--user", user_id).stdout

    column = COLUMNS.index("captured_at")
    assert [row[column] for row in csv.reader(io.StringIO(exported))][1:] == [
        "2025-01-01T00:00:00.000000Z",
        "2025-01-01T00:00:01.500000Z",
    ]
    path = tmp_path / "exported.csv"
    path.write_text(exported)
    assert "2 rows, 0 new, 2 duplicates" in flask("snapshots", "import", str(path)).stderr


def test_the_times_of_an_exported_ndjson_file_are_those_of_the_api(
    flask: Flasks, sync_job: Caller, user_id: str, account_id: str
) -> None:
    times = ["2025-01-01T00:00:00Z", "2025-01-01T00:00:01.500000Z"]
    captured(sync_job, *(snapshot(user_id, account_id, captured_at=time) for time in times))

    exported = flask("snapshots", "export", "--user", user_id, "--format", "ndjson").stdout

    assert [json.loads(line)["captured_at"] for line in exported.splitlines()] == times


# Erase


def test_erasing_a_user_leaves_nothing_of_them_and_everything_of_others(
    flask: Flasks, sync_job: Caller, user: Caller, app: Flask, stored: Stored, user_id: str, account_id: str
) -> None:
    other_user = str(uuid4())
    captured(sync_job, *series(user_id, account_id), snapshot(user_id, str(uuid4())))
    captured(sync_job, snapshot(other_user, str(uuid4())))

    done = flask("users", "erase", user_id, "--yes")

    assert (done.returncode, done.stdout) == (0, "Removed 2 accounts and 4 snapshots.\n")
    assert stored() == []
    assert user.recent(account_id).status_code == 404
    assert Caller(app, user_token(other_user)).latest().json["total_count"] == 1


def test_an_erasure_that_fails_midway_removes_nothing(
    flask: Flasks, database_url: str, sync_job: Caller, stored: Stored, user_id: str, account_id: str
) -> None:
    captured(sync_job, *series(user_id, account_id))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''No.''; END'"
        )
        # Without this a cluster refuses triggers; one server ignores it.
        connection.execute("SET citus.enable_unsafe_triggers = on")
        connection.execute("CREATE TRIGGER fails BEFORE DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION fail()")
        try:
            done = flask("users", "erase", user_id, "--yes")
        finally:
            connection.execute("DROP TRIGGER fails ON accounts")
            connection.execute("DROP FUNCTION fail")

    assert done.returncode == SYSTEM_FAULT
    assert "Nothing was removed." in done.stderr
    assert len(stored()) == 3


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 3), ("", 1, 3)])
def test_erasing_asks_for_confirmation_first(
    flask: Flasks, sync_job: Caller, stored: Stored, user_id: str, account_id: str, answer: str, code: int, left: int
) -> None:
    captured(sync_job, *series(user_id, account_id))

    assert flask("users", "erase", user_id, stdin=answer).returncode == code
    assert len(stored()) == left
