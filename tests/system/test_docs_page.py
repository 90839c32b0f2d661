"""The pages of `make run` in a real browser, as a person uses them: open the link; authorize, try it out."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support import API
from tests.support.browser import needs_browser, opened
from tests.support.running import Run

pytestmark = needs_browser

# Status and part of the response to the prefilled values of each operation.
PREFILLED = {
    "latest_snapshots": ("200", "total_balance_by_currency"),
    "portfolio_history": ("200", '"interval": "day"'),
    "balance_history": ("200", '"total_count": 31'),
    "balance_history_csv": ("200", "Download file"),
    "recent_snapshots": ("200", '"total_count": 30'),
    "account_corrections": ("200", '"total_count": 0'),
    "capture_snapshots": ("20", '"status": '),
}
OPERATIONS = [*PREFILLED, "correct_snapshots"]
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page; what is loaded into it must report no error."""
    with opened(browser) as page:
        yield page


def operation(page: Page, name: str) -> Locator:
    """Open an operation of the documentation and return it."""
    found = page.locator(f".opblock[id$='-{name}']")
    found.locator(".opblock-summary-control").click()
    found.locator(".responses-wrapper").wait_for()
    return found


def open_all(page: Page) -> None:
    """Open the documentation with all of its operations."""
    page.locator(".opblock").last.wait_for()
    page.evaluate("document.querySelectorAll('.opblock-summary-control').forEach(each => each.click())")
    page.locator(".responses-wrapper").nth(len(OPERATIONS) - 1).wait_for()


def authorize(page: Page, run: Run) -> None:
    token = re.search(r"^[\w-]+\.[\w-]+\.[\w-]+$", run.output, re.MULTILINE)
    assert token
    page.get_by_role("button", name="Authorize", exact=True).click()
    page.get_by_label("auth-bearer-value").fill(token[0])
    page.locator(".auth-btn-wrapper .authorize").click()
    page.locator(".auth-btn-wrapper .btn-done").click()


def execute(opened_operation: Locator) -> Locator:
    """Execute an operation that is being tried out; return the response as the page shows it."""
    opened_operation.get_by_role("button", name="Execute").click()
    response = opened_operation.locator(".live-responses-table .response")
    response.wait_for()
    return response


def test_the_printed_link_shows_the_demo_portfolio(run: Run, page: Page) -> None:
    (link,) = run.lines(f"{run.base}/#token=")
    page.goto(link)

    # Another test may have captured a balance in dollars.
    expect(page.locator(".headline")).to_have_text(["9440.91", "1565441", "304.276", re.compile(r"^\d+\.\d\d$")])


def test_the_printed_token_works_on_the_docs_page_without_leaving_the_machine(run: Run, page: Page) -> None:
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(f"{run.base}/docs")
    authorize(page, run)
    latest = operation(page, "latest_snapshots")
    latest.get_by_role("button", name="Try it out").click()
    response = execute(latest)

    expect(response.locator(".response-col_status")).to_contain_text("200")
    assert f"{run.base}{API}/balance-snapshots" in requested
    assert [url for url in requested if not url.startswith((run.base, "data:"))] == []


def test_the_prefilled_values_work_with_the_demo_portfolio(run: Run, page: Page) -> None:
    page.goto(f"{run.base}/docs")
    authorize(page, run)
    for name, (status, text) in PREFILLED.items():
        tried = operation(page, name)
        tried.get_by_role("button", name="Try it out").click()
        response = execute(tried)

        expect(response.locator(".response-col_status")).to_contain_text(status)
        expect(response).to_contain_text(text)


def test_a_correction_works_with_the_id_that_the_refused_example_names(run: Run, page: Page) -> None:
    page.goto(f"{run.base}/docs")
    authorize(page, run)
    captured = operation(page, "capture_snapshots")
    captured.get_by_role("button", name="Try it out").click()
    expect(execute(captured)).to_contain_text('"status": ')
    corrected = operation(page, "correct_snapshots")
    corrected.get_by_role("button", name="Try it out").click()
    refused = execute(corrected)
    expect(refused).to_contain_text("stands under its key")

    message = refused.inner_text()
    (standing,) = re.findall(r"([0-9a-f-]{36}) stands under its key", message)
    body = corrected.locator("textarea.body-param__text")
    body.fill(re.sub(r'("id": )"[^"]+"', rf'\1"{standing}"', body.input_value()))
    expect(execute(corrected)).to_contain_text('"corrected_count": 1')


def test_an_offset_is_typed_as_it_is_and_encoded_by_the_page(run: Run, page: Page) -> None:
    page.goto(f"{run.base}/docs")
    authorize(page, run)
    history = operation(page, "balance_history")
    history.get_by_role("button", name="Try it out").click()
    history.get_by_placeholder("start_date").fill("2025-12-31T00:00:00+01:00")

    response = execute(history)
    expect(response).to_contain_text('"total_count": 1')
    expect(history.locator(".request-url")).to_contain_text("2025-12-31T00%3A00%3A00%2B01%3A00")


def test_the_dialog_for_the_token_says_where_one_comes_from(run: Run, page: Page) -> None:
    page.goto(f"{run.base}/docs")
    page.get_by_role("button", name="Authorize", exact=True).click()

    dialog = page.locator(".dialog-ux")
    expect(dialog).to_contain_text("from your identity service")
    expect(dialog.locator("code", has_text="make token SUB=")).to_be_visible()


def test_operations_are_grouped_by_tag(run: Run, page: Page) -> None:
    page.goto(f"{run.base}/docs")

    expect(page.locator(".opblock-tag a.nostyle")).to_have_text(["Balances", "Capture", "Corrections"])


def test_an_operation_with_folded_errors_is_at_most_three_screens_long(run: Run, browser: Browser) -> None:
    with opened(browser, viewport=DESKTOP) as page:
        page.goto(f"{run.base}/docs")
        open_all(page)
        heights = page.evaluate("[...document.querySelectorAll('.opblock')].map(each => each.offsetHeight)")

    assert len(heights) == len(OPERATIONS)
    assert max(heights) <= 3 * DESKTOP["height"]


def test_an_error_is_unfolded_by_the_keyboard_and_folded_again(run: Run, page: Page) -> None:
    page.goto(f"{run.base}/docs")
    history = operation(page, "balance_history")
    line = history.get_by_role("button", name="404 Not Found", exact=True)
    expect(line).to_have_attribute("aria-expanded", "false")

    line.focus()
    page.keyboard.press("Enter")
    expect(line).to_have_attribute("aria-expanded", "true")
    expect(history.locator(".response[data-code='404']")).to_contain_text("Account not found")
    expect(history.locator(".response[data-code='403']")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(history.locator(".response[data-code='404']")).to_have_count(0)


def test_markdown_is_rendered_wherever_it_is_used(run: Run, page: Page) -> None:
    page.goto(f"{run.base}/docs")
    open_all(page)
    page.evaluate("document.querySelectorAll('.fold').forEach(each => each.click())")

    expect(page.locator(".response code", has_text="errors/not_found").first).to_be_visible()
    assert "`" not in page.locator("body").inner_text()


def test_the_page_fits_a_phone(run: Run, browser: Browser) -> None:
    with opened(browser, viewport=PHONE, is_mobile=True, has_touch=True) as page:
        page.goto(f"{run.base}/docs")
        open_all(page)

        # Without a viewport of its own, a phone lays a page out as wide as a desktop's and scales it down.
        assert page.evaluate("innerWidth") == PHONE["width"]
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_a_second_visit_loads_the_files_of_the_page_from_the_cache(run: Run, page: Page) -> None:
    for _ in range(2):
        page.goto(f"{run.base}/docs")
        page.locator(".opblock").first.wait_for()

    sizes = page.evaluate(
        "performance.getEntriesByType('resource').filter(each => each.name.includes('/docs/'))"
        ".map(each => each.transferSize)"
    )
    assert len(sizes) >= 4
    assert set(sizes) == {0}
