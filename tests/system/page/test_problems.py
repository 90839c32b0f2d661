"""The page when there is nothing to show, or when the service fails or refuses a request."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.support import API, SECRET, gunicorn_server, user_token
from tests.support.browser import needs_browser
from tests.system.page.conftest import Open
from tools import demo

pytestmark = needs_browser


def fill(page: Page, token: str) -> None:
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Show accounts").click()


def test_an_empty_portfolio_says_so(open_page: Open) -> None:
    page = open_page(str(uuid4()))

    expect(page.get_by_role("heading", name="No accounts yet")).to_be_visible()
    expect(page.get_by_role("button", name="Refresh")).to_be_visible()
    expect(page.locator("#portfolio")).to_be_hidden()


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("not a token", "Send a bearer token in the Authorization header."),
        ("a.b.c", "The token is not valid."),
    ],
    ids=["malformed", "invalid"],
)
def test_a_refused_token_is_explained_and_another_one_asked_for(open_page: Open, token: str, reason: str) -> None:
    page = open_page(None)
    fill(page, token)

    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(f"{reason} Paste a new token.")
    expect(alert.get_by_role("button")).to_have_count(0)
    expect(page.get_by_label("Access token")).to_be_focused()


def test_a_token_that_expires_while_the_page_is_open_clears_it(page: Page) -> None:
    expired = user_token(demo.USER, exp=int(time.time()) - 60)
    # Replaces the page's token with one that has expired, because waiting for that takes long.
    page.route(
        f"**{API}/**",
        lambda route: route.continue_(headers={**route.request.headers, "authorization": f"Bearer {expired}"}),
    )
    page.get_by_role("button", name="Refresh").click()

    expect(page.get_by_role("alert")).to_contain_text("The token has expired.")
    assert page.locator(".series, #accounts tbody tr").count() == 0
    page.unroute_all()


def test_the_page_says_when_to_try_again_after_too_many_reads(
    open_page: Open, tmp_path: Path, portfolio_url: str
) -> None:
    limit = {"DATABASE_URL": portfolio_url, "JWT_SECRET_KEY": SECRET, "API_READ_LIMIT": "3/hour"}
    with gunicorn_server.serving(tmp_path, **limit) as server:
        page = open_page(base=f"http://127.0.0.1:{server.port}")
        expect(page.get_by_role("article", name="USD")).to_be_visible()
        page.get_by_role("button", name="Refresh").click()

        alert = page.get_by_role("alert")
        expect(alert).to_contain_text("Too many reads")
        expect(alert).to_contain_text(
            re.compile(r"3 reads per hour.+ possible in [\d,]+ seconds\. Try again at \d\d:\d\d:\d\d\.")
        )
        again = alert.get_by_role("button", name=re.compile(r"Try again in \d+ s"))
        expect(again).to_be_disabled()
        # Earlier figures stay on the page.
        expect(page.get_by_role("article", name="USD")).to_be_visible()


@pytest.fixture
def set_offline(page: Page) -> Iterator[Callable[[bool], None]]:
    """Cut the browser off from the network, or reconnect it."""
    yield page.context.set_offline
    page.context.set_offline(False)


def test_the_page_reports_a_lost_connection_and_recovers(page: Page, set_offline: Callable[[bool], None]) -> None:
    set_offline(True)
    page.get_by_role("button", name="Refresh").click()

    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The service is unavailable")
    expect(alert).to_contain_text("The service cannot be reached.")
    set_offline(False)
    alert.get_by_role("button", name="Try again").click()
    expect(alert).to_have_count(0)
    expect(page.get_by_role("article", name="USD")).to_be_visible()
