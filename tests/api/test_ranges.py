"""The range of a history and the forms of its times (rule 8)."""

from typing import Any

import pytest

from tests.support import Caller, captured, day, faults, snapshot
from tests.support.reads import changes


def test_a_range_includes_both_ends_to_the_microsecond(
    user: Caller, sync_job: Caller, user_id: str, account_id: str
) -> None:
    times = [f"2025-01-01T00:00:00.00000{n}Z" for n in range(1, 6)]
    captured(sync_job, *(snapshot(user_id, account_id, captured_at=time) for time in times))

    response = user.history(account_id, times[1], times[3])

    assert [s["captured_at"] for s in response.json["snapshots"]] == times[1:4]


@pytest.mark.parametrize(
    "start",
    [
        "2025-01-02T00:00:00Z",
        "2025-01-02t00:00:00z",
        "2025-01-02 00:00:00Z",
        "2025-01-02T00:00:00",
        "2025-01-02",
        "2025-01-02T00:00",
        "2025-01-02T00:00Z",
        "20250102T000000Z",
        "2025-W01-4",
        "2025-W01-4T00:00:00Z",
        "2025-01-02T00:00:00.000000Z",
        "2025-01-02T00:00:00,000Z",
        "2025-01-02T02:00:00+02:00",
        "2025-01-02T02:00:00+0200",
        "2025-01-02T02:00:00+02",
        "2025-01-01T18:30:00-05:30",
        "2025-01-02T00:00:00-00:00",
        "2025-01-02T23:59:00+23:59",
    ],
)
def test_a_time_may_be_written_in_several_forms_of_iso_8601(
    user: Caller, account_id: str, series: Any, start: str
) -> None:
    series("1.00", "2.00")

    response = user.history(account_id, start, "2025-01-31")
    assert response.status_code == 200, response.json
    assert [b for b, _, _ in changes(response)] == ["2.00"]


def test_a_leap_second_is_the_second_after_it(user: Caller, account_id: str, series: Any) -> None:
    series("1.00", captured_at="2017-01-01T00:00:00Z")

    for leap in ("2016-12-31T23:59:60Z", "2016-12-31T15:59:60-08:00"):
        assert len(user.history(account_id, leap, "2018-01-01").json["snapshots"]) == 1


BAD_TIMES = [
    "",
    "now",
    "1735689600",
    "2025-01-01x00:00:00Z",
    "2025-13-01T00:00:00Z",
    "2025-02-29",
    "2025-01-01T24:00:00Z",
    "2025-01-01T00:60:00Z",
    "2025-01-01T00:00:61Z",
    "2025-01-01T12:00:60Z",
    "2025-06-29T23:59:60Z",
    "2025-01-01T00:00:00.Z",
    "2025-01-01T00:00:00.1234567Z",
    "2025-01-01T00:00:00.0000000Z",
    "2025-01-01T00:00:00+24:00",
    "2025-01-01T00:00:00+01:60",
    "2025-01-01T00:00:00+1:00",
    "2025-01-01T00:00:00Z+01:00",
    "2025-01-01T00:0000Z",
    "2025-01-01Z",
    "2025-1-1",
    "25-01-01",
    " 2025-01-01",
    "2025-01-01\n",
    "2025-01-01T00:00:00Z\x00",
    "２０２５-01-01",
    "0000-01-01",
    "0001-01-01T00:00:00+00:01",
    "9999-12-31T23:59:59.999999-00:01",
    "9999-12-31T23:59:60Z",
    "10000-01-01T00:00:00Z",
    "-2025-01-01",
]


@pytest.mark.parametrize("time", BAD_TIMES)
@pytest.mark.parametrize("name", ["start_date", "end_date"])
def test_a_malformed_time_is_refused_by_name(user: Caller, account_id: str, name: str, time: str) -> None:
    query = {"start_date": "2025-01-01", "end_date": "2025-01-02"} | {name: time}

    response = user.get(f"/accounts/{account_id}/balance-history", **query)

    assert response.status_code == 400
    assert list(faults(response)) == [name]


@pytest.mark.parametrize(
    "time", ["2025-01-01T00:00:00 02:00", "2025-01-01T00:00:00 0200", "20250101T000000 02", "2025-01-01 10:00"]
)
def test_an_offset_whose_plus_became_a_space_is_explained(user: Caller, account_id: str, time: str) -> None:
    response = user.history(account_id, time, "2025-02-01")

    assert response.status_code == 400
    assert "%2B" in faults(response)["start_date"][0]


def test_the_first_and_the_last_instant_are_accepted(user: Caller, account_id: str, series: Any) -> None:
    series("1.00")

    response = user.history(account_id, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z")

    assert len(response.json["snapshots"]) == 1


@pytest.mark.parametrize("end", [day(1), "2024-12-31T23:59:59.999999Z", "2025-01-01T01:00:00%2B01:00"])
def test_a_range_that_does_not_end_after_its_start_is_refused(user: Caller, account_id: str, end: str) -> None:
    response = user.history(account_id, day(1), end.replace("%2B", "+"))

    assert response.status_code == 400
    assert faults(response) == {"start_date": ["Must be before end_date."]}


def test_a_range_of_a_microsecond_is_accepted(user: Caller, account_id: str, series: Any) -> None:
    series("1.00")

    assert len(user.history(account_id, day(1), "2025-01-01T00:00:00.000001Z").json["snapshots"]) == 1


def test_missing_ends_of_a_range_are_named(user: Caller, account_id: str) -> None:
    response = user.get(f"/accounts/{account_id}/balance-history")

    assert response.status_code == 400
    assert set(faults(response)) == {"start_date", "end_date"}
