"""A browser for the tests of pages."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support import browser as browsers


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with browsers.launched() as browser:
        yield browser
