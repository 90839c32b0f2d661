"""Fixtures of the tests of the service's parts."""

from collections.abc import Iterator

import pytest
from flask import Flask, Response

from config import Settings
from service import db
from service.auth import public
from tests.support.apps import generous_database_timeouts, serving
from tests.support.printed_log import AMOUNT, Output, printing


@pytest.fixture(autouse=True)
def generous_timeouts() -> Iterator[None]:
    with generous_database_timeouts():
        yield


@pytest.fixture
def brief_wait(generous_timeouts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make requests to an unreachable database fail soon."""
    monkeypatch.setattr(db, "WAIT_SECONDS", 0.1)


@pytest.fixture
def output(app: Flask) -> Iterator[Output]:
    with printing() as output:
        yield output


@pytest.fixture(scope="module")
def raising(settings: Settings) -> Iterator[Flask]:
    """An app with a view that raises an error whose message must not be shown."""
    with serving(settings) as app:

        @app.get("/raise")
        @public
        def fail() -> Response:
            raise RuntimeError(f"the balance is {AMOUNT}")

        yield app
