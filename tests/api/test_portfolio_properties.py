"""Random portfolios, read as a history, against a model of rule 28 in plain Python."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from itertools import pairwise
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from schemas.fields import INTERVALS
from snapshots.buckets import bucket_bounds
from tests.support import Caller, captured, snapshot, user_token

MINOR_UNITS = {"USD": 2, "JPY": 0, "KWD": 3}
MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
# Around the nights in which São Paulo skipped a midnight, Havana repeated one and Apia skipped a day.
NIGHTS = {
    "UTC": datetime(2025, 3, 31, tzinfo=UTC),
    "America/Sao_Paulo": datetime(2017, 10, 15, 3, tzinfo=UTC),
    "America/Havana": datetime(2025, 11, 2, 4, tzinfo=UTC),
    "Pacific/Apia": datetime(2011, 12, 30, 10, tzinfo=UTC),
}


@dataclass(frozen=True)
class Known:
    """A captured snapshot; `place` is its place in the batch, whose ids ascend."""

    account: str
    balance: Decimal
    currency: str
    captured_at: datetime
    place: int


def amount(balance: Decimal | None) -> str | None:
    return None if balance is None else f"{balance:f}"


def percent(previous: Decimal | None, current: Decimal | None) -> float | None:
    if previous is None or current is None or previous == 0:
        return None
    with localcontext(prec=60):
        exact = (current - previous) * 100 / abs(previous)
        return float(exact.quantize(Decimal("0.01"), ROUND_HALF_UP)) + 0.0


def difference(previous: Decimal | None, current: Decimal | None) -> Decimal | None:
    return None if previous is None or current is None else current - previous


def iso(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def state(known: list[Known], before: datetime) -> dict[str, Known]:
    """Return each account's last snapshot before an instant."""
    found: dict[str, Known] = {}
    for last in sorted(known, key=lambda k: (k.captured_at, k.place)):
        if last.captured_at < before:
            found[last.account] = last
    return found


def value(accounts: dict[str, Known], currency: str) -> Decimal | None:
    balances = [known.balance for known in accounts.values() if known.currency == currency]
    return sum(balances[1:], balances[0]) if balances else None


def entered(before: dict[str, Known], now: dict[str, Known], currency: str) -> Decimal:
    total = Decimal(1).scaleb(-MINOR_UNITS[currency]) * 0
    for account, known in now.items():
        previous = before.get(account)
        if known.currency == currency and (previous is None or previous.currency != currency):
            total += known.balance
        if previous is not None and previous.currency == currency != known.currency:
            total -= previous.balance
    return total


def expected(known: list[Known], bounds: list[datetime], end: datetime) -> list[dict[str, Any]]:
    buckets = list(pairwise(bounds))
    cutoffs = [bounds[0], *bounds[1:-1], end + MICROSECOND]
    states = [state(known, cutoff) for cutoff in cutoffs]
    series = []
    for currency in sorted({k.currency for accounts in states[1:] for k in accounts.values()}):
        points: list[dict[str, Any]] = []
        for (starts_at, ends_at), (before, accounts) in zip(buckets, pairwise(states), strict=True):
            previous, balance = value(before, currency), value(accounts, currency)
            change = difference(previous, balance)
            summed = [k for k in accounts.values() if k.currency == currency]
            points.append(
                {
                    "starts_at": iso(starts_at),
                    "ends_at": iso(ends_at),
                    "is_complete": ends_at <= end + SECOND,
                    "balance": amount(balance),
                    "change_amount": amount(change),
                    "change_percent": percent(previous, balance),
                    "entered_amount": amount(None if change is None else entered(before, accounts, currency)),
                    "account_count": len(summed),
                    "observed_count": sum(k.captured_at >= starts_at for k in summed),
                    "oldest_captured_at": iso(min(k.captured_at for k in summed)) if summed else None,
                }
            )
        balances = [value(accounts, currency) for accounts in states[1:]]
        first, last = next(balance for balance in balances if balance is not None), balances[-1]
        series.append(
            {
                "currency": currency,
                "points": points,
                "start_balance": amount(first),
                "end_balance": amount(last),
                "total_change_amount": amount(difference(first, last)),
                "total_change_percent": percent(first, last),
            }
        )
    return series


balances = st.sampled_from([0, -50000, 50000, 1, -1, 12345])
# Bounds matter most: a microsecond before, at and after them, an hour later, and days away.
offsets = st.builds(
    lambda days, microseconds: timedelta(days=days, microseconds=microseconds),
    st.integers(-40, 40),
    st.sampled_from([-1, 0, 1, 3_600_000_000]),
)
captures = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        balances,
        st.sampled_from(["USD", "USD", "JPY", "KWD"]),
        offsets,
        st.sampled_from(["account_sync", "manual_sync"]),
    ),
    max_size=12,
    unique_by=lambda c: (c[0], c[3], c[4]),
)


@given(
    captures=captures,
    zone=st.sampled_from(sorted(NIGHTS)),
    interval=st.sampled_from(INTERVALS),
    start=offsets,
    length=st.one_of(st.timedeltas(MICROSECOND, timedelta(days=60)), st.sampled_from([timedelta(days=1) - SECOND])),
)
def test_portfolio_history_returns_what_the_model_returns(
    app: Flask, captures: list[Any], zone: str, interval: str, start: timedelta, length: timedelta
) -> None:
    user_id, accounts = str(uuid4()), {name: str(uuid4()) for name in "abc"}
    known = []
    items = []
    for place, (account, units, currency, offset, source) in enumerate(captures):
        balance = Decimal(units).scaleb(-MINOR_UNITS[currency])
        captured_at = NIGHTS[zone] + offset
        known.append(Known(account, balance, currency, captured_at, place))
        items.append(
            snapshot(
                user_id,
                accounts[account],
                f"{balance:f}",
                currency=currency,
                source=source,
                captured_at=captured_at.isoformat(),
            )
        )
    if items:
        captured(Caller(app, user_token("sync-job", scope="balance-snapshots:write")), *items)
    start_date = NIGHTS[zone] + start
    end_date = start_date + length
    user = Caller(app, user_token(user_id))

    body = user.portfolio(iso(start_date), iso(end_date), interval=interval, time_zone=zone).json

    bounds = bucket_bounds(start_date, end_date, interval, ZoneInfo(zone), 1100)
    series = expected(known, bounds, end_date)
    assert body == {
        "interval": interval,
        "time_zone": zone,
        "series": series,
        "total_count": len(bounds) - 1 if series else 0,
    }
    as_of = user.latest(as_of=iso(end_date)).json["total_balance_by_currency"]
    last = {s["currency"]: s["end_balance"] for s in body["series"] if s["end_balance"] is not None}
    assert last == as_of
