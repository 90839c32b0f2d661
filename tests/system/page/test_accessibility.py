"""The page works with assistive technology, on a phone and in the dark."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.support.browser import needs_browser
from tests.system.page.conftest import Open
from tools import demo

pytestmark = needs_browser
DESKTOP = {"width": 1200, "height": 900}
PHONE = {"width": 360, "height": 740}


def portfolio(page: Page) -> None:
    page.locator(".series canvas").last.wait_for()
    page.get_by_text("Figures as a table").first.click()


def account(page: Page) -> None:
    page.locator("#accounts button").nth(2).click()
    dialog = page.get_by_role("dialog")
    dialog.locator("canvas").wait_for()
    dialog.get_by_text("Figures as a table").click()


def empty(page: Page) -> None:
    expect(page.locator("#empty")).to_be_visible()


def problem(page: Page) -> None:
    page.get_by_label("Access token").fill("not a token")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()


NAME = "document.activeElement.id || document.activeElement.getAttribute('aria-label')"
STATES = [(demo.USER, portfolio), (demo.USER, account), (str(uuid4()), empty), (None, problem)]
every_state = pytest.mark.parametrize(("subject", "reach"), STATES, ids=["portfolio", "account", "empty", "problem"])


@every_state
@pytest.mark.parametrize(("scheme", "viewport"), [("light", DESKTOP), ("dark", PHONE)], ids=["light", "dark"])
def test_axe_finds_nothing(
    open_page: Open, subject: str | None, reach: Callable[[Page], None], scheme: str, viewport: Any
) -> None:
    page = open_page(subject, color_scheme=scheme, viewport=viewport)
    reach(page)

    results = Axe().run(page)

    assert [(fault["impact"], fault["id"], fault["nodes"][0]["html"]) for fault in results.response["violations"]] == []


@every_state
def test_a_phone_scrolls_in_one_direction_only(
    open_page: Open, subject: str | None, reach: Callable[[Page], None]
) -> None:
    page = open_page(subject, viewport=PHONE, is_mobile=True, has_touch=True)
    reach(page)

    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_tap_shows_a_point(open_page: Open) -> None:
    page = open_page(viewport=PHONE, is_mobile=True, has_touch=True)
    card = page.get_by_role("article", name="USD")
    newest = card.locator(".headline").text_content() or ""
    card.locator(".u-over").tap(position={"x": 20, "y": 60})

    expect(card.locator(".headline")).not_to_have_text(newest)


def test_the_chart_follows_the_color_scheme(open_page: Open) -> None:
    page = open_page(color_scheme="light")
    card = page.get_by_role("article", name="USD")
    card.locator("canvas").wait_for()
    light = card.locator("canvas").evaluate("canvas => canvas.toDataURL()")
    page.emulate_media(color_scheme="dark")

    page.wait_for_function(
        "light => [...document.querySelectorAll('canvas')].every(canvas => canvas.toDataURL() !== light)", arg=light
    )


def test_everything_can_be_reached_with_the_tab_key(open_page: Open) -> None:
    page = open_page()
    page.locator(".series canvas").last.wait_for()
    page.locator("h1").click()

    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("(e => e.id || e.getAttribute('aria-label') || e.textContent)(document.activeElement)")
        )

    assert {"refresh", "forget", "interval", "extend", "USD over time"} <= set(reached)
    assert f"History of account {demo.CHECKING}" in reached
