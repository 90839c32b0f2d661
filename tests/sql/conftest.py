"""Fixtures of the tests of the SQL."""

from collections.abc import Iterator

import pytest

from tests.support.apps import patience


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    with patience():
        yield
