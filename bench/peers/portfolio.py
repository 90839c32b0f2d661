"""The portfolio's history, for both peers: every row is read, and balances are carried forward in Python."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import UUID

from iso4217 import Currency

_ZEROS = {c.code: Decimal(1).scaleb(-c.exponent) * 0 for c in Currency if c.exponent is not None}


class Row(NamedTuple):
    account_id: UUID
    captured_at: datetime
    balance: Decimal
    currency: str


Held = dict[UUID, Row]


def portfolio(rows: list[Row], bounds: list[datetime], end_date: datetime, **echoed: str) -> dict[str, Any]:
    """Return the response, which begins with the `echoed` parameters.

    `rows`: those of all accounts until `end_date`, oldest first; `bounds`: those that bucket_bounds returns.
    """
    now = datetime.now(UTC)
    held = list(_carried(rows, bounds))
    buckets = [bucket for bucket in zip(pairwise(bounds), pairwise(held), strict=True) if bucket[0][0] <= now]
    currencies = sorted({row.currency for _, (_, after) in buckets for row in after.values()})
    return {
        **echoed,
        "series": [_series(currency, buckets, end_date, now) for currency in currencies],
        "total_count": len(buckets) if currencies else 0,
    }


def _carried(rows: list[Row], bounds: list[datetime]) -> Iterator[Held]:
    """Yield the last row of each account before each bound."""
    held: Held = {}
    remaining = iter(rows)
    row = next(remaining, None)
    for bound in bounds:
        while row and row.captured_at < bound:
            held[row.account_id] = row
            row = next(remaining, None)
        yield dict(held)


def _series(currency: str, buckets: list[Any], end_date: datetime, now: datetime) -> dict[str, Any]:
    points = []
    balances = []
    previous = _sum(currency, buckets[0][1][0])
    for (starts_at, ends_at), (before, after) in buckets:
        balance = _sum(currency, after)
        rows = [row for row in after.values() if row.currency == currency]
        compares = balance is not None and previous is not None
        points.append(
            {
                "starts_at": _utc(starts_at),
                "ends_at": _utc(ends_at),
                "is_complete": ends_at <= min(end_date + timedelta(seconds=1), now),
                "balance": _text(balance),
                "change_amount": _text(balance - previous) if balance is not None and previous is not None else None,
                "change_percent": _percent(previous, balance),
                "entered_amount": str(_entered(currency, before, after)) if compares else None,
                "account_count": len(rows),
                "observed_count": sum(row.captured_at >= starts_at for row in rows),
                "oldest_captured_at": _utc(min(row.captured_at for row in rows)) if rows else None,
            }
        )
        balances.append(balance)
        previous = balance
    start, end = next(balance for balance in balances if balance is not None), balances[-1]
    return {
        "currency": currency,
        "points": points,
        "start_balance": str(start),
        "end_balance": _text(end),
        "total_change_amount": None if end is None else str(end - start),
        "total_change_percent": _percent(start, end),
    }


def _sum(currency: str, held: Held) -> Decimal | None:
    balances = [row.balance for row in held.values() if row.currency == currency]
    return sum(balances, Decimal(0)) if balances else None


def _entered(currency: str, before: Held, after: Held) -> Decimal:
    entered = _ZEROS[currency]
    for account_id, row in after.items():
        previous = before.get(account_id)
        if previous and previous.currency == row.currency:
            continue
        if row.currency == currency:
            entered += row.balance
        elif previous and previous.currency == currency:
            entered -= previous.balance
    return entered


def _percent(previous: Decimal | None, current: Decimal | None) -> float | None:
    if not previous or current is None:
        return None
    return float((100 * (current - previous) / abs(previous)).quantize(Decimal("0.01"), ROUND_HALF_UP))


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
