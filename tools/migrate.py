"""Brings a database up to date: runs the files of sql/migrations that it does not have, with dbmate.

Several may start at once: an advisory lock lets one work while the others wait.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import psycopg

from tools.local import database

MIGRATIONS = Path(__file__).parent.parent / "sql" / "migrations"
WAIT_SECONDS = 10


class MigrationError(Exception):
    """The database is not up to date; the message says why."""


def migrate(database_url: str) -> str:
    """Migrates the database; what was done, in words. Raises MigrationError."""
    done = subprocess.run(
        [_dbmate(), "--url", _dbmate_url(database_url), "--migrations-dir", str(MIGRATIONS)]
        + ["--no-dump-schema", "--migration-lock", "migrate"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise MigrationError(f"The migration failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout.strip() or "The database is up to date."


def _dbmate() -> str:
    beside_python = Path(sys.executable).parent / "dbmate"
    return str(beside_python) if beside_python.exists() else shutil.which("dbmate") or "dbmate"


def _dbmate_url(database_url: str) -> str:
    """The URL with what libpq works out by itself and dbmate's driver does not: whether to encrypt."""
    try:
        with psycopg.connect(database_url, connect_timeout=WAIT_SECONDS) as connection:
            is_encrypted = connection.pgconn.ssl_in_use
    except psycopg.OperationalError as error:
        raise MigrationError(f"The database cannot be reached: {error}") from None
    scheme, host, path, query, fragment = urlsplit(database_url)
    options = {name: values[-1] for name, values in parse_qs(query).items()}
    options.setdefault("sslmode", "require" if is_encrypted else "disable")
    if options["sslmode"] in ("prefer", "allow"):
        options["sslmode"] = "require" if is_encrypted else "disable"
    return urlunsplit((scheme, host, path, urlencode(options), fragment))


def main() -> None:
    """Migrates the database of DATABASE_URL, or the embedded one of `make run`."""
    try:
        with database() as url:
            print(migrate(url))
    except MigrationError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
