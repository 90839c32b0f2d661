"""FastAPI, asyncpg and orjson, tuned by hand: no response models, one query per read, amounts as text."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal
from uuid import UUID

import asyncpg
import orjson
from fastapi import FastAPI, HTTPException, Query, Request, Response
from iso4217 import Currency

from bench.peers import common
from bench.peers.uuid7 import uuid7

SOURCES = {"account_sync", "holdings_sync", "manual_sync", "scheduled_sync", "initial_connection"}
SourceName = Literal["account_sync", "holdings_sync", "manual_sync", "scheduled_sync", "initial_connection"]
MINOR_UNITS = {currency.code: currency.exponent for currency in Currency if currency.exponent is not None}

_COLUMNS = """
    id::text, account_id::text, balance::text, available_balance::text, holdings_value::text, cash_value::text,
    currency, source::text, captured_at, created_at, balance AS exact, lag(balance) OVER series AS previous,
    lag(currency) OVER series AS previous_currency
"""
LATEST = f"""
    SELECT * FROM (
        SELECT {_COLUMNS}, row_number() OVER (PARTITION BY account_id ORDER BY captured_at DESC, s.id DESC) AS recency
        FROM (
            SELECT newest.* FROM accounts
            CROSS JOIN LATERAL (
                SELECT * FROM balance_snapshots WHERE user_id = $1 AND account_id = accounts.id
                ORDER BY captured_at DESC, id DESC LIMIT 2
            ) AS newest
            WHERE accounts.user_id = $1
        ) AS s
        WINDOW series AS (PARTITION BY account_id ORDER BY captured_at, s.id)
    ) AS compared
    WHERE recency = 1 ORDER BY captured_at DESC, account_id
"""
OWNER = "SELECT user_id FROM accounts WHERE id = $1"
HISTORY = f"""
    SELECT {_COLUMNS} FROM (
        SELECT * FROM balance_snapshots
        WHERE user_id = $1 AND account_id = $2 AND captured_at BETWEEN $3 AND $4 {{source}}
        UNION ALL
        (
            SELECT * FROM balance_snapshots WHERE user_id = $1 AND account_id = $2 AND captured_at < $3 {{source}}
            ORDER BY captured_at DESC, id DESC LIMIT 1
        )
    ) AS s
    WINDOW series AS (ORDER BY captured_at, s.id) ORDER BY captured_at, s.id
"""
RECENT = f"""
    SELECT {_COLUMNS} FROM (
        SELECT * FROM balance_snapshots WHERE user_id = $1 AND account_id = $2 {{source}}
        ORDER BY captured_at DESC, id DESC LIMIT $3
    ) AS s
    WINDOW series AS (ORDER BY captured_at, s.id) ORDER BY captured_at DESC, s.id DESC
"""
ACCOUNTS = """
    INSERT INTO accounts (id, user_id) SELECT DISTINCT ON (a) a, u FROM unnest($1::uuid[], $2::uuid[]) AS i (a, u)
    ORDER BY a ON CONFLICT DO NOTHING
"""
INSERT = """
    INSERT INTO balance_snapshots (id, user_id, account_id, balance, available_balance, holdings_value, cash_value,
        currency, source, captured_at, created_at)
    SELECT i.id, u, a, b, v, h, c, y, s, t, $11
    FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[],
        $8::text[], $9::snapshot_source[], $10::timestamptz[]) AS i (id, u, a, b, v, h, c, y, s, t)
    JOIN accounts ON accounts.id = a AND accounts.user_id = u
    ORDER BY u, a, s, t
    ON CONFLICT DO NOTHING RETURNING id
"""
STORED = """
    SELECT s.id, s.account_id, s.balance, s.available_balance, s.holdings_value, s.cash_value, s.currency
    FROM unnest($1::uuid[], $2::uuid[], $3::snapshot_source[], $4::timestamptz[]) WITH ORDINALITY AS i (u, a, s, t, n)
    LEFT JOIN balance_snapshots AS s
        ON s.source = i.s AND s.user_id = i.u AND s.account_id = i.a AND s.captured_at = i.t
    ORDER BY n
"""


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
    is_comparable = row["previous_currency"] == row["currency"]
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
        "change_amount": str(row["exact"] - row["previous"]) if is_comparable else None,
        "change_percent": _percent(row["previous"], row["exact"]) if is_comparable else None,
    }


def _summary(rows: list[asyncpg.Record]) -> dict[str, Any]:
    """Return the summary of these rows, which are oldest first."""
    currencies = {row["currency"] for row in rows}
    answer: dict[str, Any] = {"total_count": len(rows)}
    if len(currencies) == 1:
        start, end = rows[0], rows[-1]
        return answer | {
            "start_balance": start["balance"],
            "end_balance": end["balance"],
            "total_change_amount": str(end["exact"] - start["exact"]),
            "total_change_percent": _percent(start["exact"], end["exact"]),
            "currency": currencies.pop(),
        }
    names = ("start_balance", "end_balance", "total_change_amount", "total_change_percent", "currency")
    return answer | dict.fromkeys(names)


async def _user(request: Request, response: Response) -> UUID:
    subject = common.claims(request)["sub"]
    await app.state.limiter.take(subject, response)
    return UUID(subject)


def _json(answer: dict[str, Any], response: Response) -> Response:
    return Response(orjson.dumps(answer), headers=dict(response.headers), media_type="application/json")


@app.get("/api/v1/balance-snapshots")
async def latest(request: Request, response: Response) -> Response:
    user = await _user(request, response)
    rows = await app.state.pool.fetch(LATEST, user)
    totals: dict[str, Decimal] = {}
    for row in rows:
        totals[row["currency"]] = totals.get(row["currency"], Decimal(0)) + row["exact"]
    answer = {
        "snapshots": [_out(row) for row in rows],
        "total_count": len(rows),
        "total_balance_by_currency": {currency: str(total) for currency, total in sorted(totals.items())},
    }
    return _json(answer, response)


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
) -> Response:
    user = await _user(request, response)
    query = HISTORY.format(source="AND source = $5" if source else "")
    async with app.state.pool.acquire() as connection:
        await _check_owner(connection, account_id, user)
        rows = await connection.fetch(query, user, account_id, start_date, end_date, *([source] if source else []))
    if rows and rows[0]["captured_at"] < start_date:
        rows = rows[1:]
    return _json({"snapshots": [_out(row) for row in rows], **_summary(rows)}, response)


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
    answer = {
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
    return Response(orjson.dumps(answer), 201 if created else 200, media_type="application/json")
