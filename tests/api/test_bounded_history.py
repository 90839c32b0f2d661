"""The maximum size of a history, and intervals as parameters (rules 26 and 27)."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from flask import Flask

from tests.support import Caller, Response, captured, faults, snapshot, user_token

TOO_LONG = "The range holds more than 10,000 snapshots; shorten it or ask for an interval."


@pytest.fixture
def long_account(database_url: str, user_id: str) -> Iterator[str]:
    """An account with 10,001 snapshots, one a minute from the beginning of 2025, alternating between two sources."""
    account_id = str(uuid4())
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO accounts (id, user_id) VALUES (%s, %s)", [account_id, user_id])
        connection.execute(
            """
            INSERT INTO balance_snapshots (user_id, account_id, balance, currency, source, captured_at)
            SELECT %s, %s, in_currency(n, 'USD'), 'USD',
                (CASE WHEN n %% 2 = 0 THEN 'account_sync' ELSE 'holdings_sync' END)::snapshot_source,
                '2025-01-01T00:00:00Z'::timestamptz + n * INTERVAL '1 minute'
            FROM generate_series(0, 10000) AS n
            """,
            [user_id, account_id],
        )
        yield account_id
        connection.execute("DELETE FROM balance_snapshots WHERE account_id = %s", [account_id])


def assert_too_long(response: Response) -> None:
    assert response.status_code == 400, response.text[:200]
    assert faults(response) == {"end_date": [TOO_LONG]}
    assert "Retry-After" not in response.headers


def test_a_history_holds_at_most_ten_thousand_snapshots(user: Caller, long_account: str) -> None:
    # 10,000 minutes after the first snapshot is 22:40 of the seventh day.
    longest = user.history(long_account, "2025-01-01T00:00:30Z", "2025-01-07T22:40:00Z")
    assert longest.json["total_count"] == 10_000
    assert longest.json["snapshots"][0]["change_amount"] == "1.00"

    assert_too_long(user.history(long_account, "2025-01-01T00:00:00Z", "2025-01-07T22:40:00Z"))
    assert_too_long(user.history(long_account))


def test_a_csv_file_holds_as_many_snapshots_as_a_json_history(user: Caller, long_account: str) -> None:
    path = f"/accounts/{long_account}/balance-history.csv"

    longest = user.get(path, start_date="2025-01-01T00:00:30Z", end_date="2026-01-01")
    assert longest.text.count("\r\n") == 10_001
    assert_too_long(user.get(path, start_date="2025-01-01", end_date="2026-01-01"))


def test_snapshots_of_other_sources_do_not_count_towards_the_maximum(user: Caller, long_account: str) -> None:
    assert user.history(long_account, source="account_sync").json["total_count"] == 5_001


def test_a_long_history_of_another_user_is_a_403(app: Flask, long_account: str) -> None:
    stranger = Caller(app, user_token(str(uuid4())))

    assert stranger.history(long_account).status_code == 403


def test_an_interval_makes_a_long_history_short(user: Caller, long_account: str) -> None:
    days = user.history(long_account, "2025-01-01", "2025-12-31", interval="day").json

    assert [s["balance"] for s in days["snapshots"]] == [f"{n}.00" for n in (1439, 2879, 4319, 5759, 7199, 8639, 10000)]
    assert [s["change_amount"] for s in days["snapshots"]] == [None, *["1440.00"] * 5, "1361.00"]


def test_intervals_of_an_account_that_a_user_may_not_read_are_a_403_or_a_404(
    sync_job: Caller, user: Caller, account_id: str
) -> None:
    captured(sync_job, snapshot(str(uuid4()), account_id))

    for path, status in ((account_id, 403), (str(uuid4()), 404), ("no-uuid", 404)):
        assert user.history(path, "2024-01-01", "2025-12-31", interval="year").status_code == status


@pytest.fixture
def account(sync_job: Caller, user_id: str, account_id: str) -> str:
    """An account with snapshots of 31 December and 1 January, both at 23:30 UTC."""
    captured(
        sync_job,
        snapshot(user_id, account_id, "1.00", captured_at="2024-12-31T23:30:00Z"),
        snapshot(user_id, account_id, "2.00", captured_at="2025-01-01T23:30:00Z"),
    )
    return account_id


@pytest.mark.parametrize(
    ("zone", "balances"), [(None, ["1.00", "2.00"]), ("UTC", ["1.00", "2.00"]), ("Europe/Berlin", ["2.00"])]
)
def test_buckets_follow_the_time_zone(user: Caller, account: str, zone: str | None, balances: list[str]) -> None:
    query = {"interval": "year"} | ({"time_zone": zone} if zone else {})

    found = user.history(account, "2024-06-01", "2025-06-01", **query).json["snapshots"]

    assert [s["balance"] for s in found] == balances


def test_the_first_change_of_an_interval_compares_with_the_last_snapshot_before_the_range(
    user: Caller, account: str
) -> None:
    (found,) = user.history(account, "2025-01-01", "2025-02-01", interval="month").json["snapshots"]

    assert (found["balance"], found["change_amount"]) == ("2.00", "1.00")


def test_a_range_includes_its_end_to_the_microsecond(user: Caller, account: str) -> None:
    def count(end: str) -> int:
        return int(user.history(account, "2024-12-01", end, interval="year").json["total_count"])

    assert [count("2025-01-01T23:29:59.999999Z"), count("2025-01-01T23:30:00Z")] == [1, 2]


@pytest.mark.parametrize(
    "name", ["Foo+3", "localtime", "Factory", "posixrules", "europe/berlin", "Europe/Berlin ", "../UTC", "", "+01:00"]
)
def test_an_invalid_time_zone_is_refused(user: Caller, account: str, name: str) -> None:
    response = user.history(account, interval="day", time_zone=name)

    assert response.status_code == 400
    assert faults(response) == {"time_zone": ["Must be the name of an IANA time zone, like Europe/Berlin."]}


def test_a_time_zone_needs_an_interval(user: Caller, account: str) -> None:
    assert faults(user.history(account, time_zone="UTC")) == {"time_zone": ["Requires an interval."]}


@pytest.mark.parametrize("interval", ["hour", "DAY", "days", ""])
def test_an_unknown_interval_is_refused_with_a_list_of_the_known_ones(
    user: Caller, account: str, interval: str
) -> None:
    response = user.history(account, interval=interval)

    assert faults(response) == {"interval": ["Must be one of day, week, month, quarter, year."]}


def test_a_history_has_at_most_four_thousand_intervals(user: Caller, account: str) -> None:
    # The 4,000th day from the beginning of 2020 is 2030-12-13.
    assert user.history(account, "2020-01-01", "2030-12-13T23:59:59Z", interval="day").status_code == 200

    response = user.history(account, "2020-01-01", "2030-12-14T00:00:00Z", interval="day")

    assert response.status_code == 400
    message = "The range has more than 4,000 intervals; shorten it or ask for a longer interval."
    assert faults(response) == {"interval": [message]}
