"""Write sql/schema.sql: the schema after all migrations, for reading."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from snapshots import MIGRATIONS
from tools import postgres
from tools.migrate import migrate

SCHEMA = MIGRATIONS.parent / "schema.sql"
HEADER = "-- The schema after all migrations, for reading. Written by `make docs` and checked by a test.\n\n"
# PostgreSQL 15.20 sets this option on every column. Its own pg_dump omits it; others print it.
_COLUMN_VERSION = re.compile(r"ALTER TABLE ONLY \S+ ALTER COLUMN \S+ SET \(pg_attver=\d+\);")
# PostgreSQL 18 names these constraints, earlier versions do not.
_NAME_OF_NOT_NULL = re.compile(r"CONSTRAINT \w+_not_null (?=NOT NULL)")


def dump(database_url: str) -> str:
    """Return a database's schema from pg_dump, without the lines that differ between servers or runs."""
    options = ["--schema-only", "--no-owner", "--no-privileges", "--exclude-table=public.schema_migrations"]
    command, environment = postgres.client("pg_dump", database_url, *options)
    text = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    text = _NAME_OF_NOT_NULL.sub("", text)
    statements = [
        line
        for line in text.splitlines()
        if line
        and not line.startswith(("--", "SET ", "SELECT pg_catalog.set_config", "\\"))
        and not _COLUMN_VERSION.fullmatch(line)
    ]
    return HEADER + re.sub(r"(?<=;)\n(?=[A-Z])", "\n\n", "\n".join(statements)) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, postgres.running(Path(folder) / "postgres") as url:
        migrate(url)
        SCHEMA.write_text(dump(url))


if __name__ == "__main__":
    try:
        main()
    except postgres.PostgresError as error:
        sys.exit(str(error))
