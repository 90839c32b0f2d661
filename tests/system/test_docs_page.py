"""The pages of `make run` in a real browser, as a person uses them: open the link; authorize, try it out."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support import API
from tests.support.browser import needs_browser, opened
from tests.support.running import Run

pytestmark = needs_browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page; what is loaded into it must report no error."""
    with opened(browser) as page:
        yield page


def test_the_printed_link_shows_the_demo_portfolio(run: Run, page: Page) -> None:
    (link,) = run.lines(f"{run.base}/#token=")
    page.goto(link)

    expect(page.locator(".headline")).to_have_text(["9440.91", "1565441", "304.276", "25149.21"])


def test_the_printed_token_works_on_the_docs_page_without_leaving_the_machine(run: Run, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    token = re.search(r"^[\w-]+\.[\w-]+\.[\w-]+$", run.output, re.MULTILINE)
    assert token

    page.goto(f"{run.base}/docs")
    page.get_by_role("button", name="Authorize").click()
    page.get_by_label("auth-bearer-value").fill(token[0])
    page.locator(".auth-btn-wrapper .authorize").click()
    page.locator(".auth-btn-wrapper .btn-done").click()
    latest = page.locator("#operations-default-latest_snapshots")
    latest.locator(".opblock-summary-control").click()
    latest.get_by_role("button", name="Try it out").click()
    latest.get_by_role("button", name="Execute").click()

    answer = latest.locator(".live-responses-table .response")
    expect(answer.locator(".response-col_status")).to_contain_text("200")
    expect(answer).to_contain_text("total_balance_by_currency")
    assert f"{run.base}{API}/balance-snapshots" in asked
    assert [url for url in asked if not url.startswith((run.base, "data:"))] == []
