"""The demo portfolio: one user, seven accounts, four currencies, two years; identical on every machine."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

from psycopg import Connection

from schemas.batch import MAX_BATCH_SIZE
from schemas.capture import CaptureBatch
from snapshots import batch

USER = "d3300000-0000-4000-8000-000000000001"
FIRST_DAY = datetime(2024, 1, 1, 10, tzinfo=UTC)
DAYS = 731


class _Account(NamedTuple):
    id: str
    currency: str
    source: str
    every_days: int
    opening: Decimal
    step: Decimal
    """Largest change between two snapshots, with the decimals of the currency's minor unit."""
    has_holdings: bool = False
    joins_on: int = 0
    """The day of its first snapshot."""
    disconnected: range = range(0)
    """The days on which its provider cannot be reached."""
    closes_on: int = DAYS
    """The day of its last snapshot, of a zero balance."""


CHECKING = "d3300000-0000-4000-8000-00000000000a"
BROKERAGE = "d3300000-0000-4000-8000-00000000000b"
CREDIT_CARD = "d3300000-0000-4000-8000-00000000000c"
TOKYO_SAVINGS = "d3300000-0000-4000-8000-00000000000d"
KUWAIT_SAVINGS = "d3300000-0000-4000-8000-00000000000e"
BERLIN_BROKERAGE = "d3300000-0000-4000-8000-00000000000f"
OLD_SAVINGS = "d3300000-0000-4000-8000-000000000010"

ACCOUNTS = (
    _Account(CHECKING, "USD", "account_sync", 1, Decimal("4200.00"), Decimal("180.00")),
    _Account(BROKERAGE, "USD", "holdings_sync", 1, Decimal("24500.00"), Decimal("400.00"), has_holdings=True),
    _Account(CREDIT_CARD, "USD", "account_sync", 3, Decimal("-2250.00"), Decimal("60.00")),
    _Account(TOKYO_SAVINGS, "JPY", "scheduled_sync", 7, Decimal(1500000), Decimal(20000)),
    _Account(KUWAIT_SAVINGS, "KWD", "scheduled_sync", 30, Decimal("310.250"), Decimal("12.500")),
    _Account(
        BERLIN_BROKERAGE,
        "EUR",
        "holdings_sync",
        1,
        Decimal("9800.00"),
        Decimal("160.00"),
        has_holdings=True,
        joins_on=245,
        disconnected=range(480, 560),
    ),
    _Account(OLD_SAVINGS, "USD", "account_sync", 7, Decimal("6400.00"), Decimal("40.00"), closes_on=413),
)


def load(connection: Connection[Any]) -> int:
    """Capture the portfolio like a sync job; return the number of new snapshots."""
    items = [item for account in ACCOUNTS for item in _history(account)]
    created = 0
    for start in range(0, len(items), MAX_BATCH_SIZE):
        loaded = CaptureBatch().load({"snapshots": items[start : start + MAX_BATCH_SIZE]})
        matches = batch.store(connection, loaded["snapshots"])
        created += sum(match.status == "created" for match in matches)
    return created


def _history(account: _Account) -> Iterator[dict[str, Any]]:
    random = Random(account.id)
    unit = Decimal(1).scaleb(account.step.as_tuple().exponent)  # type: ignore[arg-type]
    max_units = int(account.step / unit)
    balance = account.opening
    for day in range(account.joins_on, min(DAYS, account.closes_on + 1), account.every_days):
        if day == account.closes_on:
            balance = Decimal(0) * unit
        # The user starts a sync once a quarter.
        source = "initial_connection" if day == account.joins_on else "manual_sync" if day % 91 == 0 else account.source
        cash = (balance / 8).quantize(unit) if account.has_holdings else None
        if day not in account.disconnected:
            yield {
                "user_id": USER,
                "account_id": account.id,
                "balance": str(balance),
                "available_balance": None if account.has_holdings else str(balance),
                "holdings_value": None if cash is None else str(balance - cash),
                "cash_value": None if cash is None else str(cash),
                "currency": account.currency,
                "source": source,
                "captured_at": (FIRST_DAY + timedelta(days=day)).isoformat(),
            }
        # A random walk that tends back to the opening balance, so that the debt stays a debt.
        drift = ((account.opening - balance) / 30).quantize(unit)
        balance += drift + random.randint(-max_units, max_units) * unit
