"""The time of a captured snapshot (rules 8 and 20)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support import Caller, captured, faults
from tests.support.captures import assert_refused, only_snapshot


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ("2025-06-15T10:00:00Z", "2025-06-15T10:00:00Z"),
        ("2025-06-15t10:00:00z", "2025-06-15T10:00:00Z"),
        ("2025-06-15 10:00:00+00:00", "2025-06-15T10:00:00Z"),
        ("2025-06-15T10:00:00-00:00", "2025-06-15T10:00:00Z"),
        ("2025-06-15T12:30:00+02:30", "2025-06-15T10:00:00Z"),
        ("2025-06-14T20:00:00-14:00", "2025-06-15T10:00:00Z"),
        ("2025-06-15T10:00:00", "2025-06-15T10:00:00Z"),
        ("2025-06-15", "2025-06-15T00:00:00Z"),
        ("2025-06-15T10:00:00.000Z", "2025-06-15T10:00:00Z"),
        ("2025-06-15T10:00:00.5Z", "2025-06-15T10:00:00.500000Z"),
        ("2025-06-15T10:00:00.123450Z", "2025-06-15T10:00:00.123450Z"),
        ("2025-06-15T10:00:00.000001Z", "2025-06-15T10:00:00.000001Z"),
        ("2024-02-29T23:59:59.999999Z", "2024-02-29T23:59:59.999999Z"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("1969-07-20T20:17:40Z", "1969-07-20T20:17:40Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00-01:00", "0001-01-01T01:00:00Z"),
    ],
)
def test_a_past_instant_is_accepted_in_several_forms_and_returned_in_utc(
    sent: str, returned: str, sync_job: Caller, user: Caller, account_id: str, item: dict[str, Any]
) -> None:
    (stored,) = captured(sync_job, item | {"captured_at": sent})

    assert stored["captured_at"] == only_snapshot(user, account_id)["captured_at"] == returned


@pytest.mark.parametrize(
    "instant",
    [
        "2025-06-15T10:00:00.1234567Z",
        "2025-06-15T10:00:00.0000000Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-14:00",
        "0000-12-31T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2025-06-15T10:00:00 02:00",
        "2025-06-15x10:00:00Z",
        "2025-06-15T10:00:00 Z",
        "2025-06-15T24:00:01Z",
        "2025-06-15T10:00:60Z",
        "2025-06-15T10:60:00Z",
        "2025-06-15T10:00:00+24:00",
        "2025-02-29T10:00:00Z",
        "2025-13-01",
        "2025-06",
        "15/06/2025",
        "now",
        "infinity",
        "\uff12025-06-15",
        "",
        1749981600,
        [],
    ],
    ids=ascii,
)
def test_an_instant_that_is_not_iso_8601_or_is_out_of_range_is_refused(
    instant: object, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    response = sync_job.capture(item | {"captured_at": instant})

    assert_refused(response, 400, user)
    assert faults(response).keys() == {"/snapshots/0/captured_at"}


def test_an_instant_60_seconds_ahead_is_accepted(sync_job: Caller, item: dict[str, Any]) -> None:
    ahead = datetime.now(UTC) + timedelta(seconds=60)

    assert sync_job.capture(item | {"captured_at": ahead.isoformat()}).status_code == 201


@pytest.mark.parametrize("ahead", [timedelta(seconds=75), timedelta(days=36500)], ids=str)
def test_an_instant_more_than_60_seconds_ahead_is_refused(
    ahead: timedelta, sync_job: Caller, user: Caller, item: dict[str, Any]
) -> None:
    response = sync_job.capture(item | {"captured_at": (datetime.now(UTC) + ahead).isoformat()})

    assert_refused(response, 400, user)
    assert faults(response).keys() == {"/snapshots/0/captured_at"}


@pytest.mark.parametrize("instant", ["2025-06-15 10:00", "2025-06-15T10:00:00 01:00"])
def test_a_fault_in_a_body_gives_no_advice_about_urls(instant: str, sync_job: Caller, item: dict[str, Any]) -> None:
    response = sync_job.capture(item | {"captured_at": instant})

    message = "Must be a date and time in ISO 8601, like 2025-12-26T10:00:00Z."
    assert faults(response) == {"/snapshots/0/captured_at": [message]}
