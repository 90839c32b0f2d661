"""The page works with assistive technology, on a phone and in dark mode."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import clean_tab, needs_browser, new_context, no_page_errors
from tests.system.page.conftest import Open, address
from tools import demo

pytestmark = needs_browser
PHONE = {"width": 360, "height": 740}


def choose_months(page: Page) -> None:
    """Show the year by month: by day it has the same elements, only more of each."""
    page.locator(".series canvas").last.wait_for()
    page.get_by_label("by").select_option("month")
    expect(page.locator("body")).not_to_have_class("loading")


def show_portfolio(page: Page) -> None:
    choose_months(page)
    page.get_by_text("Figures as a table").first.click()
    expect(page.locator(".series tbody tr")).to_have_count(13)


def show_account(page: Page) -> None:
    choose_months(page)
    page.locator("#accounts button").nth(2).click()
    dialog = page.get_by_role("dialog")
    dialog.locator("canvas").wait_for()
    dialog.get_by_text("Figures as a table").click()
    expect(dialog.locator("tbody tr").first).to_be_attached()


def show_empty(page: Page) -> None:
    expect(page.locator("#empty")).to_be_visible()


def show_problem(page: Page) -> None:
    page.get_by_label("Access token").fill("not a token")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()


STATES: dict[str, tuple[str | None, Callable[[Page], None]]] = {
    "portfolio": (demo.USER, show_portfolio),
    "account": (demo.USER, show_account),
    "empty": (str(uuid4()), show_empty),
    "problem": (None, show_problem),
}


def faults(page: Page) -> list[tuple[str, str, str]]:
    """Return what axe finds, with the first element of each kind.

    If a dialog is open, look at it alone, because what it covers is a state of its own.
    """
    dialog = "dialog[open]"
    violations = Axe().run(page, dialog if page.locator(dialog).count() else None).response["violations"]
    return [(fault["impact"], fault["id"], fault["nodes"][0]["html"]) for fault in violations]


@pytest.mark.parametrize(("subject", "reach"), STATES.values(), ids=STATES)
def test_axe_finds_nothing_on_a_desktop_in_light_mode(
    open_page: Open, subject: str | None, reach: Callable[[Page], None]
) -> None:
    page = open_page(subject)
    reach(page)

    assert faults(page) == []


@pytest.fixture(scope="module")
def phone(browser: Browser) -> Iterator[Page]:
    """A tab on a phone in dark mode."""
    options = {"viewport": PHONE, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}
    with new_context(browser, **options) as context:
        yield context.new_page()


@pytest.fixture(scope="module", params=STATES)
def page_on_a_phone(request: pytest.FixtureRequest, phone: Page, service: str) -> Iterator[Page]:
    """The page in each of its states."""
    subject, reach = STATES[request.param]
    with clean_tab(phone) as page:
        page.goto(address(service, subject))
        reach(page)
        yield page


def test_axe_finds_nothing_on_a_phone_in_dark_mode(page_on_a_phone: Page) -> None:
    assert faults(page_on_a_phone) == []


def test_a_phone_scrolls_in_one_direction_only(page_on_a_phone: Page) -> None:
    assert page_on_a_phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_tap_shows_a_point_until_the_next_tap_elsewhere(phone: Page, service: str) -> None:
    # In another tab, because the page in the fixture's tab is shared.
    with no_page_errors(phone.context.new_page()) as page:
        page.goto(address(service))
        card = page.get_by_role("article", name="USD")
        newest = card.locator(".headline").text_content() or ""
        card.locator(".u-over").tap(position={"x": 20, "y": 60})

        expect(card.locator(".headline")).not_to_have_text(newest)
        page.locator("h1").tap()
        expect(card.locator(".headline")).to_have_text(newest)
        page.close()


def test_the_chart_follows_the_color_scheme(page: Page) -> None:
    light = page.get_by_role("article", name="USD").locator("canvas").evaluate("canvas => canvas.toDataURL()")
    page.emulate_media(color_scheme="dark")

    page.wait_for_function(
        "light => [...document.querySelectorAll('canvas')].every(canvas => canvas.toDataURL() !== light)", arg=light
    )


def test_everything_can_be_reached_with_the_tab_key(page: Page) -> None:
    page.locator("h1").click()

    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("(e => e.id || e.getAttribute('aria-label') || e.textContent)(document.activeElement)")
        )

    assert {"refresh", "forget", "interval", "extend", "USD over time"} <= set(reached)
    assert f"History of account {demo.CHECKING}" in reached
