"""Fixtures of the tests of the commands."""

from collections.abc import Iterator

import pytest

from tests.support.apps import generous_database_timeouts


@pytest.fixture(autouse=True)
def generous_timeouts() -> Iterator[None]:
    with generous_database_timeouts():
        yield
