"""Distributed databases for tests, on the Citus cluster whose coordinator TEST_CITUS_URL names."""

import contextlib
import os
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg

from tests.support import ROOT
from tools import postgres
from tools.migrate import migrate

CITUS = "TEST_CITUS_URL"
SKIPPED = f"{CITUS} names no Citus cluster"
DISTRIBUTE = ROOT / "deploy" / "citus.sql"


def coordinator_url() -> str | None:
    return os.environ.get(CITUS)


@contextlib.contextmanager
def distributed_database() -> Iterator[str]:
    """Create a migrated database on all nodes of the cluster, distribute it, and drop it afterwards."""
    coordinator = os.environ[CITUS]
    workers = _workers(coordinator)
    name = f"test_{uuid4().hex}"
    nodes = [coordinator, *(_with(coordinator, host=f"{host}:{port}") for host, port in workers)]
    url = _with(coordinator, database=name)
    with contextlib.ExitStack() as created:
        for node in nodes:
            _execute(node, f"CREATE DATABASE {name} TEMPLATE template0")
            created.callback(_execute, node, f"DROP DATABASE {name} WITH (FORCE)")
            _execute(_with(node, database=name), "CREATE EXTENSION citus")
        own = urlsplit(coordinator)
        _execute(url, f"SELECT citus_set_coordinator_host('{own.hostname}', {own.port})")
        for host, port in workers:
            _execute(url, f"SELECT citus_add_node('{host}', {port})")
        migrate(url)
        postgres.run_script(url, DISTRIBUTE)
        yield url


def _workers(coordinator: str) -> list[tuple[str, int]]:
    with psycopg.connect(coordinator) as connection:
        return connection.execute(
            "SELECT nodename, nodeport FROM pg_dist_node WHERE groupid <> 0 ORDER BY nodeport"
        ).fetchall()


def _with(url: str, host: str | None = None, database: str | None = None) -> str:
    scheme, location, path, query, fragment = urlsplit(url)
    account = location.rpartition("@")[0]
    if host:
        location = f"{account}@{host}" if account else host
    return urlunsplit((scheme, location, f"/{database}" if database else path, query, fragment))


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
