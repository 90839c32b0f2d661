"""Time and peak memory of importing and exporting a million rows, compared with psql's bare \\copy of the same file."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from config import with_overrides
from snapshots.rows import COLUMNS
from tools import local, postgres
from tools.migrate import migrate

ROOT = Path(__file__).parent.parent
ROWS = 1_000_000
ACCOUNTS = 1000
USER = "be000000-0000-4000-8000-0000000000bf"


def measure(folder: Path) -> list[dict[str, Any]]:
    """Return the seconds and peak mebibytes of each way, on a separate database."""
    rows = []
    with local.embedded(folder / "postgres-backfill") as url:
        migrate(url)
        file, out = folder / "backfill.csv", folder / "backfill.out"
        _write(file)
        environment = with_overrides(os.environ, DATABASE_URL=url, LOG_LEVEL="ERROR")
        flask = [sys.executable, "-m", "flask", "--app", "commands"]
        columns = ", ".join(COLUMNS)
        psql, _ = postgres.client("psql", url, "-q", "-v", "ON_ERROR_STOP=1")
        copy_in = f"\\copy balance_snapshots ({columns}) FROM '{file}' CSV HEADER"
        copy_out = f"\\copy (SELECT {columns} FROM balance_snapshots WHERE user_id = '{USER}') TO '{out}' CSV HEADER"
        ways = {
            "psql \\copy in": ([*psql, "-c", copy_in], True),
            "import": ([*flask, "snapshots", "import", str(file)], True),
            "import again": ([*flask, "snapshots", "import", str(file)], False),
            "export": ([*flask, "snapshots", "export", "--user", USER], False),
            "psql \\copy out": ([*psql, "-c", copy_out], False),
        }
        for way, (command, is_into_empty_table) in ways.items():
            if is_into_empty_table:
                _empty(url, keep_accounts="psql" in way)
            with out.open("wb") as output:
                seconds, mebibytes = _run(command, environment, output)
            rows.append({"way": way, "seconds": round(seconds, 1), "mebibytes": round(mebibytes)})
            if way == "export" and sum(1 for _ in out.open("rb")) != ROWS + 1:
                raise postgres.PostgresError("The export does not have as many rows as the import.")
        file.unlink()
        out.unlink()
    return rows


def _write(file: Path) -> None:
    """Write a file with hourly snapshots of a thousand accounts, each row with a different balance."""
    with file.open("w") as text:
        text.write(",".join(COLUMNS) + "\n")
        for number in range(ROWS):
            account = UUID(int=UUID(USER).int ^ (number % ACCOUNTS + 1) << 16)
            hour = number // ACCOUNTS
            at = f"2020-{hour // 672 + 1:02}-{hour // 24 % 28 + 1:02}T{hour % 24:02}:00:00Z"
            text.write(f"{USER},{account},{number}.25,,{number}.00,0.25,USD,account_sync,{at}\n")


def _empty(url: str, *, keep_accounts: bool) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("TRUNCATE balance_snapshots, accounts")
        if keep_accounts:
            # Unlike the import, COPY registers no accounts.
            accounts = [str(UUID(int=UUID(USER).int ^ (number + 1) << 16)) for number in range(ACCOUNTS)]
            connection.execute("INSERT INTO accounts SELECT unnest(%s::uuid[]), %s", [accounts, USER])
        connection.execute("VACUUM balance_snapshots")


def _run(command: list[str], environment: dict[str, str], output: Any) -> tuple[float, float]:
    """Run a command; return its seconds and its peak memory in mebibytes."""
    started_at = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.PIPE)
    assert process.stderr
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise postgres.PostgresError(errors.decode(errors="replace"))
    assert isinstance(usage, resource.struct_rusage)
    return time.monotonic() - started_at, usage.ru_maxrss / 1024
