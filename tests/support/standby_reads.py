"""Apps that read from standbys, and checks of the database that answers."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

from flask import Flask

from config import Settings
from service import db
from service.connection import Connection
from tests.support import Caller, until, user_token
from tests.support.apps import serving
from tests.support.postgres_server import PostgresServer

THREADS = 4
# A busy machine may exceed a limit of the service by this much.
SLACK_SECONDS = 5


@contextmanager
def reading_from(settings: Settings, primary: PostgresServer, hosts: str, **options: str) -> Iterator[Flask]:
    """Create an app that reads from the standbys on these hosts, and wait until it does."""
    query = {"host": hosts, "target_session_attrs": "standby", **options}
    url = f"postgresql://snapshots@/postgres?{urlencode(query, quote_via=quote)}"
    with serving(replace(settings, database_url=primary.url, read_database_url=url, web_threads=THREADS)) as app:
        until(lambda: is_read_from_standby(app))
        yield app


def read_with(app: Flask, query: Callable[[Connection], Any], **headers: str) -> Any:
    """Return what a query returns as a read of the service."""
    with app.test_request_context("/healthz", headers=headers):
        app.preprocess_request()
        return db.read(query)


def is_read_from_standby(app: Flask, **headers: str) -> bool:
    return bool(
        read_with(app, lambda connection: connection.execute("SELECT pg_is_in_recovery()").fetchone(), **headers)[0]
    )


@contextmanager
def no_failed_reads(app: Flask) -> Iterator[None]:
    """Keep reading in all threads until the context ends; fail unless each read succeeded within its deadline."""
    ended = threading.Event()

    def reads(_: int) -> list[tuple[int, float]]:
        user = Caller(app, user_token(str(uuid4())))
        responses = []
        # Leaves the cores to the servers that start.
        while not ended.wait(0.02):
            started_at = time.monotonic()
            responses.append((user.latest().status_code, time.monotonic() - started_at))
        return responses

    with ThreadPoolExecutor(THREADS) as threads:
        readers = [threads.submit(reads, n) for n in range(THREADS)]
        try:
            yield
        finally:
            ended.set()
    responses = [response for reader in readers for response in reader.result()]
    assert {status for status, _ in responses} == {200}
    assert max(seconds for _, seconds in responses) < db.DEADLINE_SECONDS + SLACK_SECONDS
