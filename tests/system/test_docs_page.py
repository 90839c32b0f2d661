"""The pages of `make run` in a real browser, as a person uses them: open the link; authorize, try it out.

Swagger UI takes seconds of CPU time to load and to open its operations, so the tests share one page. Each leaves
it as it found it, except for operations that it executed.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from tests.support import API
from tests.support.browser import needs_browser, new_context, no_page_errors
from tests.support.running import Run

pytestmark = needs_browser

OPERATIONS = 8
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
CLICK_ALL = "selector => document.querySelectorAll(selector).forEach(each => each.click())"


def close_all(page: Page) -> None:
    page.evaluate(CLICK_ALL, ".opblock.is-open .opblock-summary-control")
    expect(page.locator(".opblock.is-open")).to_have_count(0)


class Documentation(NamedTuple):
    """The documentation page, and measurements of it with all of its operations open."""

    page: Page
    requested: list[str]
    """The URLs of all requests that the page has sent."""
    heights: list[int]
    """The heights of the operations on a desktop, with errors folded."""
    phone: dict[str, int]
    """The widths on a phone of the window and of the page."""
    text: str
    """The text with errors unfolded."""


@pytest.fixture(scope="module")
def documentation(run: Run, browser: Browser) -> Iterator[Documentation]:
    # Without a viewport of its own, a phone lays a page out as wide as a desktop's and scales it down.
    with new_context(browser, viewport=DESKTOP, is_mobile=True, has_touch=True) as context:
        page = context.new_page()
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        with no_page_errors(page):
            page.goto(f"{run.base}/docs")
            page.locator(".opblock").last.wait_for()
            # One after the other: all at once would block the page for half a minute on a busy machine.
            for index in range(OPERATIONS):
                page.locator(".opblock-summary-control").nth(index).click()
                expect(page.locator(".responses-wrapper")).to_have_count(index + 1)
            heights = page.evaluate("[...document.querySelectorAll('.opblock')].map(each => each.offsetHeight)")
            page.set_viewport_size(PHONE)
            phone = page.evaluate("({window: innerWidth, page: document.documentElement.scrollWidth})")
            page.set_viewport_size(DESKTOP)
            page.evaluate(CLICK_ALL, ".fold")
            page.locator(".response code", has_text="errors/not_found").first.wait_for()
            text = page.locator("body").inner_text()
            close_all(page)
        yield Documentation(page, requested, heights, phone, text)


@pytest.fixture
def docs(documentation: Documentation) -> Iterator[Page]:
    """The shared page, which must report no error during a test."""
    with no_page_errors(documentation.page) as page:
        yield page
        # Swagger UI renders all open operations anew when something happens in one of them.
        close_all(page)


@pytest.fixture
def tab(documentation: Documentation) -> Iterator[Page]:
    """An empty tab of the same browser."""
    with no_page_errors(documentation.page.context.new_page()) as tab:
        yield tab
        tab.close()


@pytest.fixture(scope="module")
def authorized(documentation: Documentation, run: Run) -> None:
    token = re.search(r"^[\w-]+\.[\w-]+\.[\w-]+$", run.output, re.MULTILINE)
    assert token
    page = documentation.page
    page.get_by_role("button", name="Authorize", exact=True).click()
    page.get_by_label("auth-bearer-value").fill(token[0])
    page.locator(".auth-btn-wrapper .authorize").click()
    page.locator(".auth-btn-wrapper .btn-done").click()


def operation(page: Page, name: str) -> Locator:
    """Open an operation and return it."""
    found = page.locator(f".opblock[id$='-{name}']")
    found.locator(".opblock-summary-control").click()
    found.locator(".responses-wrapper").wait_for()
    return found


def try_out(page: Page, name: str) -> Locator:
    """Open an operation, choose "Try it out" unless that was chosen before, and return it."""
    tried = operation(page, name)
    button = tried.locator(".try-out__btn")
    if button.inner_text().startswith("Try"):
        button.click()
    return tried


def execute(tried: Locator) -> Locator:
    """Execute an operation; return the response as the page shows it, instead of an earlier one."""
    clear = tried.locator(".btn-clear")
    if clear.count():
        clear.click()
    response = tried.locator(".live-responses-table .response")
    expect(response).to_have_count(0)
    tried.locator(".execute").click()
    response.wait_for()
    return response


def test_the_printed_link_shows_the_demo_portfolio(run: Run, tab: Page) -> None:
    (link,) = run.lines(f"{run.base}/#token=")
    tab.goto(link)

    # Another test may have captured a balance in dollars.
    expect(tab.locator(".headline")).to_have_text(["9440.91", "1565441", "304.276", re.compile(r"^\d+\.\d\d$")])


@pytest.mark.usefixtures("authorized")
def test_the_printed_token_works_on_the_docs_page_without_leaving_the_machine(
    run: Run, docs: Page, documentation: Documentation
) -> None:
    response = execute(try_out(docs, "latest_snapshots"))

    expect(response.locator(".response-col_status")).to_contain_text("200")
    assert f"{run.base}{API}/balance-snapshots" in documentation.requested
    assert [url for url in documentation.requested if not url.startswith((run.base, "data:"))] == []


@pytest.mark.usefixtures("authorized")
def test_a_csv_of_the_prefilled_parameters_can_be_downloaded(docs: Page) -> None:
    response = execute(try_out(docs, "balance_history_csv"))

    expect(response.locator(".response-col_status")).to_contain_text("200")
    expect(response).to_contain_text("Download file")


@pytest.mark.usefixtures("authorized")
def test_the_prefilled_bodies_work_once_the_correction_has_the_id_that_its_409_names(docs: Page) -> None:
    expect(execute(try_out(docs, "capture_snapshots"))).to_contain_text('"status": ')
    corrected = try_out(docs, "correct_snapshots")
    refused = execute(corrected)
    expect(refused).to_contain_text("the current snapshot under its key is")

    (current_id,) = re.findall(r"current snapshot under its key is ([0-9a-f-]{36})", refused.inner_text())
    body = corrected.locator("textarea.body-param__text")
    body.fill(re.sub(r'("id": )"[^"]+"', rf'\1"{current_id}"', body.input_value()))
    expect(execute(corrected)).to_contain_text('"corrected_count": 1')


@pytest.fixture
def history(docs: Page, authorized: None) -> Iterator[Locator]:
    """An account's history, being tried out; its parameters are restored afterwards."""
    history = try_out(docs, "balance_history")
    start_date = history.get_by_placeholder("start_date")
    prefilled = start_date.input_value()
    yield history
    start_date.fill(prefilled)


def test_an_offset_is_typed_as_it_is_and_encoded_by_the_page(history: Locator) -> None:
    history.get_by_placeholder("start_date").fill("2025-12-31T00:00:00+01:00")

    expect(execute(history)).to_contain_text('"total_count": 1')
    expect(history.locator(".request-url")).to_contain_text("2025-12-31T00%3A00%3A00%2B01%3A00")


def test_the_dialog_for_the_token_says_where_one_comes_from(docs: Page) -> None:
    docs.get_by_role("button", name="Authorize", exact=True).click()

    dialog = docs.locator(".dialog-ux")
    expect(dialog).to_contain_text("from your identity service")
    expect(dialog.locator("code", has_text="make token SUB=")).to_be_visible()
    dialog.locator(".btn-done").click()


def test_operations_are_grouped_by_tag(docs: Page) -> None:
    expect(docs.locator(".opblock-tag a.nostyle")).to_have_text(["Balances", "Capture", "Corrections"])


def test_an_operation_with_folded_errors_is_at_most_three_screens_long(documentation: Documentation) -> None:
    assert len(documentation.heights) == OPERATIONS
    assert max(documentation.heights) <= 3 * DESKTOP["height"]


def test_an_error_is_unfolded_by_the_keyboard_and_folded_again(docs: Page) -> None:
    history = operation(docs, "balance_history")
    line = history.get_by_role("button", name="404 Not Found", exact=True)
    expect(line).to_have_attribute("aria-expanded", "false")

    line.focus()
    docs.keyboard.press("Enter")
    expect(line).to_have_attribute("aria-expanded", "true")
    expect(history.locator(".response[data-code='404']")).to_contain_text("Account not found")
    expect(history.locator(".response[data-code='403']")).to_have_count(0)
    docs.keyboard.press("Enter")
    expect(history.locator(".response[data-code='404']")).to_have_count(0)


def test_markdown_is_rendered_wherever_it_is_used(documentation: Documentation) -> None:
    assert "errors/not_found" in documentation.text
    assert "`" not in documentation.text


def test_the_page_fits_a_phone(documentation: Documentation) -> None:
    assert documentation.phone == {"window": PHONE["width"], "page": PHONE["width"]}


def test_a_second_visit_loads_the_files_of_the_page_from_the_cache(run: Run, tab: Page) -> None:
    tab.goto(f"{run.base}/docs")

    sizes = tab.evaluate(
        "performance.getEntriesByType('resource').filter(each => each.name.includes('/docs/'))"
        ".map(each => each.transferSize)"
    )
    assert len(sizes) >= 4
    assert set(sizes) == {0}
