"""A real Chromium, and the errors that a page reports only to its console."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tools.screenshot import find_browser

EXECUTABLE = find_browser()
needs_browser = pytest.mark.skipif(
    not EXECUTABLE, reason="there is no browser: apt-get install chromium-headless-shell"
)
# Every wait ends with its condition; on a busy machine that takes many times as long as on a quiet one.
TIMEOUT_MS = 120_000
expect.set_options(timeout=TIMEOUT_MS)
# Chromium itself reports every response of 400 and above; a page cannot prevent that.
_REPORT_OF_STATUS = "Failed to load resource"


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start a browser and stop it afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=EXECUTABLE,
            # Chromium's sandbox does not run as root.
            chromium_sandbox=os.geteuid() != 0,
            # Without a GPU, a process that emulates one takes a fifth of the browser's CPU time.
            args=["--disable-gpu", "--disable-software-rasterizer", "--in-process-gpu"],
        )
        yield browser
        browser.close()


@contextmanager
def new_context(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    """Make a context. Its renderer process takes a second of CPU time before it shows a page."""
    context = browser.new_context(**options)
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


@contextmanager
def no_page_errors(page: Page) -> Iterator[Page]:
    """Fail if a page reports an error before the context ends.

    A violation of the Content-Security-Policy is such an error.
    """
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_REPORT_OF_STATUS):
            errors.append(message.text)

    def note_exception(error: Any) -> None:
        errors.append(str(error))

    page.on("console", note)
    page.on("pageerror", note_exception)
    yield page
    page.remove_listener("console", note)
    page.remove_listener("pageerror", note_exception)
    assert errors == []


@contextmanager
def clean_tab(tab: Page) -> Iterator[Page]:
    """Yield an empty tab, which must report no error; empty it again afterwards."""
    try:
        with no_page_errors(tab):
            yield tab
    finally:
        tab.goto("about:blank")
