"""The body of a capture (ruling 20)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import marshmallow as ma

from schemas.fields import Currency, Instant, Money, Source, Uuid

MOST_SNAPSHOTS = 1000
# How far a sender's clock may be ahead of ours.
CLOCK_TOLERANCE = timedelta(seconds=60)


class CaptureItem(ma.Schema):
    """A snapshot as a sync job saw it."""

    user_id = Uuid(required=True)
    account_id = Uuid(required=True)
    balance = Money(required=True)
    available_balance = Money(load_default=None, allow_none=True)
    holdings_value = Money(load_default=None, allow_none=True)
    cash_value = Money(load_default=None, allow_none=True)
    currency = Currency(required=True)
    source = Source(required=True)
    captured_at = Instant(required=True)

    @ma.validates("captured_at")
    def _check_captured_at(self, value: datetime, **kwargs: object) -> None:
        if value > datetime.now(UTC) + CLOCK_TOLERANCE:
            raise ma.ValidationError("Must not be in the future.")


class _Items(ma.fields.List[Any]):
    """A list whose length is looked at before its items, so that a flood of them costs nothing."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, list) and not 1 <= len(value) <= MOST_SNAPSHOTS:
            raise ma.ValidationError(f"Must hold 1 to {MOST_SNAPSHOTS} snapshots.")
        return super()._deserialize(value, *args, **kwargs)


class CaptureBatch(ma.Schema):
    """What is stored or refused as a whole."""

    snapshots = _Items(ma.fields.Nested(CaptureItem), required=True)
