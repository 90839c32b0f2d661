"""Imports that are interrupted, and run again."""

import signal
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support import PATIENCE_SECONDS, until
from tests.support.citus import waiting_sessions
from tests.support.command_line import Flasks, Stored, as_csv, series, started


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_import_that_is_interrupted_midway_stores_nothing_and_can_be_run_again(
    flask: Flasks,
    tmp_path: Path,
    stored: Stored,
    database_url: str,
    user_id: str,
    account_id: str,
    how: signal.Signals,
) -> None:
    """The import is interrupted while a lock keeps it from storing."""
    path = tmp_path / "long.csv"
    items = series(user_id, account_id, 28)
    path.write_text(as_csv(*items))
    with psycopg.connect(database_url) as other:
        other.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account_id, user_id])
        with started(database_url, "snapshots", "import", str(path)) as running:
            until(lambda: _waits(other, "INSERT INTO accounts"))
            running.send_signal(how)
            _, stderr = running.communicate(timeout=PATIENCE_SECONDS)
        other.rollback()

    assert running.returncode == (-9 if how == signal.SIGKILL else 130), stderr
    assert how == signal.SIGKILL or b"Nothing more was stored" in stderr
    until(lambda: stored() == [])
    assert flask("snapshots", "import", str(path)).returncode == 0
    assert stored() == as_stored(items)


def test_an_import_that_is_killed_while_it_reads_stores_nothing_and_can_be_run_again(
    flask: Flasks, tmp_path: Path, stored: Stored, database_url: str, user_id: str, account_id: str
) -> None:
    items = series(user_id, account_id, 28)
    content = as_csv(*items)
    with (
        psycopg.connect(database_url, autocommit=True) as other,
        started(database_url, "snapshots", "import", "-", stdin=subprocess.PIPE) as running,
    ):
        assert running.stdin
        # More than is read ahead, but not all of the file.
        running.stdin.write(content.encode() + content.partition("\n")[2].encode() * 100)
        running.stdin.flush()
        copies = "SELECT FROM pg_stat_activity WHERE query LIKE 'COPY import%' AND datname = current_database()"
        until(lambda: other.execute(copies).rowcount == 1)
        running.kill()
        running.communicate(timeout=PATIENCE_SECONDS)
        until(lambda: other.execute(copies + " AND state = 'active'").rowcount == 0)

    assert running.returncode == -signal.SIGKILL
    assert stored() == []
    (tmp_path / "again.csv").write_text(content)
    assert flask("snapshots", "import", str(tmp_path / "again.csv")).returncode == 0
    assert stored() == as_stored(items)


def as_stored(items: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (item["account_id"], datetime.fromisoformat(item["captured_at"]), item["source"], item["balance"])
        for item in items
    ]


def _waits(connection: psycopg.Connection[Any], statement: str) -> bool:
    waiting = (
        f"SELECT FROM pg_stat_activity WHERE pid IN ({waiting_sessions()}) AND query LIKE %s"
        " AND datname = current_database()"
    )
    count = connection.execute(waiting.encode(), [f"%{statement}%"]).rowcount
    connection.execute("SELECT pg_stat_clear_snapshot()")
    return count > 0
