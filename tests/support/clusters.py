"""New data directories for PostgreSQL, copied from one that is made once per run."""

import os
import shutil
from pathlib import Path

import psycopg

from tools import local, postgres

# The environment variable that tells the workers of a run where the original is.
CLUSTERS = "SNAPSHOTS_TEST_CLUSTERS"


def new_cluster(data: Path) -> Path:
    """Make a data directory as the first `make run` or `make stack` would, but without running initdb; return it.

    Its server runs without fsync and without full-page writes, because tests kill servers but never the machine.
    """
    original = _original()
    data.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(original / "postgres.schema", data.with_name(f"{data.name}.schema"))
    return Path(shutil.copytree(original / "postgres", data))


def _original() -> Path:
    folder = Path(os.environ[CLUSTERS])
    original = folder / "original"
    with postgres.exclusive_lock(folder):
        if not original.exists():
            unfinished = folder / "unfinished"
            with (
                local.embedded(unfinished / "postgres") as url,
                psycopg.connect(url, autocommit=True) as connection,
            ):
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("ALTER SYSTEM SET full_page_writes = off")
            unfinished.rename(original)
    return original
