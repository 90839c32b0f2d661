"""Calendar buckets: where the days, weeks, months, quarters and years of a time zone begin (rule 27)."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo


class TooManyBucketsError(ValueError):
    """The range has more buckets than the caller allows."""


def bucket_bounds(start: datetime, end: datetime, interval: str, zone: ZoneInfo, maximum: int) -> list[datetime]:
    """Return the bounds of the buckets that overlap the range, in UTC and ascending: one more than there are buckets.

    A bucket extends from its bound up to, but not including, the next. The first bound is `start`, since the range
    clips its bucket; the last is where the bucket that contains `end` ends by the calendar. Raises TooManyBucketsError
    beyond `maximum` buckets.
    """
    bounds = [start]
    for day in _bucket_dates(_local_date(start, zone), interval):
        try:
            bound = _start_of_day(day, zone)
        except OverflowError:  # Before year 1 or after year 9999 in UTC.
            continue
        # A date that the zone skips starts when the next one does.
        if bound > bounds[-1]:
            bounds.append(bound)
        if bound > end:
            break
        if len(bounds) > maximum:
            raise TooManyBucketsError
    else:
        bounds.append(datetime.max.replace(tzinfo=UTC))
    return bounds


def _local_date(instant: datetime, zone: ZoneInfo) -> date:
    try:
        return instant.astimezone(zone).date()
    except OverflowError:  # The last hours of year 0, or the first of year 10000.
        return date.min if instant.year == 1 else date.max


def _bucket_dates(day: date, interval: str) -> Iterator[date]:
    """Yield the first date of each bucket, starting with the one that contains `day`."""
    try:
        if interval in ("day", "week"):
            first = day if interval == "day" else day - timedelta(days=day.weekday())
            step = timedelta(days=1 if interval == "day" else 7)
            while True:
                yield first
                first += step
        months = {"month": 1, "quarter": 3, "year": 12}[interval]
        month = (day.month - 1) // months * months
        year = day.year
        while True:
            yield date(year, month + 1, 1)
            year, month = year + (month + months) // 12, (month + months) % 12
    except (OverflowError, ValueError):  # Past year 9999.
        return


# Most callers ask for the same days: computing a year of them takes 1 ms, looking them up 0.1 ms.
@lru_cache(maxsize=20_000)
def _start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """Return the first instant of a local date, in UTC.

    That is its midnight: the first one if the clocks repeat it, or the instant of the jump if they skip it. Raises
    OverflowError outside of years 1 to 9999.
    """
    midnight = datetime.combine(day, time(), zone)
    offset, later_offset = _utc_offset(midnight), _utc_offset(midnight.replace(fold=1))
    instant = midnight.replace(tzinfo=UTC) - offset
    if later_offset <= offset:
        return instant
    return _transition(instant - (later_offset - offset), instant, zone)


def _transition(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the one instant between the two, to the second, at which the zone's offset from UTC changes."""
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if _utc_offset(middle.astimezone(zone)) == _utc_offset(after.astimezone(zone)):
            after = middle
        else:
            before = middle
    return after


def _utc_offset(instant: datetime) -> timedelta:
    offset = instant.utcoffset()
    assert offset is not None
    return offset
