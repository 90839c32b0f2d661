"""Fixtures of the tests of the commands."""

from collections.abc import Iterator

import pytest

from tests.support.apps import patience


@pytest.fixture(autouse=True)
def patient() -> Iterator[None]:
    with patience():
        yield
