"""The page keeps its token in memory only."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Request, expect

from tests.support import user_token
from tests.support.browser import needs_browser
from tests.system.page.conftest import Open
from tools import demo

pytestmark = needs_browser


def assert_portfolio(page: Page) -> None:
    expect(page.get_by_role("article", name="USD")).to_be_visible()


def test_a_token_in_the_fragment_signs_in_and_leaves_the_address(open_page: Open, service: str) -> None:
    page = open_page()

    assert_portfolio(page)
    assert page.url == f"{service}/"
    page.go_back()
    assert "token" not in page.url


def test_a_link_that_is_pasted_over_the_open_page_signs_in(open_page: Open, service: str) -> None:
    page = open_page(None)
    page.evaluate("hash => { location.hash = hash }", f"token={user_token(demo.USER)}")

    assert_portfolio(page)
    assert page.url == f"{service}/"


@pytest.mark.parametrize("scheme", ["", "Bearer "])
def test_a_pasted_token_signs_in_with_or_without_its_scheme(open_page: Open, scheme: str) -> None:
    page = open_page(None)
    page.get_by_label("Access token").fill(f" {scheme}{user_token(demo.USER)}\n")
    page.keyboard.press("Enter")

    assert_portfolio(page)


@pytest.fixture
def requests(tab: Page) -> Iterator[list[Request]]:
    """The requests that the tab sends during a test."""
    sent: list[Request] = []

    def note(request: Request) -> None:
        sent.append(request)

    tab.on("request", note)
    yield sent
    tab.remove_listener("request", note)


def test_the_token_is_sent_in_no_url_and_kept_nowhere(tab: Page, service: str, requests: list[Request]) -> None:
    token = user_token(demo.USER)
    tab.goto(f"{service}/#token={token}")
    assert_portfolio(tab)

    sent = [text for request in requests for text in (request.url, request.headers.get("referer", ""))]
    # Only the page itself sees the fragment of its address; a server receives what precedes it.
    assert [text for text in sent if token in text.partition("#")[0]] == []
    assert tab.evaluate("localStorage.length + sessionStorage.length") == 0
    assert tab.context.cookies() == []
    tab.reload()
    expect(tab.get_by_label("Access token")).to_be_visible()


def test_everything_comes_from_the_service(open_page: Open, service: str, requests: list[Request]) -> None:
    assert_portfolio(open_page())

    assert len(requests) > 8
    assert [request.url for request in requests if not request.url.startswith(f"{service}/")] == []


def test_forgetting_the_token_clears_the_page(page: Page) -> None:
    page.get_by_role("button", name="Forget token").click()

    expect(page.get_by_label("Access token")).to_be_focused()
    assert page.locator(".series, #accounts tbody tr").count() == 0
