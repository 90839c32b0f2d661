"""Writes whose connection is lost: they start again only if their transaction had not begun."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest
from flask import Flask, Response

from config import Settings
from service import db
from service.auth import public
from service.connection import Connection
from tests.support import until
from tests.support.apps import serving


class Writer:
    """A request that registers an account, and loses the connections of its first attempts."""

    def __init__(self, app: Flask, admin: Connection) -> None:
        self.account_id = str(uuid4())
        self.attempts = 0
        self.lost_attempts = 1
        self.is_lost_in_transaction = False
        self._client = app.test_client()
        self._admin = admin

        @app.post("/write")
        @public
        def write() -> Response:
            db.write(self._register)
            return Response()

    def send(self) -> int:
        """Send the request; return its status."""
        return self._client.post("/write").status_code

    def is_registered(self) -> bool:
        return self._admin.execute("SELECT FROM accounts WHERE id = %s", [self.account_id]).rowcount == 1

    def _register(self, connection: Connection) -> None:
        self.attempts += 1
        if not self.is_lost_in_transaction:
            self._lose(connection)
        with connection.transaction():
            connection.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [self.account_id, str(uuid4())])
            if self.is_lost_in_transaction:
                self._lose(connection)

    def _lose(self, connection: Connection) -> None:
        if self.attempts <= self.lost_attempts:
            pid = connection.info.backend_pid
            self._admin.execute("SELECT pg_terminate_backend(%s)", [pid])
            until(lambda: self._admin.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).rowcount == 0)


@pytest.fixture
def writer(settings: Settings) -> Iterator[Writer]:
    with (
        serving(replace(settings, web_threads=2)) as app,
        Connection.connect(settings.database_url, autocommit=True) as admin,
    ):
        yield Writer(app, admin)


def test_a_write_starts_again_if_its_connection_is_lost_before_the_transaction_begins(writer: Writer) -> None:
    writer.lost_attempts = 2

    assert writer.send() == 200
    assert (writer.attempts, writer.is_registered()) == (3, True)


def test_a_write_is_not_repeated_if_its_connection_is_lost_in_the_transaction(writer: Writer) -> None:
    writer.is_lost_in_transaction = True

    assert writer.send() == 503
    assert (writer.attempts, writer.is_registered()) == (1, False)
