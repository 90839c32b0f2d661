"""Random histories, thinned by calendar intervals, against a model of rule 27 in plain Python."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import INTERVALS, SOURCES
from snapshots.buckets import bucket_bounds
from tests.support import Caller, captured, snapshot, user_token

MICROSECOND = timedelta(microseconds=1)
# Around the nights in which São Paulo skipped a midnight, Havana repeated one and Apia skipped a day.
NIGHTS = {
    "UTC": datetime(2025, 3, 31, tzinfo=UTC),
    "America/Sao_Paulo": datetime(2017, 10, 15, 3, tzinfo=UTC),
    "America/Havana": datetime(2025, 11, 2, 4, tzinfo=UTC),
    "Pacific/Apia": datetime(2011, 12, 30, 10, tzinfo=UTC),
}
# Bounds matter most: a microsecond before, at and after them, an hour later, and days away.
offsets = st.builds(
    lambda days, microseconds: timedelta(days=days, microseconds=microseconds),
    st.integers(-5, 5) | st.integers(-100, 100),
    st.sampled_from([-1, 0, 1, 3_600_000_000]),
)


def thinned(series: list[dict[str, Any]], bounds: list[datetime], end: datetime) -> list[str]:
    """Return the ids of the last snapshot of each bucket."""
    last_of_bucket = []
    for starts_at, ends_at in pairwise(bounds):
        inside = [s for s in series if starts_at <= s["at"] < ends_at and s["at"] <= end]
        last_of_bucket += [s["id"] for s in inside[-1:]]
    return last_of_bucket


@given(
    keys=st.lists(
        st.tuples(offsets, st.sampled_from(SOURCES[:2]), st.sampled_from(["USD", "USD", "JPY"])),
        min_size=1,
        max_size=12,
        unique_by=lambda key: key[:2],
    ),
    zone=st.sampled_from(sorted(NIGHTS)),
    interval=st.sampled_from(INTERVALS),
    source=st.sampled_from([None, *SOURCES[:2]]),
    start=offsets,
    length=st.one_of(st.timedeltas(MICROSECOND, timedelta(days=120)), st.just(timedelta(days=1, seconds=-1))),
)
def test_an_interval_keeps_the_last_snapshot_of_each_bucket(
    app: Flask,
    keys: list[Any],
    zone: str,
    interval: str,
    source: str | None,
    start: timedelta,
    length: timedelta,
) -> None:
    user_id, account_id = str(uuid4()), str(uuid4())
    items = [
        snapshot(
            user_id, account_id, str(n), source=of, currency=currency, captured_at=(NIGHTS[zone] + offset).isoformat()
        )
        for n, (offset, of, currency) in enumerate(keys)
    ]
    stored = captured(Caller(app, user_token("sync-job", scope="balance-snapshots:write")), *items)
    series = sorted(
        (
            {"id": created["id"], "at": NIGHTS[zone] + offset, "balance": n, "currency": currency}
            for n, ((offset, of, currency), created) in enumerate(zip(keys, stored, strict=True))
            if source in (None, of)
        ),
        key=lambda s: (s["at"], UUID(s["id"])),
    )
    start_date = NIGHTS[zone] + start
    end_date = start_date + length
    query = {"interval": interval, "time_zone": zone} | ({"source": source} if source else {})

    found = (
        Caller(app, user_token(user_id))
        .history(account_id, start_date.isoformat(), end_date.isoformat(), **query)
        .json["snapshots"]
    )

    bounds = bucket_bounds(start_date, end_date, interval, ZoneInfo(zone), 4000)
    expected = thinned(series, bounds, end_date)
    assert [s["id"] for s in found] == expected
    by_id = {s["id"]: s for s in series}
    before = [s for s in series if s["at"] < start_date][-1:]
    rows = before + [by_id[id_] for id_ in expected]
    for shown, current in zip(found, [by_id[id_] for id_ in expected], strict=True):
        place = rows.index(current)
        previous = rows[place - 1] if place else None
        if previous is None or previous["currency"] != current["currency"]:
            assert shown["change_amount"] is None
        else:
            assert float(shown["change_amount"]) == current["balance"] - previous["balance"]
