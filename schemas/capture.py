"""The body of a capture (ruling 20)."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import marshmallow as ma

from schemas.base import Schema
from schemas.fields import Currency, Instant, Money, Source, Uuid

MOST_SNAPSHOTS = 1000
# How far a sender's clock may be ahead of ours.
CLOCK_TOLERANCE = timedelta(seconds=60)


class CaptureItem(Schema):
    """A snapshot as a sync job saw it."""

    user_id = Uuid(required=True, metadata={"description": "The account's owner."})
    account_id = Uuid(required=True, metadata={"description": "Belongs to the user it was first captured for."})
    balance = Money(required=True)
    available_balance = Money(load_default=None, allow_none=True)
    holdings_value = Money(load_default=None, allow_none=True)
    cash_value = Money(load_default=None, allow_none=True)
    currency = Currency(required=True)
    source = Source(required=True)
    captured_at = Instant(
        required=True,
        metadata={"description": "ISO 8601; at most 60 s ahead. With account and source it is the snapshot's key."},
    )

    def is_coherent(self, loaded: dict[str, Any]) -> bool:
        return _has_been(loaded["captured_at"])

    @ma.validates("captured_at")
    def _check_captured_at(self, value: datetime, **kwargs: object) -> None:
        if not _has_been(value):
            raise ma.ValidationError("Must not be in the future.")


def _has_been(instant: datetime) -> bool:
    return instant <= datetime.now(UTC) + CLOCK_TOLERANCE


class _Items(ma.fields.List[Any]):
    """A list whose length is looked at before its items, so that a flood of them costs nothing."""

    json_schema: ClassVar[dict[str, Any]] = {"type": "array", "minItems": 1, "maxItems": MOST_SNAPSHOTS}

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, list):
            if not 1 <= len(value) <= MOST_SNAPSHOTS:
                raise ma.ValidationError(f"Must hold 1 to {MOST_SNAPSHOTS} snapshots.")
            with contextlib.suppress(ma.ValidationError):
                return [_item.load_valid(item) for item in value]
        return super()._deserialize(value, *args, **kwargs)


_item = CaptureItem()


class CaptureBatch(Schema):
    """What is stored or refused as a whole."""

    snapshots = _Items(ma.fields.Nested(CaptureItem), required=True)
