"""The tables, requests and responses of the ORM peer."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, PlainSerializer
from sqlalchemy import Enum, ForeignKey, Numeric
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import DateTime

SOURCES = ("account_sync", "holdings_sync", "manual_sync", "scheduled_sync", "initial_connection")
SourceName = Literal["account_sync", "holdings_sync", "manual_sync", "scheduled_sync", "initial_connection"]


class Base(DeclarativeBase):
    pass


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]


class BalanceSnapshot(Base):
    __tablename__ = "balance_snapshots"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    balance: Mapped[Decimal] = mapped_column(Numeric)
    available_balance: Mapped[Decimal | None] = mapped_column(Numeric)
    holdings_value: Mapped[Decimal | None] = mapped_column(Numeric)
    cash_value: Mapped[Decimal | None] = mapped_column(Numeric)
    currency: Mapped[str]
    source: Mapped[str] = mapped_column(Enum(*SOURCES, name="snapshot_source", create_type=False))
    captured_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


Amount = Annotated[Decimal, PlainSerializer(str, return_type=str)]
Instant = Annotated[datetime, PlainSerializer(_utc, return_type=str)]


class SnapshotOut(BaseModel):
    id: UUID
    account_id: UUID
    balance: Amount
    available_balance: Amount | None
    holdings_value: Amount | None
    cash_value: Amount | None
    currency: str
    source: str
    captured_at: Instant
    created_at: Instant
    change_amount: Amount | None
    change_percent: float | None


class LatestOut(BaseModel):
    snapshots: list[SnapshotOut]
    total_count: int
    total_balance_by_currency: dict[str, Amount]


class HistoryOut(BaseModel):
    snapshots: list[SnapshotOut]
    total_count: int
    start_balance: Amount | None
    end_balance: Amount | None
    total_change_amount: Amount | None
    total_change_percent: float | None
    currency: str | None


class PointOut(BaseModel):
    starts_at: str
    ends_at: str
    is_complete: bool
    balance: str | None
    change_amount: str | None
    change_percent: float | None
    entered_amount: str | None
    account_count: int
    observed_count: int
    oldest_captured_at: str | None


class SeriesOut(BaseModel):
    currency: str
    points: list[PointOut]
    start_balance: str
    end_balance: str | None
    total_change_amount: str | None
    total_change_percent: float | None


class PortfolioOut(BaseModel):
    interval: str
    time_zone: str
    series: list[SeriesOut]
    total_count: int


class ItemIn(BaseModel, extra="forbid"):
    user_id: UUID
    account_id: UUID
    balance: Decimal = Field(max_digits=19, decimal_places=4)
    available_balance: Decimal | None = Field(None, max_digits=19, decimal_places=4)
    holdings_value: Decimal | None = Field(None, max_digits=19, decimal_places=4)
    cash_value: Decimal | None = Field(None, max_digits=19, decimal_places=4)
    currency: str = Field(min_length=3, max_length=3)
    source: SourceName
    captured_at: datetime


class BatchIn(BaseModel, extra="forbid"):
    snapshots: list[ItemIn] = Field(min_length=1, max_length=1000)


class CapturedOut(BaseModel):
    id: UUID
    account_id: UUID
    captured_at: Instant
    source: str
    status: str


class CaptureOut(BaseModel):
    snapshots: list[CapturedOut]
    created_count: int
    duplicate_count: int
