"""The page at / shows the API's figures to the character."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, Response, Route, expect

from tests.support import API, snapshot, user_token
from tests.support.browser import needs_browser, no_page_errors
from tests.system.page.conftest import Capture, Open, address
from tools import demo

pytestmark = needs_browser
HISTORY = f"{API}/balance-history"


def query(url: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}


def is_history(response: Response) -> bool:
    return urlsplit(response.url).path == HISTORY


def request_history(page: Page, action: Callable[[], Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """Do something that reads the portfolio's history; return the parameters and the body of the last such read."""
    # The range "all" reads a history by year first, to find where it begins.
    with page.expect_response(lambda response: is_history(response) and "start_date=1900" not in response.url) as read:
        action()
    parameters = query(read.value.url)
    expect(page.locator("body")).not_to_have_class("loading")
    return parameters, read.value.json()


def choose(page: Page, label: str) -> tuple[dict[str, str], dict[str, Any]]:
    return request_history(page, lambda: page.get_by_label(label, exact=True).check(force=True))


def card(page: Page, currency: str) -> Any:
    return page.get_by_role("article", name=currency)


def change(amount: str | None, percent: float | None) -> str:
    """Return the text that the page shows for a change."""
    if amount is None:
        return "–"
    arrow = "▼" if amount.startswith("-") else "▲" if amount.strip("0.") else ""
    return f"{arrow}{amount}" + ("" if percent is None else f" ({percent:g} %)")


def test_each_currency_shows_its_value_and_change(page: Page) -> None:
    _, history = choose(page, "3M")

    assert [series["currency"] for series in history["series"]] == ["EUR", "JPY", "KWD", "USD"]
    for series in history["series"]:
        shown = card(page, series["currency"])
        expect(shown.locator(".headline")).to_have_text(series["end_balance"])
        total = change(series["total_change_amount"], series["total_change_percent"])
        expect(shown.locator(".readout")).to_have_text(f"{total} over this range")


def test_each_account_shows_its_latest_snapshot(open_page: Open) -> None:
    page = open_page(None)
    with page.expect_response(lambda response: response.url.partition("?")[0].endswith("/balance-snapshots")) as read:
        page.get_by_label("Access token").fill(user_token(demo.USER))
        page.get_by_role("button", name="Show accounts").click()

    snapshots = read.value.json()["snapshots"]
    rows = page.locator("#accounts tbody tr")
    expect(rows).to_have_count(len(snapshots))
    for row, latest in zip(rows.all(), snapshots, strict=True):
        balance, last_change, age = row.locator("td").all()
        assert row.get_by_role("button").get_attribute("aria-label") == f"History of account {latest['account_id']}"
        assert balance.text_content() == f"{latest['balance']} {latest['currency']}"
        assert last_change.text_content() == change(latest["change_amount"], latest["change_percent"])
        assert age.locator("time").get_attribute("datetime") == latest["captured_at"]
        assert re.fullmatch(r"1[01] months ago|1 year ago|\d+ years ago", age.inner_text())


def test_a_range_ends_on_the_day_of_the_newest_snapshot_and_begins_at_a_midnight(page: Page) -> None:
    for label, start in (
        ("1M", "2025-11-29T23:00:00.000Z"),
        ("3M", "2025-09-29T22:00:00.000Z"),
        ("All", "2023-12-31T23:00:00.000Z"),
    ):
        parameters, history = choose(page, label)

        assert parameters == {
            "start_date": start,
            "end_date": "2025-12-31T22:59:59.000Z",
            "interval": "day",
            "time_zone": "Europe/Berlin",
        }
        assert all(point["is_complete"] for point in history["series"][0]["points"])


def test_a_stale_portfolio_says_so_and_can_be_continued_to_today(page: Page) -> None:
    notice = page.locator("#stale")
    expect(notice).to_contain_text("Nothing has been captured since 31 Dec 2025")

    _, history = request_history(page, notice.get_by_role("button", name="Continue to today").click)

    assert {point["observed_count"] for point in history["series"][-1]["points"][60:]} == {0}
    expect(notice).to_contain_text("carried forward to today")
    expect(card(page, "USD").locator(".headline")).to_have_text(history["series"][-1]["end_balance"])


def test_an_interval_divides_the_range(page: Page) -> None:
    choose(page, "All")
    parameters, history = request_history(page, lambda: page.get_by_label("by").select_option("quarter"))

    assert parameters["interval"] == "quarter"
    card(page, "USD").get_by_text("Figures as a table").click()
    rows = card(page, "USD").locator("tbody tr")
    expect(rows).to_have_count(history["total_count"])
    points = reversed(history["series"][-1]["points"])
    for row, point in zip(rows.all(), points, strict=True):
        assert row.locator("td").all_text_contents() == [
            point["balance"] or "–",
            change(point["change_amount"], None),
            "–" if point["change_percent"] is None else f"{point['change_percent']:g} %",
            point["entered_amount"] or "–",
            f"{point['observed_count']} of {point['account_count']}",
        ]
    assert rows.first.locator("th").text_content() == "Q4 2025"


def test_intervals_of_more_points_than_the_api_returns_are_not_offered(
    open_page: Open, capture: Capture, user_id: str, account_id: str
) -> None:
    capture(
        snapshot(user_id, account_id, "1.00", captured_at="2015-06-01T00:00:00Z"),
        snapshot(user_id, account_id, "-2.00", captured_at="2025-06-01T00:00:00Z"),
    )
    page = open_page(user_id)
    expect(card(page, "USD").locator(".headline")).to_have_text("-2.00")
    parameters, _ = choose(page, "All")

    assert (parameters["interval"], parameters["start_date"]) == ("week", "2014-12-31T23:00:00.000Z")
    assert page.locator("#interval option[disabled]").all_text_contents() == ["day"]
    expect(card(page, "USD").locator(".readout")).to_have_text("▼-3.00 (-300 %) over this range")


def test_pointing_at_the_chart_shows_the_exact_figures_of_that_day_in_every_currency(page: Page) -> None:
    _, history = request_history(page, page.get_by_role("button", name="Refresh").click)
    usd = card(page, "USD")
    usd.locator(".u-over").hover()

    index = int(usd.get_by_role("slider").get_attribute("aria-valuenow") or 0) - 1
    points = [series["points"][index] for series in history["series"]]
    assert abs(index - len(history["series"][0]["points"]) / 2) <= 2
    for series, point in zip(history["series"], points, strict=True):
        shown = card(page, series["currency"])
        expect(shown.locator(".headline")).to_have_text(point["balance"])
        expect(shown.locator(".readout .change")).to_have_text(change(point["change_amount"], point["change_percent"]))
    page.mouse.move(0, 0)
    expect(usd.locator(".headline")).to_have_text(history["series"][-1]["end_balance"])


def test_the_arrow_keys_read_the_chart_point_by_point(page: Page) -> None:
    _, history = choose(page, "1M")
    usd = card(page, "USD")
    slider = usd.get_by_role("slider")
    slider.focus()

    for key, index in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", -1)):
        slider.press(key)
        point = history["series"][-1]["points"][index]
        expect(usd.locator(".headline")).to_have_text(point["balance"])
        assert f"{point['balance']} USD" in (slider.get_attribute("aria-valuetext") or "")


def test_days_end_in_utc_if_the_api_does_not_know_the_time_zone(tab: Page, service: str) -> None:
    with no_page_errors(tab.context.new_page()) as page:
        page.add_init_script(
            "const options = Intl.DateTimeFormat.prototype.resolvedOptions;"
            "Intl.DateTimeFormat.prototype.resolvedOptions = function () {"
            "  return { ...options.call(this), timeZone: '+05:30' };"
            "};"
        )
        page.goto(address(service))

        expect(page.locator("#zone")).to_contain_text("Days end at midnight in UTC.")
        expect(card(page, "USD").locator("canvas")).to_be_visible()
        page.close()


def test_an_account_that_changed_its_currency_is_drawn_in_the_last_one(
    open_page: Open, capture: Capture, user_id: str, account_id: str
) -> None:
    for day, currency in (("01", "EUR"), ("02", "EUR"), ("03", "USD")):
        at = f"2025-01-{day}T00:00:00Z"
        capture(snapshot(user_id, account_id, f"-{int(day)}.50", currency=currency, captured_at=at))
    page = open_page(user_id)
    expect(card(page, "EUR").locator(".headline")).to_have_text("–")
    page.get_by_role("button", name=account_id).click()

    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The currency changed in this range. The chart shows only USD;")
    expect(dialog.locator(".headline")).to_have_text("-3.50 USD")
    dialog.get_by_text("Figures as a table").click()
    shown = dialog.locator("tbody td:nth-child(2)").all_text_contents()
    assert shown == ["-3.50 USD", "-2.50 EUR", "-1.50 EUR"]


def share_below_line(page: Page, currency: str, start: float, end: float) -> float:
    """Return the share of a section of a chart that lies below a line; `start` and `end` are fractions of its width."""
    return float(
        card(page, currency).evaluate(
            """(card, [start, end]) => {
                const canvas = card.querySelector("canvas"), context = canvas.getContext("2d");
                const plot = card.querySelector(".u-over").getBoundingClientRect();
                const left = plot.left - canvas.getBoundingClientRect().left;
                const from = Math.ceil(left + start * plot.width), to = Math.floor(left + end * plot.width);
                const { data } = context.getImageData(from, 0, to - from, Math.floor(plot.height));
                const columns = new Set();
                for (let i = 0; i < data.length; i += 4) {
                    if (data[i + 3] > 64 && data[i + 2] - data[i] > 64) columns.add((i / 4) % (to - from));
                }
                return columns.size / (to - from);
            }""",
            [start, end],
        )
    )


def test_nothing_is_drawn_before_the_first_account_and_what_is_carried_is_dashed(page: Page) -> None:
    _, history = choose(page, "All")
    points = history["series"][0]["points"]
    silent = [i for i, point in enumerate(points) if point["balance"] and not point["observed_count"]]
    joined = next(i for i, point in enumerate(points) if point["balance"])

    def part(index: float) -> float:
        return index / len(points)

    assert share_below_line(page, "EUR", 0, part(joined - 2)) == 0
    assert share_below_line(page, "EUR", part(joined + 2), part(silent[0] - 2)) == 1
    assert 0.3 < share_below_line(page, "EUR", part(silent[0] + 2), part(silent[-1] - 2)) < 0.8


def test_the_keyboard_opens_an_account_and_comes_back(page: Page) -> None:
    choose(page, "1M")
    button = page.locator("#accounts button").first
    button.focus()
    with page.expect_response(lambda response: "/accounts/" in response.url) as read:
        page.keyboard.press("Enter")
    history = read.value.json()

    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".headline")).to_have_text(f"{history['end_balance']} {history['currency']}")
    dialog.get_by_text("Figures as a table").click()
    balances = [f"{s['balance']} {s['currency']}" for s in reversed(history["snapshots"])]
    assert dialog.locator("tbody tr td:nth-child(2)").all_text_contents() == balances
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()


def test_an_account_that_was_closed_earlier_says_that_the_range_is_empty(page: Page) -> None:
    choose(page, "1M")
    page.locator("#accounts button").last.click()

    expect(page.get_by_role("dialog")).to_contain_text("Nothing was captured in this range.")


def test_a_range_chosen_during_a_read_waits_for_it_and_only_the_last_one_is_read(page: Page) -> None:
    starts: list[str] = []
    held: list[Route] = []

    def hold_first(route: Route) -> None:
        starts.append(query(route.request.url)["start_date"])
        if len(starts) == 1:
            held.append(route)
        else:
            route.continue_()

    page.route(f"**{HISTORY}?*", hold_first)
    with page.expect_request(f"**{HISTORY}?*"):
        page.get_by_label("1M", exact=True).check(force=True)
    for label in ("All", "3M"):
        page.get_by_label(label, exact=True).check(force=True)

    held.pop().continue_()
    expect(page.locator("body")).not_to_have_class("loading")
    page.unroute_all()
    assert starts == ["2025-11-29T23:00:00.000Z", "2025-09-29T22:00:00.000Z"]
