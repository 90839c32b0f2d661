"""A browser for the tests of pages, and a tab that they share."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.support import browser as browsers

# Not UTC, so that a page that confuses local time with UTC fails.
TIME_ZONE = "Europe/Berlin"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with browsers.running_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def shared_tab(browser: Browser) -> Iterator[Page]:
    """A tab that tests use one after the other; in a tab of its own each would take four times as long."""
    with browsers.new_context(browser, timezone_id=TIME_ZONE) as context:
        yield context.new_page()


@pytest.fixture
def tab(shared_tab: Page) -> Iterator[Page]:
    """An empty tab; what is loaded into it must report no error."""
    with browsers.clean_tab(shared_tab) as tab:
        yield tab
        tab.emulate_media(color_scheme="light")
