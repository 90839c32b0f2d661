"""Fixtures of the tests of the service's parts."""

from collections.abc import Iterator

import pytest
from flask import Flask, Response

from config import Settings
from service.auth import public
from tests.support.apps import serving
from tests.support.printed_log import AMOUNT, Output, printing


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
