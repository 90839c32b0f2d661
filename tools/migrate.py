"""Bring a database up to date: run the files of sql/migrations that it lacks, with dbmate, then sql/grants.sql.

Several may start at once: an advisory lock lets one work while the others wait.
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
    """The database is not up to date; the message says why."""


def migrate(database_url: str, migrations: Path = MIGRATIONS) -> str:
    """Migrate the database; return what was done, in words. Raises MigrationError."""
    command = [_dbmate(), "--migrations-dir", str(migrations), "--no-dump-schema", "--migration-lock", "migrate"]
    done = subprocess.run(
        command,
        # Not on the command line, which everybody on the machine can read.
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
        raise MigrationError(f"The service's rights could not be granted: {error}") from None
    return done.stdout.strip() or "The database is up to date."


def _grant(database_url: str) -> None:
    """Give the serving role its rights, where there is one: development and tests do without."""
    with psycopg.connect(database_url, connect_timeout=WAIT_SECONDS) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'snapshots_service'").fetchone():
            # Of two sessions that grant rights on one table at the same time, PostgreSQL fails one.
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('grants.sql'))")
            connection.execute(GRANTS.read_bytes())


def _dbmate() -> str:
    beside_python = Path(sys.executable).parent / "dbmate"
    return str(beside_python) if beside_python.exists() else shutil.which("dbmate") or "dbmate"


def _dbmate_url(database_url: str) -> str:
    """A URL for dbmate's driver, which reads fewer forms than libpq does: of the connection that libpq made."""
    try:
        with psycopg.connect(database_url, connect_timeout=WAIT_SECONDS) as connection:
            info = connection.info
            is_encrypted = connection.pgconn.ssl_in_use
            options = {"host": info.host, "port": str(info.port)}
            account = quote(info.user, safe="") + (f":{quote(info.password, safe='')}" if info.password else "")
            database = quote(info.dbname, safe="")
    except psycopg.OperationalError as error:
        raise MigrationError(f"The database cannot be reached: {error}") from None
    given = {name: str(value) for name, value in conninfo_to_dict(database_url).items()}
    options |= {name: given[name] for name in ("sslrootcert", "sslcert", "sslkey", "options") if name in given}
    mode = given.get("sslmode", "")
    options["sslmode"] = mode if mode.startswith("verify") else "require" if is_encrypted else "disable"
    return f"postgres://{account}@/{database}?{urlencode(options)}"


def main() -> None:
    """Migrates the database of DATABASE_URL, or the embedded one of `make run`."""
    try:
        with database() as url:
            print(migrate(url))
    except (ConfigError, MigrationError, PostgresError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
