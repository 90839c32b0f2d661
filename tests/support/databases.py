"""Databases of tests, on the one server of a run."""

import contextlib
import os
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg

from tests.support.citus import coordinator_url, distributed_database

# The environment variables that hand the server and the migrated template to the workers of a run.
SERVER = "SNAPSHOTS_TEST_SERVER_URL"
TEMPLATE = "SNAPSHOTS_TEST_TEMPLATE"


def execute(server_url: str, statement: str) -> None:
    """Execute a statement outside a transaction."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(statement.encode())


def with_database(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    scheme, host, _, query, fragment = urlsplit(url)
    return urlunsplit((scheme, host, f"/{name}", query, fragment)).replace(f"{scheme}:/{name}", f"{scheme}:///{name}")


@contextlib.contextmanager
def database(template: str | None = None) -> Iterator[str]:
    """Create a database of the caller's own, migrated unless another template is named, and drop it afterwards.

    A migrated one is distributed if there is a cluster to distribute it on.
    """
    if template is None and coordinator_url():
        with distributed_database() as url:
            yield url
        return
    template = template or os.environ[TEMPLATE]
    server_url = os.environ[SERVER]
    name = f"test_{uuid4().hex}"
    # Copying the files takes a fifth of the CPU time that writing each page to the WAL takes.
    execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield with_database(server_url, name)
    finally:
        execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")
