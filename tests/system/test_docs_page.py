"""The docs page as a person meets it, in a real browser: authorize, try it out."""

import os
import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support import API
from tests.support.running import Run

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not BROWSER, reason="there is no browser: apt-get install chromium")


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        # Chromium's sandbox does not run as root.
        browser = playwright.chromium.launch(executable_path=BROWSER, chromium_sandbox=os.geteuid() != 0)
        yield browser.new_page()
        browser.close()


def test_who_pastes_the_printed_token_gets_an_answer_without_leaving_the_machine(run: Run, page: Page) -> None:
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
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
    assert said == []
