"""A history as a sheet, for who asks for text/csv."""

import csv
import io
from collections.abc import Callable

import pytest

from snapshots.csv_response import cell
from tests.support import Answer, Caller, captured, snapshot

RANGE = {"start_date": "2025-01-01", "end_date": "2025-12-31"}


@pytest.fixture
def ask(user: Caller, sync_job: Caller, user_id: str, account_id: str) -> Callable[[str | None], Answer]:
    """The history of three snapshots, one of them a debt, as somebody who accepts that."""
    captured(
        sync_job,
        snapshot(user_id, account_id, "100.00"),
        snapshot(user_id, account_id, "-50.25", captured_at="2025-02-01T00:00:00.5Z", cash_value="-1.00"),
        snapshot(user_id, account_id, "0", captured_at="2025-03-01"),
    )

    def ask(accept: str | None) -> Answer:
        headers = {"Accept": accept} if accept else {}
        return user.send("GET", f"/accounts/{account_id}/balance-history", query_string=RANGE, headers=headers)

    return ask


def test_the_sheet_has_the_rows_of_the_json_in_their_order(ask: Callable[[str | None], Answer]) -> None:
    sheet, answer = ask("text/csv"), ask(None)

    header, *rows = csv.reader(io.StringIO(sheet.text))
    assert header == list(answer.json["snapshots"][0])
    assert rows == [["" if value is None else str(value) for value in row.values()] for row in answer.json["snapshots"]]
    assert [row[header.index("balance")] for row in rows] == ["100.00", "-50.25", "0.00"]
    assert [row[header.index("change_percent")] for row in rows] == ["", "-150.25", "100.0"]


def test_the_sheet_is_named_and_says_what_it_is(ask: Callable[[str | None], Answer], account_id: str) -> None:
    sheet = ask("text/csv")

    assert sheet.content_type == "text/csv; charset=utf-8; header=present"
    assert sheet.headers["Content-Disposition"] == f'attachment; filename="balance-history-{account_id}.csv"'
    assert sheet.headers["Vary"] == "Accept"
    assert sheet.text.count("\r\n") == 4


@pytest.mark.parametrize(
    ("accept", "is_sheet"),
    [
        (None, False),
        ("*/*", False),
        ("text/html", False),
        ("application/json", False),
        ("text/csv;q=0.5, application/json", False),
        ("text/csv, application/json", False),
        ("text/csv, application/json;q=0.9", True),
        ("text/csv, */*;q=0.1", True),
        ("text/*", True),
        ("text/csv; charset=utf-8", True),
        ("text/csv; charset=utf-8; header=present, application/json;q=0.5", True),
    ],
)
def test_json_stays_the_default(ask: Callable[[str | None], Answer], accept: str | None, is_sheet: bool) -> None:
    answer = ask(accept)

    assert answer.content_type.startswith("text/csv" if is_sheet else "application/json")
    assert ("Content-Disposition" in answer.headers) == is_sheet
    assert answer.headers["Vary"] == "Accept"


def test_an_empty_range_is_a_header_alone(ask: Callable[[str | None], Answer], user: Caller, account_id: str) -> None:
    ask(None)
    path = f"/accounts/{account_id}/balance-history?start_date=1999-01-01&end_date=1999-01-02"

    assert user.send("GET", path, headers={"Accept": "text/csv"}).text.count("\n") == 1


def test_errors_stay_problems(user: Caller, account_id: str) -> None:
    path = f"/accounts/{account_id}/balance-history"

    for query in (RANGE, {}):
        answer = user.send("GET", path, query_string=query, headers={"Accept": "text/csv"})
        assert answer.status_code in (400, 404)
        assert answer.content_type == "application/problem+json"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        ("-50.25", "-50.25"),
        ("0", "0"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-1+1", "'-1+1"),
        ("-A1", "'-A1"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
    ],
)
def test_a_cell_is_no_formula(value: str | None, shown: str) -> None:
    assert cell(value) == shown
