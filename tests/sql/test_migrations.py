"""Migrations: they produce the committed schema, run once, and later ones block nobody."""

import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from snapshots import MIGRATIONS
from tests.support import until
from tools import check_migrations, local, schema
from tools.migrate import migrate
from tools.postgres import PostgresError

Connection = psycopg.Connection[tuple[Any, ...]]

FILES = sorted(MIGRATIONS.glob("*.sql"))


def test_migrations_produce_the_committed_schema(migrated_database_url: str) -> None:
    assert schema.dump(migrated_database_url) == schema.SCHEMA.read_text()


def test_the_committed_schema_can_be_loaded(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(schema.SCHEMA.read_bytes())

    assert schema.dump(empty_database_url) == schema.SCHEMA.read_text()


def test_migrations_started_at_once_all_succeed_and_apply_each_file_once(
    empty_database_url: str, migrated_database_url: str
) -> None:
    """All are held up at the start of the first file: without waiting for one another they would collide."""
    with (
        ThreadPoolExecutor(8) as threads,
        psycopg.connect(empty_database_url) as obstacle,
        psycopg.connect(empty_database_url, autocommit=True) as observer,
    ):
        obstacle.execute("CREATE FUNCTION minor_unit(currency text) RETURNS integer LANGUAGE sql RETURN 1")
        pending = [threads.submit(migrate, empty_database_url) for _ in range(8)]
        wait_for_waiting_sessions(observer, 8)
        obstacle.rollback()
        done = [migration.result() for migration in pending]

    applied = re.findall(r"^Applied: (\S+)", "\n".join(done), re.MULTILINE)
    assert applied == [file.name for file in FILES]
    assert schema.dump(empty_database_url) == schema.dump(migrated_database_url)


def wait_for_waiting_sessions(observer: Connection, count: int) -> None:
    """Wait until this many sessions of the observer's database wait for a lock."""
    waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    until(lambda: observer.execute(waiting).rowcount == count)


def test_migrating_again_changes_nothing(migrated_database_url: str) -> None:
    before = schema.dump(migrated_database_url)

    assert migrate(migrated_database_url) == "The database is up to date."

    assert schema.dump(migrated_database_url) == before
    with psycopg.connect(migrated_database_url) as connection:
        versions = connection.execute("SELECT version FROM schema_migrations ORDER BY version").fetchall()
    assert versions == [(file.name.partition("_")[0],) for file in FILES]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_migration_goes_back(file: Path, connection: Connection) -> None:
    down = file.read_text().partition("-- migrate:down")[2]

    with pytest.raises(psycopg.errors.RaiseException, match="migrations only go forward"):
        connection.execute(down.encode())


# Later migrations, written while the service reads and writes


def later_migration(folder: Path, up: str, option: str = "") -> Path:
    """Write a migration that follows those of the service; return its path."""
    path = folder / "29991231235959_later.sql"
    refusal = "DO $$ BEGIN RAISE EXCEPTION 'migrations only go forward'; END $$;"
    path.write_text(f"-- migrate:up {option}\n{up}\n\n-- migrate:down {option}\n{refusal}\n")
    return path


TIMEOUTS = "SET LOCAL lock_timeout = '5s';\nSET LOCAL statement_timeout = '60s';\n"
INDEX = "CREATE INDEX CONCURRENTLY snapshots_by_time ON balance_snapshots (user_id, captured_at);"
CONSTRAINT = "ALTER TABLE balance_snapshots ADD CONSTRAINT a_constraint"


def test_the_migrations_pass_the_check() -> None:
    assert check_migrations.check(FILES)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX snapshots_by_time ON balance_snapshots (user_id, captured_at);",
        "CREATE UNIQUE INDEX one_id ON balance_snapshots (user_id, id);",
        "DROP INDEX balance_snapshots_natural_key;",
        "REINDEX TABLE balance_snapshots;",
        f"{CONSTRAINT} UNIQUE (user_id, id);",
        f"{CONSTRAINT} PRIMARY KEY (user_id, id);",
        f"{CONSTRAINT} CHECK (balance > 0);",
        f"{CONSTRAINT} FOREIGN KEY (user_id, account_id) REFERENCES accounts (user_id, id);",
        "ALTER TABLE balance_snapshots ADD COLUMN note text NOT NULL;",
        "ALTER TABLE balance_snapshots ADD COLUMN drawn uuid DEFAULT gen_random_uuid();",
        "ALTER TABLE balance_snapshots ALTER COLUMN cash_value SET NOT NULL;",
        "ALTER TABLE balance_snapshots ALTER COLUMN balance TYPE float8;",
    ],
)
def test_the_check_refuses_a_statement_that_blocks_reads_or_captures(statement: str, tmp_path: Path) -> None:
    assert not check_migrations.check([later_migration(tmp_path, TIMEOUTS + statement)])


def test_the_check_refuses_a_migration_that_would_wait_for_a_lock_without_end(tmp_path: Path) -> None:
    column = "ALTER TABLE balance_snapshots ADD COLUMN note text;"

    assert check_migrations.check([later_migration(tmp_path, TIMEOUTS + column)])
    assert not check_migrations.check([later_migration(tmp_path, column)])


def test_the_check_refuses_to_be_silenced_for_a_whole_file(tmp_path: Path) -> None:
    ignore = "-- squawk-ignore-file disallowed-unique-constraint, constraint-missing-not-valid\n"
    migration = later_migration(tmp_path, f"{ignore}{TIMEOUTS}{CONSTRAINT} UNIQUE (user_id, id);")

    assert not check_migrations.check([migration])


def test_an_index_is_built_concurrently_by_a_migration_without_a_transaction(
    migrated_database_url: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    migration = later_migration(folder, INDEX, "transaction:false")

    assert check_migrations.check([migration])
    assert migration.name in migrate(migrated_database_url, folder)
    with psycopg.connect(migrated_database_url) as connection:
        found = connection.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'snapshots_by_time'::regclass"
        ).fetchone()
    assert found == (True,)


def test_the_check_refuses_to_build_an_index_concurrently_in_a_transaction(tmp_path: Path) -> None:
    assert not check_migrations.check([later_migration(tmp_path, TIMEOUTS + INDEX)])


# The database that a machine keeps between runs


@pytest.fixture
def initial_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The initial migration in a copy of the migrations, which is used in their place."""
    folder = Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    monkeypatch.setattr(local, "MIGRATIONS", folder)
    return folder / FILES[0].name


def test_a_kept_database_is_used_when_only_comments_of_the_initial_migration_changed(
    initial_migration: Path, tmp_path: Path
) -> None:
    with local.embedded(tmp_path / "postgres"):
        pass
    initial_migration.write_text(f"-- A comment.\n{initial_migration.read_text()}")

    with local.embedded(tmp_path / "postgres") as url:
        psycopg.connect(url).close()


def test_a_kept_database_of_another_initial_migration_is_refused(initial_migration: Path, tmp_path: Path) -> None:
    with local.embedded(tmp_path / "postgres"):
        pass
    initial_migration.write_text(
        initial_migration.read_text().replace("cash_value numeric", "cash_value numeric(19, 4)")
    )

    with (
        pytest.raises(PostgresError, match="made by another version; delete it to start anew"),
        local.embedded(tmp_path / "postgres"),
    ):
        pass
