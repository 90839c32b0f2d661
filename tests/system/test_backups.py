"""The commands of docs/operating.md that back the database up and restore it, run as they stand there."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest

from config import Settings
from tests.support import Caller, captured, correction, operating, snapshot, usd, user_token
from tests.support.apps import serving
from tests.support.clusters import new_cluster
from tests.support.role_database import SERVICE_PRIVILEGES, Database, database_url
from tools import postgres

TABLES = ("accounts", "balance_snapshots", "superseded_snapshots", "schema_migrations")
USER_ID, ACCOUNT_ID = str(uuid4()), str(uuid4())


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder with a path short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="snapshots-"))
    yield folder
    shutil.rmtree(folder)


def capture(settings: Settings, url: str, day: int) -> None:
    """Capture, as the service, a snapshot of a day that the database does not have."""
    with serving(replace(settings, database_url=url)) as app:
        sync_job = Caller(app, user_token("sync-job", scope="balance-snapshots:write"))
        (stored,) = captured(sync_job, snapshot(USER_ID, ACCOUNT_ID, captured_at=f"2025-01-{day:02}T00:00:00Z"))
        assert stored["status"] == "created"
        assert Caller(app, user_token(USER_ID)).recent(ACCOUNT_ID).json["total_count"] == day


def correct(settings: Settings, url: str, day: int) -> None:
    """Correct, as the service, the snapshot of a day."""
    item = snapshot(USER_ID, ACCOUNT_ID, captured_at=f"2025-01-{day:02}T00:00:00Z")
    with serving(replace(settings, database_url=url)) as app:
        (stored,) = captured(Caller(app, user_token("sync-job", scope="balance-snapshots:write")), item)
        corrector = Caller(app, user_token("support", scope="balance-snapshots:correct"))
        assert corrector.correct(correction(item, stored["id"], usd("1.00"))).status_code == 200


def contents(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    with psycopg.connect(url) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1".encode()).fetchall() for table in TABLES}


def test_a_dump_is_restored_on_another_server(settings: Settings, tmp_path: Path) -> None:
    with (
        postgres.running(new_cluster(tmp_path / "old" / "postgres")) as old_url,
        postgres.running(new_cluster(tmp_path / "new" / "postgres")) as new_url,
    ):
        old, new = Database(old_url), Database(new_url)
        old.deploy()
        for day in (1, 2):
            capture(settings, old.url("snapshots_service"), day)
        correct(settings, old.url("snapshots_service"), 1)
        operating.run("Dump", BACKUPS=str(tmp_path), OWNER_URL=old.url("snapshots_owner"))
        operating.run(
            "Restore a dump",
            BACKUPS=str(tmp_path),
            NEW_ADMIN_URL=new.url(new.administrator),
            NEW_OWNER_URL=new.url("snapshots_owner"),
        )

        assert contents(new.url()) == contents(old.url())
        assert new.privileges() == SERVICE_PRIVILEGES
        assert new.fetch("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'") == [
            ("snapshots_owner",)
        ]
        capture(settings, new.url("snapshots_service"), 3)


def test_a_server_is_restored_to_the_moment_before_a_mistake(settings: Settings, tmp_path: Path, sockets: Path) -> None:
    data = new_cluster(tmp_path / "old" / "postgres")
    variables = {"BACKUPS": str(tmp_path / "backups")}
    with postgres.running(data) as server_url:
        database = Database(server_url)
        database.deploy()
        operating.run("Archive WAL", SUPERUSER_URL=server_url, **variables)
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write(f"unix_socket_directories = '{sockets}'\n")

    with postgres.running(data) as server_url:
        service_url = database.url("snapshots_service")
        capture(settings, service_url, 1)
        operating.run("Base backup", SUPERUSER_URL=server_url, **variables)
        (base,) = (tmp_path / "backups").glob("base-*")
        capture(settings, service_url, 2)
        correct(settings, service_url, 1)
        before = contents(service_url)
        with psycopg.connect(database.url("snapshots_owner"), autocommit=True) as connection:
            (moment,) = connection.execute("SELECT clock_timestamp()::text").fetchone() or ("",)
            connection.execute("DELETE FROM balance_snapshots")

        restored_url = f"postgresql://snapshots@/postgres?host={quote(str(sockets), safe='')}"
        restored = tmp_path / "restored"
        try:
            operating.run(
                "Restore to a point in time",
                SUPERUSER_URL=server_url,
                RESTORED_URL=restored_url,
                RESTORE_UNTIL=moment,
                BASE=str(base),
                PGDATA=str(restored),
                **variables,
            )

            service_url = database_url(restored_url, "snapshots_service", database.name)
            assert contents(service_url) == before
            capture(settings, service_url, 3)
        finally:
            stop = [postgres.program("pg_ctl"), "stop", "--pgdata", str(restored), "--mode", "fast"]
            subprocess.run([*postgres.as_ordinary_user(), *stop], check=False, capture_output=True)
