"""Where calendar buckets begin (rule 27), in zones that skip and repeat midnights."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import INTERVALS
from snapshots.buckets import TooManyBucketsError, bucket_bounds

MICROSECOND = timedelta(microseconds=1)
# Their clocks skip midnights (Apia and Kwajalein whole days), repeat them, or change by half an hour or at 0:01.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Amman",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Pacific/Kwajalein",
]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def days(zone: str, start: str, end: str) -> list[str]:
    bounds = bucket_bounds(utc(start), utc(end), "day", ZoneInfo(zone), 100)
    return [bound.strftime("%d %H:%M") for bound in bounds]


def test_the_first_bucket_is_clipped_by_the_range() -> None:
    assert days("UTC", "2025-01-01T10:00", "2025-01-03T00:00") == ["01 10:00", "02 00:00", "03 00:00", "04 00:00"]


def test_the_last_bucket_ends_with_the_day_that_holds_the_end_of_the_range() -> None:
    assert days("UTC", "2025-01-01", "2025-01-02T23:59:59.999999") == ["01 00:00", "02 00:00", "03 00:00"]


def test_a_range_within_a_bucket_has_one_bucket() -> None:
    assert days("UTC", "2025-01-01T10:00", "2025-01-01T11:00") == ["01 10:00", "02 00:00"]


def test_a_day_whose_midnight_is_skipped_begins_at_its_first_instant() -> None:
    # At midnight on 15 October the clocks of São Paulo went forward to 1:00.
    assert days("America/Sao_Paulo", "2017-10-14T12:00", "2017-10-16T12:00") == [
        "14 12:00",
        "15 03:00",
        "16 02:00",
        "17 02:00",
    ]


def test_a_skipped_day_has_no_bucket() -> None:
    # Apia had no 30 December.
    assert days("Pacific/Apia", "2011-12-29T12:00", "2012-01-01T09:00") == [
        "29 12:00",
        "30 10:00",
        "31 10:00",
        "01 10:00",
    ]


def test_a_day_whose_midnight_repeats_begins_at_the_first_one() -> None:
    # At 1:00 on 2 November the clocks of Havana went back to midnight.
    assert days("America/Havana", "2025-11-01T12:00", "2025-11-03T12:00") == [
        "01 12:00",
        "02 04:00",
        "03 05:00",
        "04 05:00",
    ]


def test_clocks_that_go_back_over_midnight_do_not_reopen_the_day_before() -> None:
    # At 0:01 on 29 October the clocks of St. John's went back to 23:01 of the 28th.
    assert days("America/St_Johns", "2006-10-28T12:00", "2006-10-29T12:00") == ["28 12:00", "29 02:30", "30 03:30"]


@pytest.mark.parametrize(
    ("interval", "bounds"),
    [
        ("week", ["2024-12-28", "2024-12-30", "2025-01-06", "2025-01-13"]),
        ("month", ["2024-12-28", "2025-01-01", "2025-02-01"]),
        ("quarter", ["2024-12-28", "2025-01-01", "2025-04-01"]),
        ("year", ["2024-12-28", "2025-01-01", "2026-01-01"]),
    ],
)
def test_an_interval_begins_where_the_calendar_says(interval: str, bounds: list[str]) -> None:
    found = bucket_bounds(utc("2024-12-28"), utc("2025-01-10"), interval, ZoneInfo("UTC"), 100)

    assert found == [utc(bound) for bound in bounds]


def test_more_buckets_than_the_maximum_are_an_error() -> None:
    start, end = utc("2025-01-01"), utc("2025-01-10")

    assert len(bucket_bounds(start, end, "day", ZoneInfo("UTC"), 10)) == 11
    with pytest.raises(TooManyBucketsError):
        bucket_bounds(start, end, "day", ZoneInfo("UTC"), 9)


@pytest.mark.parametrize("zone", ["America/New_York", "UTC", "Pacific/Kiritimati"])
@pytest.mark.parametrize("interval", INTERVALS)
def test_buckets_reach_the_ends_of_the_calendar(zone: str, interval: str) -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

    assert bucket_bounds(first, first + timedelta(hours=1), interval, ZoneInfo(zone), 3)[0] == first
    assert bucket_bounds(last - timedelta(hours=1), last, interval, ZoneInfo(zone), 3)[-1] == last


def period(day: date, interval: str) -> tuple[int, ...]:
    return {
        "day": (day.toordinal(),),
        "week": day.isocalendar()[:2],
        "month": (day.year, day.month),
        "quarter": (day.year, (day.month + 2) // 3),
        "year": (day.year,),
    }[interval]


def latest_date(instant: datetime, zone: ZoneInfo) -> date:
    """Return the latest date that the zone's clocks have shown by an instant; they go back by less than three hours."""
    return max((instant - timedelta(minutes=n)).astimezone(zone).date() for n in range(180))


@given(
    st.datetimes(datetime(1975, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - Hypothesis adds it
    st.timedeltas(MICROSECOND, timedelta(days=40)),
    st.sampled_from(INTERVALS),
    st.sampled_from(ZONES).map(ZoneInfo),
)
def test_buckets_are_the_periods_of_the_calendar(
    start: datetime, length: timedelta, interval: str, zone: ZoneInfo
) -> None:
    end = start + length
    bounds = bucket_bounds(start, end, interval, zone, 4000)

    assert bounds[0] == start
    assert bounds[-2] <= end < bounds[-1]
    periods = []
    for first, after in pairwise(bounds):
        assert first < after
        periods.append(period(latest_date(first, zone), interval))
        assert period(latest_date(after - MICROSECOND, zone), interval) == periods[-1]
    assert periods == sorted(set(periods))
