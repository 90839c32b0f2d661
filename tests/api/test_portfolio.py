"""The portfolio's history: the value of all accounts over time (rule 28)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.support import Caller, Response, captured, faults, snapshot


def series(response: Response) -> dict[str, list[dict[str, Any]]]:
    """Return the points of each currency."""
    assert response.status_code == 200, response.text
    return {s["currency"]: s["points"] for s in response.json["series"]}


def values(points: list[dict[str, Any]], name: str = "balance") -> list[Any]:
    return [point[name] for point in points]


@pytest.fixture
def account(sync_job: Caller, user_id: str, account_id: str) -> str:
    """An account with snapshots of 10:00 on 2 and 4 January."""
    captured(
        sync_job,
        snapshot(user_id, account_id, "100.00", captured_at="2025-01-02T10:00:00Z"),
        snapshot(user_id, account_id, "110.00", captured_at="2025-01-04T10:00:00Z"),
    )
    return account_id


def test_a_user_without_accounts_has_no_series(user: Caller) -> None:
    assert user.portfolio("2025-01-01", "2025-01-31").json == {
        "interval": "day",
        "time_zone": "UTC",
        "series": [],
        "total_count": 0,
    }


@pytest.mark.usefixtures("account")
def test_balances_carry_forward_and_are_null_without_accounts(user: Caller) -> None:
    response = user.portfolio("2025-01-01", "2025-01-05T23:59:59Z")

    points = series(response)["USD"]
    assert values(points) == [None, "100.00", "100.00", "110.00", "110.00"]
    assert values(points, "change_amount") == [None, None, "0.00", "10.00", "0.00"]
    assert values(points, "change_percent") == [None, None, 0.0, 10.0, 0.0]
    assert values(points, "entered_amount") == [None, None, "0.00", "0.00", "0.00"]
    assert values(points, "account_count") == [0, 1, 1, 1, 1]
    assert values(points, "observed_count") == [0, 1, 0, 1, 0]
    assert values(points, "oldest_captured_at") == [
        None,
        "2025-01-02T10:00:00Z",
        "2025-01-02T10:00:00Z",
        "2025-01-04T10:00:00Z",
        "2025-01-04T10:00:00Z",
    ]
    summary = {name: value for name, value in response.json["series"][0].items() if name != "points"}
    assert summary == {
        "currency": "USD",
        "start_balance": "100.00",
        "end_balance": "110.00",
        "total_change_amount": "10.00",
        "total_change_percent": 10.0,
    }


@pytest.mark.usefixtures("account")
def test_the_first_change_compares_with_the_value_before_the_range(user: Caller) -> None:
    (point,) = series(user.portfolio("2025-01-04", "2025-01-04T23:59:59Z"))["USD"]

    assert (point["balance"], point["change_amount"]) == ("110.00", "10.00")


@pytest.mark.usefixtures("account")
def test_an_account_that_joins_is_not_a_gain(user: Caller, sync_job: Caller, user_id: str) -> None:
    captured(sync_job, snapshot(user_id, str(uuid4()), "50.00", captured_at="2025-01-03T10:00:00Z"))

    point = series(user.portfolio("2025-01-03", "2025-01-03T23:59:59Z"))["USD"][0]

    assert (point["balance"], point["change_amount"], point["entered_amount"]) == ("150.00", "50.00", "50.00")


def test_a_change_of_currency_leaves_one_series_and_enters_another(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    captured(
        sync_job,
        snapshot(user_id, account_id, "100.00", captured_at="2025-01-01T10:00:00Z"),
        snapshot(user_id, account_id, "15000", captured_at="2025-01-02T10:00:00Z", currency="JPY"),
        snapshot(user_id, str(uuid4()), "1.00", captured_at="2025-01-01T10:00:00Z"),
        snapshot(user_id, str(uuid4()), "7", captured_at="2025-01-01T10:00:00Z", currency="JPY"),
    )

    found = series(user.portfolio("2025-01-01", "2025-01-02T23:59:59Z"))

    assert list(found) == ["JPY", "USD"]
    assert values(found["USD"]) == ["101.00", "1.00"]
    assert (found["USD"][1]["change_amount"], found["USD"][1]["entered_amount"]) == ("-100.00", "-100.00")
    assert values(found["JPY"]) == ["7", "15007"]
    assert (found["JPY"][1]["change_amount"], found["JPY"][1]["entered_amount"]) == ("15000", "15000")


@pytest.mark.usefixtures("account")
def test_a_closed_account_counts_as_zero(user: Caller, sync_job: Caller, user_id: str, account_id: str) -> None:
    captured(sync_job, snapshot(user_id, account_id, "0", captured_at="2025-01-05T10:00:00Z"))

    point = series(user.portfolio("2025-01-05", "2025-01-05T23:59:59Z"))["USD"][0]

    assert (point["balance"], point["change_percent"], point["account_count"]) == ("0.00", -100.0, 1)


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    ("end", "is_complete"),
    [("2025-01-02T23:59:58.999999Z", False), ("2025-01-02T23:59:59Z", True), ("2025-01-02T23:59:59.999999Z", True)],
)
def test_a_bucket_is_complete_if_the_range_ends_within_a_second_of_it(
    user: Caller, end: str, is_complete: bool
) -> None:
    points = series(user.portfolio("2025-01-02", end))["USD"]

    assert [(p["ends_at"], p["is_complete"]) for p in points] == [("2025-01-03T00:00:00Z", is_complete)]


@pytest.mark.usefixtures("account")
def test_a_range_includes_its_end_to_the_microsecond(user: Caller) -> None:
    assert series(user.portfolio("2025-01-02", "2025-01-02T09:59:59.999999Z")) == {}
    assert values(series(user.portfolio("2025-01-02", "2025-01-02T10:00:00Z"))["USD"]) == ["100.00"]


@pytest.mark.usefixtures("account")
def test_tomorrow_is_left_out_and_today_is_incomplete(user: Caller) -> None:
    now = datetime.now(UTC)
    end = (now + timedelta(days=30)).isoformat()

    points = series(user.portfolio((now - timedelta(days=1)).isoformat(), end))["USD"]

    assert 2 <= len(points) <= 3
    assert all(datetime.fromisoformat(p["starts_at"]) <= datetime.now(UTC) for p in points)
    assert values(points, "is_complete") == [True] * (len(points) - 1) + [False]
    assert values(points) == ["110.00"] * len(points)


@pytest.mark.usefixtures("account")
def test_a_range_in_the_future_has_no_points(user: Caller) -> None:
    assert user.portfolio("2999-01-01", "2999-02-01").json["series"] == []


@pytest.mark.usefixtures("account")
def test_buckets_follow_the_time_zone(user: Caller) -> None:
    response = user.portfolio("2025-01-01T12:00:00Z", "2025-01-02T22:59:59Z", time_zone="Europe/Berlin")

    assert response.json["time_zone"] == "Europe/Berlin"
    assert [(p["starts_at"], p["ends_at"]) for p in series(response)["USD"]] == [
        ("2025-01-01T12:00:00Z", "2025-01-01T23:00:00Z"),
        ("2025-01-01T23:00:00Z", "2025-01-02T23:00:00Z"),
    ]


@pytest.mark.usefixtures("account")
def test_nobody_sees_the_accounts_of_others(user: Caller, sync_job: Caller) -> None:
    captured(sync_job, snapshot(str(uuid4()), str(uuid4()), "1000000", captured_at="2025-01-02T10:00:00Z"))

    assert values(series(user.portfolio("2025-01-02", "2025-01-02T23:59:59Z"))["USD"]) == ["100.00"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"start_date": "2025-01-01"}, "end_date"),
        ({"end_date": "2025-01-01"}, "start_date"),
        ({"start_date": "2025-01-02", "end_date": "2025-01-02"}, "start_date"),
        ({"start_date": "2025-01-01", "end_date": "2025-01-02", "interval": "hour"}, "interval"),
        ({"start_date": "2025-01-01", "end_date": "2025-01-02", "time_zone": "Foo+3"}, "time_zone"),
        ({"start_date": "2025-01-01", "end_date": "2025-01-02", "source": "account_sync"}, "source"),
    ],
)
def test_an_invalid_query_names_the_faulty_parameter(user: Caller, query: dict[str, str], field: str) -> None:
    response = user.get("/balance-history", **query)

    assert response.status_code == 400
    assert list(faults(response)) == [field]


def test_a_portfolio_history_has_at_most_eleven_hundred_buckets(user: Caller) -> None:
    # The 1,100th day from the beginning of 2020 is 2023-01-04.
    assert user.portfolio("2020-01-01", "2023-01-04T23:59:59Z").status_code == 200

    response = user.portfolio("2020-01-01", "2023-01-05")

    message = "The range has more than 1,100 intervals; shorten it or ask for a longer interval."
    assert (response.status_code, faults(response)) == (400, {"interval": [message]})


def test_a_portfolio_history_has_up_to_a_hundred_thousand_balances(
    user: Caller, user_id: str, sync_job: Caller
) -> None:
    captured(sync_job, *(snapshot(user_id, str(uuid4())) for _ in range(91)))

    # 91 accounts on 1,098 days make 99,918 balances, and 100,009 on 1,099 days.
    assert user.portfolio("2020-01-01", "2023-01-02T23:59:59Z").status_code == 200
    response = user.portfolio("2020-01-01", "2023-01-03T23:59:59Z")

    message = (
        "The range has more than 100,000 balances, one for each account and interval;"
        " shorten it or ask for a longer interval."
    )
    assert (response.status_code, faults(response)) == (400, {"interval": [message]})


def test_intervals_that_have_not_begun_do_not_count_against_the_balances(
    user: Caller, user_id: str, sync_job: Caller
) -> None:
    captured(sync_job, *(snapshot(user_id, str(uuid4())) for _ in range(91)))
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)

    response = user.portfolio(str(tomorrow), str(tomorrow + timedelta(days=1_099)))

    assert response.status_code == 200


def test_a_portfolio_history_counts_against_the_limit_of_reads(user: Caller) -> None:
    assert "X-RateLimit-Remaining" in user.portfolio("2025-01-01", "2025-01-02").headers
