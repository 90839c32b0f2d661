"""The stack for which the API was first documented: FastAPI, SQLAlchemy's async ORM and pydantic."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from iso4217 import Currency
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from bench.peers import common
from bench.peers.orm_models import (
    Account,
    BalanceSnapshot,
    BatchIn,
    CapturedOut,
    CaptureOut,
    HistoryOut,
    LatestOut,
    PortfolioOut,
    SnapshotOut,
    SourceName,
)
from bench.peers.portfolio import Row, portfolio
from bench.peers.uuid7 import uuid7
from snapshots.buckets import bucket_bounds

MINOR_UNITS = {currency.code: currency.exponent for currency in Currency if currency.exponent is not None}


def _percent(previous: Decimal, current: Decimal) -> float | None:
    if not previous:
        return None
    exact = 100 * (current - previous) / abs(previous)
    return float(exact.quantize(Decimal("0.01"), ROUND_HALF_UP))


def _out(row: BalanceSnapshot, previous: BalanceSnapshot | None) -> SnapshotOut:
    is_comparable = previous is not None and previous.currency == row.currency
    return SnapshotOut(
        id=row.id,
        account_id=row.account_id,
        balance=row.balance,
        available_balance=row.available_balance,
        holdings_value=row.holdings_value,
        cash_value=row.cash_value,
        currency=row.currency,
        source=row.source,
        captured_at=row.captured_at,
        created_at=row.created_at,
        change_amount=row.balance - previous.balance if is_comparable and previous else None,
        change_percent=_percent(previous.balance, row.balance) if is_comparable and previous else None,
    )


def _history(rows: list[BalanceSnapshot], before: BalanceSnapshot | None, *, newest_first: bool) -> HistoryOut:
    """Return the response for these rows, which are oldest first."""
    snapshots = [_out(row, previous) for row, previous in zip(rows, [before, *rows], strict=False)]
    currencies = {row.currency for row in rows}
    has_summary = len(currencies) == 1
    start, end = (rows[0].balance, rows[-1].balance) if has_summary else (None, None)
    return HistoryOut(
        snapshots=snapshots[::-1] if newest_first else snapshots,
        total_count=len(rows),
        start_balance=start,
        end_balance=end,
        total_change_amount=end - start if start is not None and end is not None else None,
        total_change_percent=_percent(start, end) if start is not None and end is not None else None,
        currency=currencies.pop() if has_summary else None,
    )


engine = create_async_engine(
    "postgresql+asyncpg://" + os.environ["DATABASE_URL"].partition("://")[2].replace("@/", "@localhost/", 1),
    pool_size=4,
    max_overflow=0,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    app.state.limiter = common.Limiter()
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
common.add_to(app)


async def user(request: Request, response: Response) -> UUID:
    subject = common.claims(request)["sub"]
    await app.state.limiter.take(subject, response)
    return UUID(subject)


async def session() -> AsyncIterator[AsyncSession]:
    async with sessions() as opened:
        yield opened


User = Annotated[UUID, Depends(user)]
Session = Annotated[AsyncSession, Depends(session)]
Newest = (BalanceSnapshot.captured_at.desc(), BalanceSnapshot.id.desc())


async def _check_owner(session: AsyncSession, account_id: UUID, user_id: UUID) -> None:
    account = await session.get(Account, account_id)
    if account is None:
        raise HTTPException(404)
    if account.user_id != user_id:
        raise HTTPException(403)


@app.get("/api/v1/balance-snapshots")
async def latest(user: User, session: Session) -> LatestOut:
    accounts = (await session.scalars(select(Account).where(Account.user_id == user))).all()
    snapshots = []
    totals: dict[str, Decimal] = {}
    for account in accounts:
        of_account = (BalanceSnapshot.user_id == user, BalanceSnapshot.account_id == account.id)
        query = select(BalanceSnapshot).where(*of_account).order_by(*Newest).limit(2)
        rows = (await session.scalars(query)).all()
        if rows:
            snapshots.append(_out(rows[0], rows[1] if len(rows) > 1 else None))
            totals[rows[0].currency] = totals.get(rows[0].currency, Decimal(0)) + rows[0].balance
    snapshots.sort(key=lambda snapshot: snapshot.account_id)
    snapshots.sort(key=lambda snapshot: snapshot.captured_at, reverse=True)
    return LatestOut(
        snapshots=snapshots, total_count=len(snapshots), total_balance_by_currency=dict(sorted(totals.items()))
    )


@app.get("/api/v1/accounts/{account_id}/balance-history")
async def history(
    account_id: UUID,
    user: User,
    session: Session,
    start_date: datetime,
    end_date: datetime,
    source: SourceName | None = None,
    interval: common.Interval | None = None,
) -> HistoryOut:
    await _check_owner(session, account_id, user)
    series = [BalanceSnapshot.user_id == user, BalanceSnapshot.account_id == account_id]
    if source:
        series.append(BalanceSnapshot.source == source)
    within = (BalanceSnapshot.captured_at >= start_date, BalanceSnapshot.captured_at <= end_date)
    order = (BalanceSnapshot.captured_at, BalanceSnapshot.id)
    rows = (await session.scalars(select(BalanceSnapshot).where(*series, *within).order_by(*order))).all()
    earlier = select(BalanceSnapshot).where(*series, BalanceSnapshot.captured_at < start_date).order_by(*Newest)
    before = (await session.scalars(earlier.limit(1))).first()
    if interval:
        # The last row of each bucket.
        rows = list({common.bucket(row.captured_at, interval): row for row in rows}.values())
    return _history(list(rows), before, newest_first=False)


@app.get("/api/v1/balance-history")
async def portfolio_history(
    user: User,
    session: Session,
    start_date: datetime,
    end_date: datetime,
    interval: common.Interval = "day",
    time_zone: str = "UTC",
) -> PortfolioOut:
    bounds = bucket_bounds(start_date, end_date, interval, ZoneInfo(time_zone), 1100)
    query = select(BalanceSnapshot).where(BalanceSnapshot.user_id == user, BalanceSnapshot.captured_at <= end_date)
    rows = [
        Row(row.account_id, row.captured_at, row.balance, row.currency)
        for row in await session.scalars(query.order_by(BalanceSnapshot.captured_at, BalanceSnapshot.id))
    ]
    return PortfolioOut.model_validate(portfolio(rows, bounds, end_date, interval=interval, time_zone=time_zone))


@app.get("/api/v1/accounts/{account_id}/balance-snapshots")
async def recent(
    account_id: UUID,
    user: User,
    session: Session,
    limit: Annotated[int, Query(ge=1, le=100)] = 30,
    source: SourceName | None = None,
) -> HistoryOut:
    await _check_owner(session, account_id, user)
    series = [BalanceSnapshot.user_id == user, BalanceSnapshot.account_id == account_id]
    if source:
        series.append(BalanceSnapshot.source == source)
    query = select(BalanceSnapshot).where(*series).order_by(*Newest).limit(limit + 1)
    rows = list((await session.scalars(query)).all())[::-1]
    before = rows.pop(0) if len(rows) > limit else None
    return _history(rows, before, newest_first=True)


def _scaled(amount: Decimal | None, currency: str) -> Decimal | None:
    if amount is None:
        return None
    digits = max(-int(amount.normalize().as_tuple().exponent), MINOR_UNITS[currency])
    return amount.quantize(Decimal(1).scaleb(-digits))


@app.post("/api/v1/balance-snapshots")
async def capture(request: Request, response: Response, session: Session, batch: BatchIn) -> CaptureOut:
    if common.SCOPE not in common.claims(request).get("scope", "").split():
        raise HTTPException(403)
    amounts = ("balance", "available_balance", "holdings_value", "cash_value")
    items = [
        item.model_dump() | {name: _scaled(getattr(item, name), item.currency) for name in amounts}
        for item in batch.snapshots
    ]
    accounts = {item["account_id"]: item["user_id"] for item in items}
    wanted = [{"id": account_id, "user_id": user_id} for account_id, user_id in sorted(accounts.items())]
    await session.execute(insert(Account).on_conflict_do_nothing(), wanted)
    owners = {
        account.id: account.user_id
        for account in await session.scalars(select(Account).where(Account.id.in_(list(accounts))))
    }
    if any(owners[item["account_id"]] != item["user_id"] for item in items):
        raise HTTPException(409)
    now = datetime.now(UTC)
    rows = [item | {"id": uuid7(now, n), "created_at": now} for n, item in enumerate(items)]
    rows.sort(key=lambda row: (row["user_id"], row["account_id"], row["source"], row["captured_at"]))
    created = set(
        (
            await session.scalars(insert(BalanceSnapshot).on_conflict_do_nothing().returning(BalanceSnapshot.id), rows)
        ).all()
    )
    times = [item["captured_at"] for item in items]
    query = select(BalanceSnapshot).where(
        BalanceSnapshot.user_id.in_(set(accounts.values())),
        BalanceSnapshot.account_id.in_(list(accounts)),
        BalanceSnapshot.captured_at.in_(set(times)),
    )
    stored = {(row.account_id, row.source, row.captured_at): row for row in await session.scalars(query)}
    captured = []
    for item in items:
        row = stored[item["account_id"], item["source"], item["captured_at"]]
        if any(getattr(row, name) != item[name] for name in (*amounts, "currency")):
            await session.rollback()
            raise HTTPException(409)
        captured.append(
            CapturedOut(
                id=row.id,
                account_id=row.account_id,
                captured_at=row.captured_at,
                source=row.source,
                status="created" if row.id in created else "duplicate",
            )
        )
    await session.commit()
    response.status_code = 201 if created else 200
    return CaptureOut(snapshots=captured, created_count=len(created), duplicate_count=len(items) - len(created))
