"""The body of a capture (ruling 20)."""

from datetime import UTC, datetime, timedelta

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


class CaptureBatch(ma.Schema):
    snapshots = ma.fields.List(
        ma.fields.Nested(CaptureItem),
        required=True,
        validate=ma.validate.Length(1, MOST_SNAPSHOTS, error="Must hold 1 to {max} snapshots."),
    )
