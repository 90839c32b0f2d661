"""The flask command itself: its settings, its logs, its connections, and how it reports errors."""

import csv
import io
import json
import subprocess
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from tests.support import ROOT, Caller, captured, until
from tests.support.citus import coordinator_url
from tests.support.command_line import (
    SYSTEM_FAULT,
    USAGE,
    Flasks,
    as_csv,
    command,
    environ,
    in_process,
    series,
    started,
)
from tests.support.running import clean_environ


def test_commands_need_no_setting_but_a_database_url(
    migrated_database_url: str, tmp_path: Path, user_id: str, account_id: str
) -> None:
    path = tmp_path / "balances.csv"
    path.write_text(as_csv(*series(user_id, account_id)))
    environment = {**clean_environ(), "DATABASE_URL": migrated_database_url}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            command(*arguments), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=True
        )
        return done.stdout

    assert run("snapshots", "import", str(path)) == ""
    assert len(run("snapshots", "export", "--user", user_id).splitlines()) == 4
    assert run("users", "erase", user_id, "--yes") == "Removed 1 accounts and 3 snapshots.\n"


def test_bad_settings_are_a_usage_error_with_a_line_for_each() -> None:
    done = subprocess.run(
        command("snapshots", "export", "--user", str(uuid4())),
        cwd=ROOT,
        env=clean_environ() | {"LOG_LEVEL": "LOUD"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert (done.returncode, done.stdout) == (USAGE, "")
    first, *lines = done.stderr.splitlines()
    assert first == "The command cannot run:"
    assert [line.partition(", ")[0] for line in lines] == [
        "DATABASE_URL: Missing data for required field.",
        "LOG_LEVEL: Must be one of: DEBUG",
    ]


def test_a_command_logs_on_standard_error_and_leaves_standard_output_to_its_result(database_url: str) -> None:
    """`flask shell` runs the statements that it reads, in the app that all commands use."""
    statements = [
        "import logging, structlog",
        "logging.getLogger('psycopg.pool').warning('from a library')",
        "structlog.get_logger('service.limits').warning('from the service')",
        "print('the result')",
    ]

    done = subprocess.run(
        command("shell"),
        input="\n".join(statements) + "\n",
        cwd=ROOT,
        env=environ(database_url),
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )

    assert "the result" in done.stdout
    assert "from a" not in done.stdout
    logged = [json.loads(line[line.index("{") :]) for line in done.stderr.splitlines() if '"event"' in line]
    assert [line["event"] for line in logged] == ["from a library", "from the service"]


def test_an_import_opens_one_connection(migrated_database_url: str) -> None:
    # A cluster has sessions of its own, on all of its nodes.
    sessions = (
        "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend' AND application_name NOT LIKE 'citus%'"
    )
    with (
        started(migrated_database_url, "snapshots", "import", "-", stdin=subprocess.PIPE),
        psycopg.connect(migrated_database_url, autocommit=True) as observer,
    ):
        # The import reads its input, so all of its connections are open.
        copies = f"SELECT {sessions} AND query LIKE 'COPY import%%'"
        until(lambda: observer.execute(copies).rowcount == 1)
        opened = observer.execute(f"SELECT count(*) {sessions}").fetchone()

    assert opened == (1,)


def test_an_export_over_the_only_connection_that_its_role_may_have_is_complete(
    database_url: str, sync_job: Caller, user_id: str, account_id: str
) -> None:
    captured(sync_job, *series(user_id, account_id))
    role = f"exporter_{uuid4().hex}"
    sessions = "SELECT FROM pg_stat_activity WHERE usename = %s"
    exports = []
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'pw' CONNECTION LIMIT 1".encode())
        try:
            admin.execute(f"GRANT SELECT ON balance_snapshots, superseded_snapshots TO {role}".encode())
            parts = urlsplit(database_url)
            url = parts._replace(netloc=f"{role}:pw@{parts.netloc.rpartition('@')[2]}").geturl()
            for _ in range(3):
                exports.append(in_process(url)("snapshots", "export", "--user", user_id))
                # The server still counts a session that has just ended.
                until(lambda: admin.execute(sessions, [role]).rowcount == 0)
        finally:
            admin.execute(f"DROP OWNED BY {role}".encode())
            admin.execute(f"DROP ROLE {role}".encode())

    for export in exports:
        assert (export.returncode, export.stderr) == (0, "3 snapshots\n")
        assert len(list(csv.reader(io.StringIO(export.stdout)))) == 4


def test_a_database_error_names_tables_and_constraints_without_shard_numbers(
    migrated_database_url: str, user_id: str, account_id: str
) -> None:
    # A cluster appends the number itself; on one server the name already has one.
    name = "is_small" if coordinator_url() else "is_small_102008"
    with psycopg.connect(migrated_database_url, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE balance_snapshots ADD CONSTRAINT {name} CHECK (balance < 100)".encode())

    done = in_process(migrated_database_url)("snapshots", "import", "-", stdin=as_csv(*series(user_id, account_id)))

    assert done.returncode == SYSTEM_FAULT
    assert done.stderr.splitlines()[-1] == (
        'Database error: new row for relation "balance_snapshots" violates check constraint "is_small".'
        " Nothing more was stored."
    )


@pytest.mark.parametrize(("start", "end"), [("2026-01-01", "2025-01-01"), ("2025-01-01", "2025-01-01T00:00:00Z")])
def test_an_export_of_a_range_that_does_not_end_after_its_start_is_a_usage_error(
    flask: Flasks, start: str, end: str
) -> None:
    done = flask("snapshots", "export", "--user", str(uuid4()), "--start", start, "--end", end)

    assert (done.returncode, done.stdout) == (USAGE, "")
    assert "Invalid value for '--start': Must be before --end." in done.stderr
