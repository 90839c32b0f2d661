"""The page of a real service, in a real browser."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page

from tests.support import SECRET, gunicorn_server, user_token
from tests.support.browser import opened
from tests.support.databases import database
from tools import demo

TIME_ZONE = "Europe/Berlin"
Open = Callable[..., Page]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with the demo portfolio."""
    with database() as url:
        with psycopg.connect(url) as connection:
            demo.load(connection)
        settings = {"DATABASE_URL": url, "JWT_SECRET_KEY": SECRET, "API_READ_LIMIT": "100000/minute"}
        with gunicorn_server.serving(tmp_path_factory.mktemp("service"), **settings) as server:
            yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="session")
def shared_service(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service on the database that the tests share, for users of a test's own."""
    settings = {"DATABASE_URL": database_url, "JWT_SECRET_KEY": SECRET}
    with gunicorn_server.serving(tmp_path_factory.mktemp("shared"), **settings) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def open_page(browser: Browser, service: str) -> Iterator[Open]:
    """Open the page with a user's token, or without one; the options are those of a browser context."""
    with ExitStack() as pages:

        def open_page(subject: str | None = demo.USER, base: str = service, **context: Any) -> Page:
            page = pages.enter_context(opened(browser, **{"timezone_id": TIME_ZONE, **context}))
            page.goto(f"{base}/" + (f"#token={user_token(subject)}" if subject else ""))
            return page

        yield open_page


@pytest.fixture
def page(open_page: Open) -> Page:
    """The page with the demo portfolio on it."""
    page = open_page()
    page.locator(".series canvas").last.wait_for()
    return page
