"""Histories as CSV."""

import csv
import io
from uuid import uuid4

import pytest

from snapshots.csv_response import cell
from tests.support import Caller, Response, captured, snapshot

RANGE = {"start_date": "2025-01-01", "end_date": "2025-12-31"}


@pytest.fixture
def history(sync_job: Caller, user_id: str, account_id: str) -> str:
    """The path of the history of an account with three snapshots, one of them a debt."""
    captured(
        sync_job,
        snapshot(user_id, account_id, "100.00"),
        snapshot(user_id, account_id, "-50.25", captured_at="2025-02-01T00:00:00.5Z", cash_value="-1.00"),
        snapshot(user_id, account_id, "0", captured_at="2025-02-28"),
    )
    return f"/accounts/{account_id}/balance-history"


def rows(response: Response) -> list[list[str]]:
    assert response.status_code == 200, response.text
    return list(csv.reader(io.StringIO(response.text)))


@pytest.mark.parametrize(
    "query", [{}, {"source": "account_sync"}, {"interval": "month"}, {"interval": "day", "time_zone": "Asia/Tokyo"}]
)
def test_csv_has_the_rows_of_the_json_in_the_same_order(user: Caller, history: str, query: dict[str, str]) -> None:
    header, *found = rows(user.get(f"{history}.csv", **RANGE, **query))

    snapshots = user.get(history, **RANGE, **query).json["snapshots"]
    assert len(snapshots) >= 2
    assert header == list(snapshots[0])
    assert [[without_zero_fraction(value) for value in row] for row in found] == [
        ["" if value is None else str(value) for value in row.values()] for row in snapshots
    ]


def without_zero_fraction(value: str) -> str:
    """Return a time in the form that it has in JSON, and any other value unchanged."""
    return value.replace(".000000Z", "Z")


def test_all_times_of_csv_have_six_digits_after_the_second(user: Caller, history: str) -> None:
    header, *found = rows(user.get(f"{history}.csv", **RANGE))

    captured_at, created_at = header.index("captured_at"), header.index("created_at")
    assert [row[captured_at] for row in found] == [
        "2025-01-01T00:00:00.000000Z",
        "2025-02-01T00:00:00.500000Z",
        "2025-02-28T00:00:00.000000Z",
    ]
    assert {len(row[created_at]) for row in found} == {len("2025-01-01T00:00:00.000000Z")}


def test_csv_names_its_file_and_its_media_type(user: Caller, history: str, account_id: str) -> None:
    response = user.get(f"{history}.csv", **RANGE)

    assert response.content_type == "text/csv; charset=utf-8; header=present"
    assert response.headers["Content-Disposition"] == f'attachment; filename="balance-history-{account_id}.csv"'
    assert response.text.count("\r\n") == 4


@pytest.mark.parametrize("accept", ["text/csv", "text/*", "application/json", "image/png"])
def test_the_path_alone_selects_the_format(user: Caller, history: str, accept: str) -> None:
    for suffix, media_type in (("", "application/json"), (".csv", "text/csv")):
        response = user.send("GET", history + suffix, query_string=RANGE, headers={"Accept": accept})
        assert response.mimetype == media_type
        assert response.headers["Vary"] == "Accept-Encoding"


def test_an_empty_range_has_only_a_header(user: Caller, history: str) -> None:
    assert len(rows(user.get(f"{history}.csv", start_date="1999-01-01", end_date="1999-01-02"))) == 1


def test_the_errors_of_a_csv_history_are_problems(user: Caller, sync_job: Caller, history: str) -> None:
    foreign_account_id = str(uuid4())
    captured(sync_job, snapshot(str(uuid4()), foreign_account_id))
    for path, query, status in (
        (history, {}, 400),
        (f"/accounts/{foreign_account_id}/balance-history", RANGE, 403),
        ("/accounts/00000000-0000-4000-8000-000000000000/balance-history", RANGE, 404),
        ("/accounts/no-uuid/balance-history", RANGE, 404),
    ):
        response = user.get(f"{path}.csv", **query)
        assert response.status_code == status
        assert response.content_type == "application/problem+json"


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
def test_a_cell_is_never_a_formula(value: str | None, shown: str) -> None:
    assert cell(value) == shown
