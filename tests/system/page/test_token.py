"""The page keeps its token in memory only."""

from playwright.sync_api import Browser, Page, expect

from tests.support import user_token
from tests.support.browser import needs_browser, opened
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


def test_a_pasted_token_signs_in_with_or_without_its_scheme(open_page: Open) -> None:
    for scheme in ("", "Bearer "):
        page = open_page(None)
        page.get_by_label("Access token").fill(f" {scheme}{user_token(demo.USER)}\n")
        page.keyboard.press("Enter")

        assert_portfolio(page)


def test_the_token_is_sent_in_no_url_and_kept_nowhere(browser: Browser, service: str) -> None:
    token = user_token(demo.USER)
    with opened(browser) as page:
        sent: list[str] = []
        page.on("request", lambda request: sent.extend([request.url, request.headers.get("referer", "")]))
        page.goto(f"{service}/#token={token}")
        assert_portfolio(page)

        # A browser tells its own page the fragment of the address, and sends a server what comes before it.
        assert [text for text in sent if token in text.partition("#")[0]] == []
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0
        assert page.context.cookies() == []
        page.reload()
        expect(page.get_by_label("Access token")).to_be_visible()


def test_everything_comes_from_the_service(browser: Browser, service: str) -> None:
    with opened(browser) as page:
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.goto(f"{service}/#token={user_token(demo.USER)}")
        assert_portfolio(page)

        assert len(requested) > 8
        assert [url for url in requested if not url.startswith(f"{service}/")] == []


def test_forgetting_the_token_clears_the_page(page: Page) -> None:
    page.get_by_role("button", name="Forget token").click()

    expect(page.get_by_label("Access token")).to_be_focused()
    assert page.locator(".series, #accounts tbody tr").count() == 0
