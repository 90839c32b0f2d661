"""Distributed databases for tests, on the Citus cluster whose coordinator TEST_CITUS_URL names."""

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg

from tests.support import ROOT, until
from tools import postgres
from tools.migrate import migrate

CITUS = "TEST_CITUS_URL"
SKIPPED = f"{CITUS} names no Citus cluster"
DISTRIBUTE = ROOT / "deploy" / "citus.sql"
ROLES = ROOT / "deploy" / "roles.sql"


def coordinator_url() -> str | None:
    return os.environ.get(CITUS)


def waiting_sessions() -> str:
    """Return a query for the sessions that wait for a lock, on any node."""
    sessions = "SELECT pid FROM pg_locks WHERE NOT granted"
    if coordinator_url():
        sessions += " UNION SELECT citus_pid_for_gpid(waiting_gpid) AS pid FROM citus_lock_waits"
    return sessions


class RoleUrls(NamedTuple):
    """The URLs of a database for the two roles of deploy/roles.sql."""

    owner: str
    service: str


@contextlib.contextmanager
def distributed_database() -> Iterator[str]:
    """Create a migrated database on all nodes of the cluster, distribute it, and drop it afterwards."""
    with _empty_database() as url:
        migrate(url)
        postgres.run_script(url, DISTRIBUTE)
        yield url


@contextlib.contextmanager
def deployed_database() -> Iterator[RoleUrls]:
    """Create a distributed database with the roles of production. The roles remain, and log in without a password."""
    with _empty_database() as url:
        postgres.run_script(url, ROLES)
        urls = RoleUrls(_with(url, user="snapshots_owner"), _with(url, user="snapshots_service"))
        migrate(urls.owner)
        postgres.run_script(urls.owner, DISTRIBUTE)
        yield urls


@contextlib.contextmanager
def _empty_database() -> Iterator[str]:
    coordinator = os.environ[CITUS]
    workers = _workers(coordinator)
    name = f"test_{uuid4().hex}"
    nodes = [coordinator, *(_with(coordinator, host=f"{host}:{port}") for host, port in workers)]
    url = _with(coordinator, database=name)
    with contextlib.ExitStack() as created:
        for node in nodes:
            _execute(node, f"CREATE DATABASE {name} TEMPLATE template0")
            created.callback(until, partial(_drop, node, name))
            _execute(_with(node, database=name), "CREATE EXTENSION citus")
        # One database at a time: adding a node changes roles, which all databases of a worker share.
        with psycopg.connect(coordinator, autocommit=True) as lock:
            lock.execute("SELECT pg_advisory_lock(hashtext('citus_add_node'))")
            own = urlsplit(coordinator)
            _execute(url, f"SELECT citus_set_coordinator_host('{own.hostname}', {own.port})")
            for host, port in workers:
                _execute(url, f"SELECT citus_add_node('{host}', {port})")
        yield url


def _workers(coordinator: str) -> list[tuple[str, int]]:
    with psycopg.connect(coordinator) as connection:
        return connection.execute(
            "SELECT nodename, nodeport FROM pg_dist_node WHERE groupid <> 0 ORDER BY nodeport"
        ).fetchall()


def _with(url: str, user: str | None = None, host: str | None = None, database: str | None = None) -> str:
    scheme, location, path, query, fragment = urlsplit(url)
    account, _, own_host = location.rpartition("@")
    location = f"{user or account}@{host or own_host}" if user or account else host or own_host
    return urlunsplit((scheme, location, f"/{database}" if database else path, query, fragment))


def _drop(node: str, name: str) -> bool:
    """Drop a database; return False if the cluster's own sessions have reconnected to it meanwhile."""
    try:
        _execute(node, f"DROP DATABASE {name} WITH (FORCE)")
    except psycopg.errors.ObjectInUse:
        return False
    return True


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
