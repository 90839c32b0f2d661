"""The requests that are measured, and the queries that they run in the database."""

import json
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from bench import data, wrk
from snapshots.buckets import bucket_bounds
from snapshots.capture import SCOPE
from snapshots.reads import MAX_BUCKETS, MAX_PORTFOLIO_BALANCES, MAX_SNAPSHOTS
from tools import local

# The user of all captured snapshots, which are deleted when the run ends.
CAPTURED_USER = str(uuid4())


class Scenario(NamedTuple):
    name: str
    request: str
    """Raw HTTP request, with $STAMP in that of a capture."""
    query: str | None
    """Name of the query that it runs; None for a capture."""
    parameters: dict[str, str]
    rows: int
    """Number of snapshots sent or returned."""
    is_slow: bool = False
    """Whether it takes so long that a turn must be longer."""


def scenarios() -> list[Scenario]:
    token = local.token(data.USER)
    account = {"user_id": data.USER, "account_id": data.DAILY}
    listed = [
        Scenario("latest, 8 accounts", wrk.get("/api/v1/balance-snapshots", token), "get_latest_snapshots", account, 8),
        Scenario(
            "list of 30",
            wrk.get(f"/api/v1/accounts/{data.DAILY}/balance-snapshots?limit=30", token),
            "list_recent_snapshots",
            {**account, "limit": "30"},
            30,
        ),
    ]
    for days in (30, 365, 3650):
        start = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(days)
        span = {"start_date": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end_date": "2025-12-31T23:59:59Z"}
        path = f"/api/v1/accounts/{data.DAILY}/balance-history?" + "&".join(f"{k}={v}" for k, v in span.items())
        request = wrk.get(path, token)
        parameters = {**account, **span, "maximum": str(MAX_SNAPSHOTS)}
        name = f"history of {days:,}"
        listed.append(Scenario(name, request, "get_balance_history", parameters, days, is_slow=days > 365))
    listed += _years_of_days()
    for size in (1, 100, 1000):
        request = wrk.post("/api/v1/balance-snapshots", local.token("bench", SCOPE), _batch(size))
        listed.append(Scenario(f"capture of {size:,}", request, None, {}, size, is_slow=size >= 1000))
    return listed


def _years_of_days() -> list[Scenario]:
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
    query = f"interval=day&start_date={start:%Y-%m-%dT%H:%M:%SZ}&end_date={end:%Y-%m-%dT%H:%M:%SZ}"
    bounds = bucket_bounds(start, end, "day", ZoneInfo("UTC"), MAX_BUCKETS)
    calendar = {"bounds": f"{{{','.join(bound.isoformat() for bound in bounds)}}}", "end_date": end.isoformat()}
    listed = [
        Scenario(
            f"a year of days, {snapshots} snapshots",
            wrk.get(f"/api/v1/accounts/{account_id}/balance-history?{query}", local.token(user_id)),
            "get_balance_history_by_interval",
            {"user_id": user_id, "account_id": account_id, **calendar},
            365,
            is_slow=account_id == data.DENSE,
        )
        for snapshots, user_id, account_id in (
            ("365", data.USER, data.DAILY),
            ("100,000", data.DENSE_USER, data.DENSE),
        )
    ]
    maximum = str(MAX_PORTFOLIO_BALANCES)
    portfolio = {"user_id": data.USER, "interval": "day", "time_zone": "UTC", "maximum": maximum, **calendar}
    request = wrk.get(f"/api/v1/balance-history?{query}", local.token(data.USER))
    return [
        *listed,
        Scenario(
            "portfolio, 8 accounts, a year of days", request, "get_portfolio_history", portfolio, 365, is_slow=True
        ),
    ]


def _batch(size: int) -> str:
    items = [
        {
            "user_id": CAPTURED_USER,
            "account_id": str(UUID(int=UUID(CAPTURED_USER).int ^ (size << 16 | number + 1))),
            "balance": f"{10000 + number}.25",
            "holdings_value": f"{7000 + number}.25",
            "cash_value": "3000.00",
            "currency": "USD",
            "source": "scheduled_sync",
            "captured_at": "$STAMPZ",
        }
        for number in range(size)
    ]
    return json.dumps({"snapshots": items})
