"""Migrate a database: run the pending files of sql/migrations with dbmate, then sql/grants.sql.

Several processes may start this at once: an advisory lock lets one work while the others wait.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from config import ConfigError
from snapshots import MIGRATIONS
from tools.local import database
from tools.postgres import PostgresError

GRANTS = MIGRATIONS.parent / "grants.sql"
WAIT_SECONDS = 10


class MigrationError(Exception):
    """The migration failed; the message says why."""


def migrate(database_url: str, migrations: Path = MIGRATIONS) -> str:
    """Migrate the database; return dbmate's report, for printing. Raises MigrationError."""
    command = [_dbmate(), "--migrations-dir", str(migrations), "--no-dump-schema", "--migration-lock", "migrate"]
    done = subprocess.run(
        command,
        # Every user of the machine can read command lines.
        env={**os.environ, "DATABASE_URL": _dbmate_url(database_url)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise MigrationError(f"The migration failed: {(done.stderr or done.stdout).strip()}")
    try:
        _grant(database_url)
    except psycopg.Error as error:
        raise MigrationError(f"The privileges of the service's role could not be granted: {error}") from None
    return done.stdout.strip() or "The database is up to date."


def _grant(database_url: str) -> None:
    """Grant the service's role its privileges, if the role exists: development and tests do without it."""
    with psycopg.connect(database_url, connect_timeout=WAIT_SECONDS) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'snapshots_service'").fetchone():
            # PostgreSQL fails one of two sessions that grant on the same table at the same time.
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('grants.sql'))")
            connection.execute(GRANTS.read_bytes())


def _dbmate() -> str:
    beside_python = Path(sys.executable).parent / "dbmate"
    return str(beside_python) if beside_python.exists() else shutil.which("dbmate") or "dbmate"


def _dbmate_url(database_url: str) -> str:
    """Return a URL for dbmate's driver, which supports fewer forms than libpq, from an open connection."""
    try:
        with psycopg.connect(database_url, connect_timeout=WAIT_SECONDS) as connection:
            info = connection.info
            is_encrypted = connection.pgconn.ssl_in_use
            options = {"host": info.host, "port": str(info.port)}
            account = quote(info.user, safe="") + (f":{quote(info.password, safe='')}" if info.password else "")
            database = quote(info.dbname, safe="")
    except psycopg.OperationalError as error:
        raise MigrationError(f"The database cannot be reached: {error}") from None
    parameters = {name: str(value) for name, value in conninfo_to_dict(database_url).items()}
    copied = ("sslrootcert", "sslcert", "sslkey", "options")
    options |= {name: parameters[name] for name in copied if name in parameters}
    mode = parameters.get("sslmode", "")
    options["sslmode"] = mode if mode.startswith("verify") else "require" if is_encrypted else "disable"
    return f"postgres://{account}@/{database}?{urlencode(options)}"


def main() -> None:
    """Migrate the database of DATABASE_URL, or the embedded one of `make run`."""
    try:
        with database() as url:
            print(migrate(url))
    except (ConfigError, MigrationError, PostgresError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
