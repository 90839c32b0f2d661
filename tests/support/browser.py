"""A real Chromium, and the errors that a page reports only to its console."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

EXECUTABLE = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(not EXECUTABLE, reason="there is no browser: apt-get install chromium")
# Chromium itself reports every response of 400 and above; a page cannot prevent that.
_REPORT_OF_STATUS = "Failed to load resource"


@contextmanager
def launched() -> Iterator[Browser]:
    """Start a browser and stop it afterwards."""
    with sync_playwright() as playwright:
        # Chromium's sandbox does not run as root.
        browser = playwright.chromium.launch(executable_path=EXECUTABLE, chromium_sandbox=os.geteuid() != 0)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, **context: Any) -> Iterator[Page]:
    """Open an empty page in a context of its own; fail if what is loaded into it reports an error.

    A violation of the Content-Security-Policy is such a report.
    """
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_REPORT_OF_STATUS):
            errors.append(message.text)

    page = browser.new_context(**context).new_page()
    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.context.close()
    assert errors == []
