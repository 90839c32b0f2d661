"""Random histories, read back by the three documented reads, against a model of the rules in plain Python."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from schemas.capture import AMOUNTS
from schemas.fields import SOURCES
from tests.support import Caller, captured, snapshot, user_token

DIGITS = {"USD": 2, "JPY": 0, "KWD": 3, "CLF": 4}
EPOCH = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Captured:
    """A snapshot as the model knows it; times are microseconds from EPOCH, so that they collide and abut."""

    account_id: str
    balance: Decimal
    currency: str
    source: str
    at: int
    id: str = ""

    @property
    def order(self) -> tuple[int, UUID]:
        return self.at, UUID(self.id)


# Few instants, few amounts and few currencies, so that ties, zeros, equal balances and changes of currency abound.
amounts = st.one_of(
    st.sampled_from([Decimal(text) for text in ("0", "-0.01", "0.01", "100", "-100", "10.125", "0.0001")]),
    st.decimals("-999999999999999.9999", "999999999999999.9999", allow_nan=False, places=4),
)
instants = st.integers(0, 12)
snapshots = st.builds(
    Captured,
    account_id=st.sampled_from(["a", "b"]),
    balance=amounts,
    currency=st.sampled_from(["USD", "USD", "USD", "JPY", "KWD", "CLF"]),
    source=st.sampled_from(SOURCES[:3]),
    at=instants,
)
histories = st.lists(snapshots, min_size=0, max_size=14, unique_by=lambda s: (s.account_id, s.at, s.source))


def iso(at: int) -> str:
    return (EPOCH + timedelta(microseconds=at)).isoformat()


def in_digits(amount: Decimal, digits: int) -> str:
    return f"{amount:.{digits}f}"


def digits_of(s: Captured) -> int:
    significant = -int(s.balance.normalize().as_tuple().exponent) if s.balance else 0
    return max(DIGITS[s.currency], significant)


def percent(previous: Decimal, current: Decimal) -> float | None:
    if previous == 0:
        return None
    with localcontext(prec=60):
        exact = (current - previous) * 100 / abs(previous)
        return float(exact.quantize(Decimal("0.01"), ROUND_HALF_UP)) + 0.0


def change(previous: Captured | None, current: Captured) -> tuple[str | None, float | None]:
    if previous is None or previous.currency != current.currency:
        return None, None
    difference = in_digits(current.balance - previous.balance, max(digits_of(previous), digits_of(current)))
    return difference, percent(previous.balance, current.balance)


def as_shown(series: Sequence[Captured], shown: Sequence[Captured]) -> list[dict[str, Any]]:
    returned = []
    for current in shown:
        place = series.index(current)
        amount, share = change(series[place - 1] if place else None, current)
        returned.append(
            {
                "id": current.id,
                "balance": in_digits(current.balance, digits_of(current)),
                "currency": current.currency,
                "source": current.source,
                "change_amount": amount,
                "change_percent": share,
            }
        )
    return returned


def as_summary(shown: Sequence[Captured]) -> dict[str, Any]:
    """Return the summary of snapshots that are listed oldest first."""
    names = ("start_balance", "end_balance", "total_change_amount", "total_change_percent", "currency")
    summary: dict[str, Any] = dict.fromkeys(names) | {"total_count": len(shown)}
    if len({s.currency for s in shown}) == 1:
        first, last = shown[0], shown[-1]
        amount, share = change(first, last)
        summary |= {
            "start_balance": in_digits(first.balance, digits_of(first)),
            "end_balance": in_digits(last.balance, digits_of(last)),
            "total_change_amount": amount,
            "total_change_percent": share,
            "currency": first.currency,
        }
    return summary


def totals(shown: Sequence[Captured]) -> dict[str, str]:
    by_currency: dict[str, list[Captured]] = {}
    for s in shown:
        by_currency.setdefault(s.currency, []).append(s)
    return {
        currency: in_digits(sum((s.balance for s in group), Decimal(0)), max(map(digits_of, group)))
        for currency, group in by_currency.items()
    }


@pytest.fixture(scope="module")
def sync_job(app: Flask) -> Caller:
    """A service that captures; of module scope, because Hypothesis objects to fixtures of function scope."""
    return Caller(app, user_token("sync-job", scope="balance-snapshots:write"))


def stored(sync_job: Caller, history: list[Captured], user_id: str, accounts: dict[str, str]) -> list[Captured]:
    """Capture the history for a user; return it with its ids, in the total order of rule 4."""
    if not history:
        return []
    items = [
        snapshot(
            user_id,
            accounts[s.account_id],
            f"{s.balance:f}",
            currency=s.currency,
            source=s.source,
            captured_at=iso(s.at),
        )
        for s in history
    ]
    returned = captured(sync_job, *items)
    return sorted(
        (replace(s, id=created["id"]) for s, created in zip(history, returned, strict=True)), key=lambda s: s.order
    )


def seen(response: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the snapshots' members that the model knows, and the rest of the response."""
    assert response.status_code == 200, response.text
    # Amounts are compared as strings, which show the digits that a float would lose.
    body = response.json
    members = ("id", "balance", "currency", "source", "change_amount", "change_percent")
    shown = [{name: s[name] for name in members} for s in body.pop("snapshots")]
    return shown, body


@given(
    history=histories,
    source=st.sampled_from([None, *SOURCES[:3]]),
    start=st.integers(-1, 12),
    length=st.integers(1, 14),
    limit=st.integers(1, 8),
)
def test_the_documented_reads_return_what_the_model_returns(
    app: Flask, sync_job: Caller, history: list[Captured], source: str | None, start: int, length: int, limit: int
) -> None:
    user_id, accounts = str(uuid4()), {"a": str(uuid4()), "b": str(uuid4())}
    user = Caller(app, user_token(user_id))
    known = stored(sync_job, history, user_id, accounts)
    query = {} if source is None else {"source": source}

    for name, account_id in accounts.items():
        of_account = [s for s in known if s.account_id == name]
        if not of_account:
            assert user.recent(account_id, **query).status_code == 404
            continue
        series = [s for s in of_account if source in (None, s.source)]
        ranged = [s for s in series if start <= s.at <= start + length]
        newest = series[-limit:]

        assert seen(user.history(account_id, iso(start), iso(start + length), **query)) == (
            as_shown(series, ranged),
            as_summary(ranged),
        )
        assert seen(user.recent(account_id, limit=str(limit), **query)) == (
            as_shown(series, newest)[::-1],
            as_summary(newest),
        )

    by_account = {name: [s for s in known if s.account_id == name] for name in accounts}
    latest = sorted(
        (series[-1] for series in by_account.values() if series), key=lambda s: (-s.at, UUID(accounts[s.account_id]))
    )
    assert seen(user.latest()) == (
        [shown for s in latest for shown in as_shown(by_account[s.account_id], [s])],
        {"total_count": len(latest), "total_balance_by_currency": totals(latest)},
    )


@given(balance=amounts, currency=st.sampled_from(sorted(DIGITS)), member=st.sampled_from(AMOUNTS))
def test_an_amount_is_read_back_without_losing_a_digit(
    app: Flask, sync_job: Caller, balance: Decimal, currency: str, member: str
) -> None:
    user_id, account_id = str(uuid4()), str(uuid4())
    item = snapshot(user_id, account_id, "1", currency=currency) | {member: f"{balance:f}"}
    captured(sync_job, item)

    (shown,) = Caller(app, user_token(user_id)).recent(account_id).json["snapshots"]

    assert Decimal(shown[member]) == balance
    assert len(shown[member].partition(".")[2]) >= DIGITS[currency]
