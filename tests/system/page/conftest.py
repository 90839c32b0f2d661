"""The page of a real service, in a real browser."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page

from tests.support import LATEST, PATIENCE_SECONDS, SCOPE, SECRET, gunicorn_server, user_token
from tools import demo

Open = Callable[..., Page]
Capture = Callable[..., None]


@pytest.fixture(scope="session")
def service(portfolio_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with the demo portfolio, which tests leave as it is."""
    settings = {"DATABASE_URL": portfolio_url, "JWT_SECRET_KEY": SECRET, "API_READ_LIMIT": "100000/minute"}
    with gunicorn_server.serving(tmp_path_factory.mktemp("service"), **settings) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def capture(service: str) -> Capture:
    """Capture snapshots, for users of the test's own."""

    def send(*snapshots: Mapping[str, Any]) -> None:
        body = json.dumps({"snapshots": snapshots}).encode()
        bearer = user_token("sync-job", scope=SCOPE)
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        with urlopen(Request(service + LATEST, body, headers), timeout=PATIENCE_SECONDS) as response:
            assert response.status == 201

    return send


def address(base: str, subject: str | None = demo.USER) -> str:
    """Return the address of the page with a user's token, or without one."""
    return f"{base}/" + (f"#token={user_token(subject)}" if subject else "")


@pytest.fixture
def open_page(tab: Page, service: str) -> Open:
    """Open the page with a user's token, or without one."""

    def open_page(subject: str | None = demo.USER, base: str = service) -> Page:
        tab.goto(address(base, subject))
        return tab

    return open_page


@pytest.fixture
def page(open_page: Open) -> Page:
    """The page with the demo portfolio on it."""
    page = open_page()
    page.locator(".series canvas").last.wait_for()
    return page
