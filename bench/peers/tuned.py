"""FastAPI, asyncpg and orjson, tuned by hand: no response models, one query for all rows of a read, amounts as text."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import orjson
from fastapi import FastAPI, HTTPException, Query, Request, Response
from iso4217 import Currency

from bench.peers import common
from bench.peers.portfolio import Row, portfolio
from bench.peers.tuned_queries import ACCOUNTS, HISTORY, INSERT, LATEST, OWNER, PORTFOLIO, RECENT, STORED
from bench.peers.uuid7 import uuid7
from snapshots.buckets import bucket_bounds

SOURCES = {"account_sync", "holdings_sync", "manual_sync", "scheduled_sync", "initial_connection"}
SourceName = Literal["account_sync", "holdings_sync", "manual_sync", "scheduled_sync", "initial_connection"]
MINOR_UNITS = {currency.code: currency.exponent for currency in Currency if currency.exponent is not None}


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    app.state.limiter = common.Limiter()
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=4, max_size=4) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)
common.add_to(app)


def _utc(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _percent(previous: Decimal, current: Decimal) -> float | None:
    if not previous:
        return None
    return float((100 * (current - previous) / abs(previous)).quantize(Decimal("0.01"), "ROUND_HALF_UP"))


def _out(row: asyncpg.Record) -> dict[str, Any]:
    return _compared(row, row["previous"], row["previous_currency"])


def _thinned(rows: list[asyncpg.Record], interval: common.Interval, start_date: datetime) -> list[asyncpg.Record]:
    """Return the last row of each bucket, and the row before the range."""
    last = {row["captured_at"] >= start_date and common.bucket(row["captured_at"], interval): row for row in rows}
    return list(last.values())


def _compared(row: asyncpg.Record, previous: Decimal | None, previous_currency: str | None) -> dict[str, Any]:
    is_comparable = previous_currency == row["currency"]
    return {
        "id": row["id"],
        "account_id": row["account_id"],
        "balance": row["balance"],
        "available_balance": row["available_balance"],
        "holdings_value": row["holdings_value"],
        "cash_value": row["cash_value"],
        "currency": row["currency"],
        "source": row["source"],
        "captured_at": _utc(row["captured_at"]),
        "created_at": _utc(row["created_at"]),
        "change_amount": str(row["exact"] - previous) if is_comparable and previous is not None else None,
        "change_percent": _percent(previous, row["exact"]) if is_comparable and previous is not None else None,
    }


def _summary(rows: list[asyncpg.Record]) -> dict[str, Any]:
    """Return the summary of these rows, which are oldest first."""
    currencies = {row["currency"] for row in rows}
    body: dict[str, Any] = {"total_count": len(rows)}
    if len(currencies) == 1:
        start, end = rows[0], rows[-1]
        return body | {
            "start_balance": start["balance"],
            "end_balance": end["balance"],
            "total_change_amount": str(end["exact"] - start["exact"]),
            "total_change_percent": _percent(start["exact"], end["exact"]),
            "currency": currencies.pop(),
        }
    names = ("start_balance", "end_balance", "total_change_amount", "total_change_percent", "currency")
    return body | dict.fromkeys(names)


async def _user(request: Request, response: Response) -> UUID:
    subject = common.claims(request)["sub"]
    await app.state.limiter.take(subject, response)
    return UUID(subject)


def _json(body: dict[str, Any], response: Response) -> Response:
    return Response(orjson.dumps(body), headers=dict(response.headers), media_type="application/json")


@app.get("/api/v1/balance-snapshots")
async def latest(request: Request, response: Response) -> Response:
    user = await _user(request, response)
    rows = await app.state.pool.fetch(LATEST, user)
    totals: dict[str, Decimal] = {}
    for row in rows:
        totals[row["currency"]] = totals.get(row["currency"], Decimal(0)) + row["exact"]
    body = {
        "snapshots": [_out(row) for row in rows],
        "total_count": len(rows),
        "total_balance_by_currency": {currency: str(total) for currency, total in sorted(totals.items())},
    }
    return _json(body, response)


async def _check_owner(connection: asyncpg.Connection, account_id: UUID, user: UUID) -> None:
    owner = await connection.fetchval(OWNER, account_id)
    if owner is None:
        raise HTTPException(404)
    if owner != user:
        raise HTTPException(403)


@app.get("/api/v1/accounts/{account_id}/balance-history")
async def history(
    request: Request,
    response: Response,
    account_id: UUID,
    start_date: datetime,
    end_date: datetime,
    source: SourceName | None = None,
    interval: common.Interval | None = None,
) -> Response:
    user = await _user(request, response)
    query = HISTORY.format(source="AND source = $5" if source else "")
    async with app.state.pool.acquire() as connection:
        await _check_owner(connection, account_id, user)
        rows = await connection.fetch(query, user, account_id, start_date, end_date, *([source] if source else []))
    if interval is None:
        snapshots = [_out(row) for row in rows]
    else:
        rows = _thinned(rows, interval, start_date)
        snapshots = [
            _compared(row, before and before["exact"], before and before["currency"])
            for before, row in zip([None, *rows], rows, strict=False)
        ]
    if rows and rows[0]["captured_at"] < start_date:
        rows, snapshots = rows[1:], snapshots[1:]
    return _json({"snapshots": snapshots, **_summary(rows)}, response)


@app.get("/api/v1/balance-history")
async def portfolio_history(
    request: Request,
    response: Response,
    start_date: datetime,
    end_date: datetime,
    interval: common.Interval = "day",
    time_zone: str = "UTC",
) -> Response:
    user = await _user(request, response)
    bounds = bucket_bounds(start_date, end_date, interval, ZoneInfo(time_zone), 1100)
    rows = [Row(*row) for row in await app.state.pool.fetch(PORTFOLIO, user, end_date)]
    return _json(portfolio(rows, bounds, end_date, interval=interval, time_zone=time_zone), response)


@app.get("/api/v1/accounts/{account_id}/balance-snapshots")
async def recent(
    request: Request,
    response: Response,
    account_id: UUID,
    limit: int = Query(30, ge=1, le=100),
    source: SourceName | None = None,
) -> Response:
    user = await _user(request, response)
    query = RECENT.format(source="AND source = $4" if source else "")
    async with app.state.pool.acquire() as connection:
        await _check_owner(connection, account_id, user)
        rows = await connection.fetch(query, user, account_id, limit + 1, *([source] if source else []))
    rows = rows[:limit]
    return _json({"snapshots": [_out(row) for row in rows], **_summary(rows[::-1])}, response)


def _scaled(text: str | None, currency: str) -> Decimal | None:
    if text is None:
        return None
    amount = Decimal(text)
    exponent = int(amount.normalize().as_tuple().exponent)
    if exponent < -4 or amount.adjusted() > 14:
        raise ValueError(text)
    return amount.quantize(Decimal(1).scaleb(-max(-exponent, MINOR_UNITS[currency])))


@app.post("/api/v1/balance-snapshots")
async def capture(request: Request) -> Response:
    if common.SCOPE not in common.claims(request).get("scope", "").split():
        raise HTTPException(403)
    now = datetime.now(UTC)
    try:
        items = orjson.loads(await request.body())["snapshots"]
        users = [UUID(item["user_id"]) for item in items]
        accounts = [UUID(item["account_id"]) for item in items]
        currencies = [item["currency"] for item in items]
        amounts = [
            [_scaled(item.get(name), item["currency"]) for item in items]
            for name in ("balance", "available_balance", "holdings_value", "cash_value")
        ]
        sources = [item["source"] for item in items]
        times = [datetime.fromisoformat(item["captured_at"]).astimezone(UTC) for item in items]
        if not 1 <= len(items) <= 1000 or not set(sources) <= SOURCES:
            raise ValueError
    except (ValueError, KeyError, TypeError, InvalidOperation):
        raise HTTPException(400) from None
    ids = [uuid7(now, number) for number in range(len(items))]
    async with app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute(ACCOUNTS, accounts, users)
        rows = await connection.fetch(INSERT, ids, users, accounts, *amounts, currencies, sources, times, now)
        created = {row["id"] for row in rows}
        stored = await connection.fetch(STORED, users, accounts, sources, times)
        for number, row in enumerate(stored):
            if tuple(row)[2:] != (*(amount[number] for amount in amounts), currencies[number]):
                raise HTTPException(409)
    body = {
        "snapshots": [
            {
                "id": str(row["id"]),
                "account_id": str(row["account_id"]),
                "captured_at": _utc(time),
                "source": source,
                "status": "created" if row["id"] in created else "duplicate",
            }
            for row, time, source in zip(stored, times, sources, strict=True)
        ],
        "created_count": len(created),
        "duplicate_count": len(items) - len(created),
    }
    return Response(orjson.dumps(body), 201 if created else 200, media_type="application/json")
