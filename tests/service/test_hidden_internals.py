"""No problem reveals anything about the database, an exception or the code (rule 13)."""

from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from flask import Flask, Response, request
from werkzeug.test import TestResponse

from config import Settings
from service import db
from service.auth import public
from service.connection import Connection
from tests.support import SCOPE, Caller, snapshot, token, user_token
from tests.support.apps import serving
from tests.support.problems import problem

UNREACHABLE = "postgresql://marker-user:marker-password@127.0.0.1:1/marker-name"


@pytest.fixture(scope="module")
def failing(settings: Settings) -> Iterator[Flask]:
    """An app with views that fail: /raise, and /sql, which runs the statement in its body."""
    with serving(settings) as app:

        def execute(connection: Connection, statement: bytes) -> None:
            with connection.transaction():
                connection.execute(statement)

        @app.get("/raise")
        @public
        def fail_with_exception() -> Response:
            raise RuntimeError("marker: SELECT 1234.56 FROM snapshots")

        @app.post("/sql")
        @public
        def fail_in_database() -> Response:
            db.write(execute, request.get_data())
            return Response("it went well")

        yield app


def assert_reveals_nothing(response: TestResponse) -> None:
    """Fail if the response holds text of the database or of an exception, code, or an address."""
    text = f"{response.headers}{response.text}".lower()
    database = ("select", "insert", "relation", "statement", "transaction", "connection", "psycopg", "pool")
    for inner in ("marker", "1234.5", "traceback", ".py", "127.0.0.1", *database):
        assert inner not in text


def test_an_exception_is_a_500_that_reveals_nothing(failing: Flask) -> None:
    response = failing.test_client().get("/raise")
    problem(response, 500, "Internal Server Error")
    assert_reveals_nothing(response)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("SELECT marker FROM accounts", id="unknown column"),
        pytest.param("SELECT 'marker'::uuid", id="bad value"),
        pytest.param("SELECT 1234.5 / 0", id="division"),
        pytest.param("marker", id="syntax"),
        pytest.param("INSERT INTO accounts VALUES (gen_random_uuid(), NULL)", id="a row refused"),
        pytest.param(
            "CREATE TEMPORARY TABLE a (id int PRIMARY KEY); CREATE TEMPORARY TABLE marker (id int REFERENCES a);"
            " INSERT INTO marker VALUES (1234)",
            id="a reference refused",
        ),
        pytest.param("DO $$ BEGIN RAISE 'marker 1234.5'; END $$", id="raised"),
    ],
)
def test_a_statement_that_fails_is_a_500_that_reveals_nothing(failing: Flask, statement: str) -> None:
    response = failing.test_client().post("/sql", data=statement)
    problem(response, 500, "Internal Server Error")
    assert_reveals_nothing(response)


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("SELECT 1234.5 FROM marker", id="not migrated"),
        pytest.param("SELECT pg_terminate_backend(pg_backend_pid())", id="connection lost"),
        pytest.param("SET statement_timeout = 10; SELECT pg_sleep(9)", id="too slow"),
        pytest.param("SET transaction_read_only = on; DELETE FROM accounts", id="read-only"),
    ],
)
def test_a_database_that_cannot_serve_is_a_503_that_reveals_nothing(failing: Flask, statement: str) -> None:
    response = failing.test_client().post("/sql", data=statement)
    problem(response, 503, "Service Unavailable")
    assert int(response.headers["Retry-After"]) >= 1
    assert_reveals_nothing(response)


@pytest.fixture(scope="module")
def cut_off(settings: Settings) -> Iterator[Flask]:
    """An app whose database cannot be reached."""
    with serving(replace(settings, database_url=UNREACHABLE)) as app:
        yield app


@pytest.mark.usefixtures("brief_wait")
@pytest.mark.parametrize(
    "request_line", ["GET /api/v1/balance-snapshots", "POST /api/v1/balance-snapshots", "GET /readyz"]
)
def test_a_database_that_is_down_is_a_503_that_reveals_nothing(
    cut_off: Flask, user_id: str, account_id: str, request_line: str
) -> None:
    method, path = request_line.split()
    authorization = Caller(cut_off, user_token(user_id, scope=SCOPE)).authorization
    body = {"snapshots": [snapshot(user_id, account_id)]} if method == "POST" else None
    response = cut_off.test_client().open(path, method=method, headers=authorization, json=body)
    assert problem(response, 503, "Service Unavailable")["instance"] == path
    assert int(response.headers["Retry-After"]) >= 1
    assert_reveals_nothing(response)


def test_a_database_without_its_tables_is_a_503(settings: Settings, empty_database_url: str, user_id: str) -> None:
    with serving(replace(settings, database_url=empty_database_url)) as app:
        response = Caller(app, user_token(user_id)).latest()
    problem(response, 503, "Service Unavailable")
    assert_reveals_nothing(response)


def test_a_row_that_the_database_refuses_is_a_500_that_reveals_nothing(
    settings: Settings, migrated_database_url: str, user_id: str, account_id: str
) -> None:
    with psycopg.connect(migrated_database_url) as connection:
        connection.execute("ALTER TABLE balance_snapshots ADD CONSTRAINT marker CHECK (balance < 1)")
    with serving(replace(settings, database_url=migrated_database_url)) as app:
        response = Caller(app, token({"sub": "sync", "exp": 4102444800, "scope": SCOPE})).capture(
            snapshot(user_id, account_id, "1234.56")
        )
    problem(response, 500, "Internal Server Error")
    assert_reveals_nothing(response)
